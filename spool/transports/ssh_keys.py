"""The keys of ssh hosts: which are known, and whether a shown one is the right one.

Only ever reads known_hosts. A pinned key (`host_key` in spool.toml) comes before it;
a key marked @revoked is refused in any case; @cert-authority lines are passed over.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Final

import paramiko

from spool.config import Peer
from spool.errors import BadConfig, HostKeyChanged, HostKeyUnknown
from spool.transports.ssh_settings import Hop

# What each type of key may sign with; SHA-1 (`ssh-rsa` as an algorithm) is not among them.
ALGORITHMS: Final = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


def fingerprint(key: paramiko.PKey) -> str:
    """`SHA256:…`, as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def key_line(key: paramiko.PKey) -> str:
    """`ssh-ed25519 AAAA…`, the form of `host_key` in spool.toml."""
    return f"{key.get_name()} {base64.b64encode(key.asbytes()).decode()}"


def pinned_key(peer: Peer) -> paramiko.PKey | None:
    """Return the key of the peer's `host_key`, None where none is set.

    Raises:
        BadConfig: it is not a public key.
    """
    if not peer.host_key:
        return None
    kind, _, rest = peer.host_key.strip().partition(" ")
    key = _read_key(kind, rest.partition(" ")[0])
    if key is None:
        raise BadConfig(
            f"[peers.{peer.name}] host_key: not a public key", hint="write it as `ssh-ed25519 AAAA…`"
        )
    return key


def known_keys(hop: Hop) -> list[paramiko.PKey]:
    """Return the keys that known_hosts has for a host, the strongest type first."""
    keys = [
        key for marker, kind, text in _lines(hop) if not marker and (key := _read_key(kind, text)) is not None
    ]
    order = list(ALGORITHMS)
    return sorted(keys, key=lambda key: order.index(key.get_name()))


def algorithms(expected: Sequence[paramiko.PKey]) -> tuple[str, ...]:
    """The host key algorithms to ask for, those of the expected keys first.

    The others stay behind them, so that a host which changed its key to another type is
    told apart from one that speaks no common algorithm, and its new fingerprint can be shown.
    """
    kinds = dict.fromkeys([key.get_name() for key in expected] + list(ALGORITHMS))
    return tuple(algorithm for kind in kinds for algorithm in ALGORITHMS[kind])


def check(hop: Hop, shown: paramiko.PKey, expected: Sequence[paramiko.PKey]) -> None:
    """Pass if the shown key is one of the expected and not revoked.

    Raises:
        HostKeyChanged: it is another key, or known_hosts marks it @revoked.
        HostKeyUnknown: no key is expected.
    """
    new = f"{shown.get_name()} {fingerprint(shown)}"
    if shown.asbytes() in _revoked(hop):
        raise HostKeyChanged(
            f"{hop.where}: its host key {new} is marked @revoked in known_hosts",
            hint="do not connect; ask who runs the host for its new key",
        )
    if not expected:
        raise HostKeyUnknown(
            f"{hop.where}: its host key {new} was never accepted here",
            hint="compare it on the host with `ssh-keygen -l`, then `spool peer add` with --fingerprint",
        )
    if not any(hmac.compare_digest(shown.asbytes(), key.asbytes()) for key in expected):
        old = ", ".join(f"{key.get_name()} {fingerprint(key)}" for key in expected)
        raise HostKeyChanged(
            f"{hop.where}: its host key is now {new}, accepted was {old}",
            hint="somebody may be in between; if the host has a new key indeed, "
            "`spool peer add` it anew with --fingerprint, then `spool peer resume`",
        )


def _revoked(hop: Hop) -> set[bytes]:
    return {_decode(text) for marker, _, text in _lines(hop) if marker == "@revoked"}


def _lines(hop: Hop) -> Iterator[tuple[str, str, str]]:
    """Marker, key type and key text of the known_hosts lines for a host (sshd(8), known_hosts)."""
    for path in hop.known_hosts:
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue  # as ssh: a file that is not there, or not ours to read, knows nothing
        for line in lines:
            fields = line.split()
            marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
            if len(fields) >= 3 and not fields[0].startswith("#") and _names(fields[0], hop.known_as):
                yield marker, fields[1], fields[2]


def _names(patterns: str, name: str) -> bool:
    """Whether a known_hosts name field means this host: plain, with wildcards, negated or hashed."""
    if patterns.startswith("|1|"):
        return _is_hash_of(patterns, name)
    found = False
    for pattern in patterns.split(","):
        if _fits(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _fits(pattern: str, name: str) -> bool:
    # Not a regular expression of our own: a run of stars would take one for ever.
    return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _is_hash_of(hashed: str, name: str) -> bool:
    salt, _, digest = hashed.removeprefix("|1|").partition("|")
    made = hmac.new(_decode(salt), name.lower().encode(), "sha1").digest()
    return hmac.compare_digest(made, _decode(digest))


def _read_key(kind: str, text: str) -> paramiko.PKey | None:
    if kind not in ALGORITHMS:
        return None
    try:
        return paramiko.PKey.from_type_string(kind, _decode(text))
    except (paramiko.SSHException, ValueError, IndexError):
        return None


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        # Neither letters of base64 nor, perhaps, of ASCII.
        return b""

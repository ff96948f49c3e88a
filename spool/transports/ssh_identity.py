"""The keys to log in with: spool's own, or those of the user (agent and identity files)."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import AgentSSH, get_agent_connection
from paramiko.pkey import PublicBlob

from spool.errors import AuthRefused
from spool.transports.ssh_settings import Hop

KEY_FILE: Final = "keys/id_ed25519"
MAX_KEYS: Final = 6  # sshd's own default MaxAuthTries: it hangs up after that many
_BAD_KEY = (paramiko.SSHException, paramiko.pkey.UnknownKeyType, UnsupportedAlgorithm, ValueError, TypeError)


@dataclass
class Keys:
    """Keys to offer in this order; `notes` says of the others why they are not among them.

    The file `memory` keeps which one a host took: it alone is offered the next time, since a host
    counts each key that it does not know as a failed login.
    """

    keys: list[paramiko.PKey] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    memory: Path | None = None

    def narrow(self) -> None:
        """Leave only the key that was taken last time, where it is among them."""
        try:
            taken = self.memory.read_text("ascii") if self.memory is not None else ""
        except (OSError, ValueError):
            return
        if mine := [key for key in self.keys if _mark(key) == taken]:
            self.keys[:] = mine
            self.notes.append("only the key that it took last time")

    def took(self, key: paramiko.PKey | None) -> None:
        """Remember the key that was taken; with None, that the one we remember is taken no more."""
        if self.memory is None:
            return
        with contextlib.suppress(OSError):
            # Forgotten, it costs a few offers more the next time.
            if key is None:
                self.memory.unlink()
            elif not self.memory.exists() or self.memory.read_text("ascii") != _mark(key):
                self.memory.write_text(_mark(key), "ascii")


def _mark(key: paramiko.PKey) -> str:
    return hashlib.sha256(key.asbytes()).hexdigest()


def spool_key(home: Path) -> Keys:
    """Return the key of this home, and no other.

    Raises:
        AuthRefused: there is none, or it cannot be read.
    """
    path = home / KEY_FILE
    try:
        return Keys([paramiko.Ed25519Key.from_private_key_file(str(path))])
    except FileNotFoundError as exc:
        raise AuthRefused(f"{path}: this host has no key of its own", hint="`spool init` makes one") from exc
    except (OSError, *_BAD_KEY) as exc:
        raise AuthRefused(f"{path}: cannot read the key: {exc}", hint="`spool doctor` says more") from exc


@contextlib.contextmanager
def user_keys(hop: Hop, *, timeout_s: float, home: Path | None = None) -> Iterator[Keys]:
    """The user's keys for a host, as ssh would offer them; the agent is reachable inside the block.

    With a home, only the one that the host took last time, where there was one.
    """
    found = Keys(memory=_memory(home, hop))
    files = _files(hop, found.notes)
    with _agent_keys(hop, found.notes, timeout_s) as held:
        only = {key.asbytes() for key in files} | _public_halves(hop)
        for key in held:
            if not hop.identities_only or key.asbytes() in only:
                found.keys.append(key)
        have = {key.asbytes() for key in found.keys}
        found.keys += [key for key in files if key.asbytes() not in have]
        found.notes += [f"only the first {MAX_KEYS} keys are tried"] if len(found.keys) > MAX_KEYS else []
        found.narrow()
        del found.keys[MAX_KEYS:]
        yield found


def _memory(home: Path | None, hop: Hop) -> Path | None:
    if home is None or not (run := home / "run").is_dir():
        return None
    where = f"{hop.user}@{hop.hostname}:{hop.port}"
    return run / f"key-of-{hashlib.sha256(where.encode()).hexdigest()[:16]}"


def _files(hop: Hop, notes: list[str]) -> list[paramiko.PKey]:
    keys: list[paramiko.PKey] = []
    for path in hop.identity_files:
        if not path.is_file() or _public_text(path):
            continue
        try:
            keys.append(paramiko.PKey.from_path(path))
        except TypeError:  # cryptography's word for: no passphrase was given
            notes.append(f"{path} has a passphrase (add it to the ssh agent)")
        except (OSError, *_BAD_KEY) as exc:
            notes.append(f"{path} cannot be used ({exc})")
    return keys


def _public_halves(hop: Hop) -> set[bytes]:
    """The public keys beside the identity files: with IdentitiesOnly they pick from the agent."""
    texts = [_public_text(path) or _public_text(Path(f"{path}.pub")) for path in hop.identity_files]
    keys: set[bytes] = set()
    for text in filter(None, texts):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            keys.add(PublicBlob.from_string(text).key_blob)
    return keys


def _public_text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = path.read_text("utf-8")
        if text.startswith(("ssh-", "ecdsa-", "sk-")):
            return text
    return ""


@contextlib.contextmanager
def _agent_keys(hop: Hop, notes: list[str], timeout_s: float) -> Iterator[list[paramiko.PKey]]:
    if hop.agent == "none":
        yield []
        return
    keys: list[paramiko.PKey] = []
    with contextlib.ExitStack() as stack:
        try:
            if (sock := _agent_socket(hop.agent)) is not None:
                # Sooner than the login's own limit, so that a key nobody touches is told apart.
                sock.settimeout(0.8 * timeout_s)
                agent = AgentSSH()
                # paramiko offers no public way to an agent at another path, or with a time limit.
                agent._connect(_AgentSocket(stack.enter_context(sock)))  # type: ignore[attr-defined]
                keys = [key for key in agent.get_keys() if "-cert-v01@" not in key.get_name()]
        except (OSError, paramiko.SSHException) as exc:
            notes.append(f"the ssh agent does not answer ({exc})")
        yield keys


def _agent_socket(path: str) -> socket.socket | None:
    if not path:
        return get_agent_connection()  # where the user's session says
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


class _AgentSocket:
    """An agent's socket whose failures are paramiko's own, or they would kill its thread loudly."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, piece: bytes) -> None:
        try:
            self._sock.sendall(piece)
        except OSError as exc:
            raise paramiko.SSHException(f"the ssh agent is lost: {exc}") from exc

    def recv(self, max_bytes: int) -> bytes:
        try:
            return self._sock.recv(max_bytes)
        except OSError as exc:
            raise paramiko.SSHException(f"the ssh agent is lost: {exc}") from exc

    def close(self) -> None:
        self._sock.close()

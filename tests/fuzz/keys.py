"""Key files that others write to as well: authorized_keys, which we change; known_hosts, which we read."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import paramiko

from spool import authorized
from spool.errors import BadInput, HostKeyChanged, HostKeyUnknown
from spool.transports import ssh_keys
from spool.transports.ssh_settings import Hop

HOME: Final = Path("/home/me/.spool")
_BLOB: Final = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
OURS: Final = f"ssh-ed25519 {_BLOB} spool@laptop"
_COMMAND: Final = ["/usr/local/bin/spool"]


class Keys:
    """The target."""

    most_bytes = 16 * 1024

    def __init__(self, scratch: Path) -> None:
        self._path = scratch / "keys" / "authorized_keys"
        self._path.parent.mkdir(exist_ok=True)
        self._hop = Hop("far", "far.example", 2222, "me", "[far.example]:2222", known_hosts=(self._path,))
        self._shown = paramiko.PKey.from_type_string("ssh-ed25519", _decoded(_BLOB))

    def __call__(self, raw: bytes) -> str:
        return "/".join([_parsed(raw), self._known(raw), self._changed(raw)])

    def memory(self, size: int) -> int:
        """The lines, a few times."""
        return 4 * 1024 * 1024 + 200 * size

    def _known(self, raw: bytes) -> str:
        self._path.write_bytes(raw)
        known = ssh_keys.known_keys(self._hop)
        assert ssh_keys.algorithms(known)
        try:
            ssh_keys.check(self._hop, self._shown, known)
        except (HostKeyChanged, HostKeyUnknown) as exc:
            assert exc.hint and exc.stops
            return exc.kind
        assert self._shown.asbytes() in [key.asbytes() for key in known], "a key that stands nowhere"
        return "known"

    def _changed(self, raw: bytes) -> str:
        """Our line in, and out again: what others wrote there is as it was."""
        self._path.write_bytes(raw)
        line = authorized.line_for(OURS, peer="laptop", command=_COMMAND, home=HOME)
        try:
            written = authorized.write(self._path, line, peer="laptop")
        except BadInput as exc:
            assert self._path.read_bytes() == raw, "refused, and changed all the same"
            assert exc.hint
            return "refused"
        after = self._path.read_bytes()
        assert written.line == line and line.encode() in after.split(b"\n")
        before = [each for each in raw.removesuffix(b"\n").split(b"\n") if _BLOB.encode() not in each]
        kept = [each for each in after.split(b"\n") if _BLOB.encode() not in each]
        assert kept[: len(before)] == before or raw == b"", "another's line was changed"
        assert authorized.find(self._path, peer="laptop", home=HOME) is not None
        for each in after.decode("utf-8", "surrogateescape").split("\n"):
            authorized.program(each)
        authorized.rivals(self._path, line)
        assert authorized.remove(self._path, peer="laptop", home=HOME)
        assert authorized.find(self._path, peer="laptop", home=HOME) is None
        return "written" if written.changed else "there"


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Keys]:
    """The readers, over one file."""
    yield Keys(scratch)


def _parsed(raw: bytes) -> str:
    try:
        kind, blob, _ = authorized.parse_key(raw.decode("utf-8", "replace"))
        line = authorized.line_for(f"{kind} {blob}", peer="laptop", command=_COMMAND, home=HOME)
    except BadInput as exc:
        assert exc.hint
        return "no key"
    assert line.startswith('restrict,command="') and line.isprintable()
    assert line.endswith(f'serve --peer laptop" {kind} {blob}')
    assert authorized.program(line) == _COMMAND[0]
    return "a key"


def _decoded(blob: str) -> bytes:
    return base64.b64decode(blob)

"""Ledgers: each process of the soak notes down what it did and what it was told, a line per act, synced."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tests.soak.facts import Act

_decoder: Final = msgspec.json.Decoder(Act)
_encode: Final = msgspec.json.Encoder().encode


class Ledger:
    """A file that only grows; what is being done is written before it, what was told after it."""

    def __init__(self, path: Path) -> None:
        self.who = path.stem
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _end_line(self._file)

    def note(
        self, what: str, ids: Iterable[str], *, to: str = "", more: str = "", until: float = 0.0
    ) -> None:
        """Write one act for each id, all in one write and one sync."""
        at, pid = time.time(), os.getpid()
        lines = [_encode(Act(at, pid, self.who, what, id, to, more, until)) + b"\n" for id in ids]
        if lines:
            os.write(self._file, b"".join(lines))
            os.fdatasync(self._file)

    def say(self, what: str, more: str = "") -> None:
        """Write one act that is about no message."""
        self.note(what, [""], more=more)


def _end_line(file: int) -> None:
    """Close the line that a kill cut short, or the next one would be lost with it."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")


def read(path: Path) -> Iterator[Act]:
    """The acts of a ledger; a line that a kill cut short was never told."""
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            if line:
                yield _decoder.decode(line)
        except msgspec.MsgspecError:
            continue


def sent(path: Path) -> int:
    """How many messages a ledger says were sent."""
    return path.read_bytes().count(b'"what":"sent"') if path.exists() else 0

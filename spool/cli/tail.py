"""The lines of the log over all its files, oldest first, and those that are still to come."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool.log import FILE, KEEP

LOOK_S: Final = 0.2
# A process that was about to write as its file was rotated away has done so after that long.
LATE_S: Final = 1.0


class Tail:
    """Reads a log folder from its oldest line on; rotated meanwhile, no line is lost or told twice.

    A reader so slow that the oldest files are gone before it comes to them goes on with the oldest
    that is left.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._rest = b""

    def lines(self, *, follow: bool) -> Iterator[bytes | None]:
        """Whole lines, None at the end; with `follow` None at each end, then those that are written since."""
        while True:
            while (newer := self._newer()) is not None:
                yield from self._leave()
                self._file, self._rest = newer, b""
                yield from self._read()
            yield None
            if not follow:
                return
            time.sleep(LOOK_S)
            if self._file >= 0:
                yield from self._read()

    def close(self) -> None:
        """Close the file that is open, as often as one likes."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _leave(self) -> Iterator[bytes]:
        """What is still in the open file, which has been rotated away."""
        if self._file < 0:
            return
        if (age_s := time.time() - os.fstat(self._file).st_mtime) < LATE_S:
            time.sleep(LATE_S - max(0.0, age_s))
        yield from self._read()
        self.close()

    def _read(self) -> Iterator[bytes]:
        if os.fstat(self._file).st_size < os.lseek(self._file, 0, os.SEEK_CUR):
            # Somebody emptied it in its place.
            os.lseek(self._file, 0, os.SEEK_SET)
            self._rest = b""
        while piece := os.read(self._file, 65_536):
            *whole, self._rest = (self._rest + piece).split(b"\n")
            yield from whole

    def _newer(self) -> int | None:
        """The oldest file that is newer than the one that is open, opened; None where there is none."""
        while True:
            there = [(path, found) for path in self._paths() if (found := _stat(path)) is not None]
            if self._file >= 0:
                mine = os.fstat(self._file)
                at = [n for n, (_, found) in enumerate(there) if os.path.samestat(found, mine)]
                there = there[at[0] + 1 :] if at else there
            if not there:
                return None
            path, found = there[0]
            if (opened := _opened(path, found)) is not None:
                return opened

    def _paths(self) -> list[Path]:
        return [self._folder / f"{FILE}.{n}" for n in range(KEEP, 0, -1)] + [self._folder / FILE]


def _opened(path: Path, wanted: os.stat_result) -> int | None:
    """The file, unless a rotation has put another one under its name since."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if os.path.samestat(os.fstat(opened), wanted):
        return opened
    os.close(opened)
    return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None

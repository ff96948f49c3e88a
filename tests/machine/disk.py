"""The disk under a host's spool.db: what a power cut leaves of it, and how much room there is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

PLENTY: Final = 1 << 40
# sqlite.org/fileformat2.html#the_write_ahead_log: a header, and before each page one of its own.
_HEADER: Final = 32
_FRAME: Final = struct.Struct(">IIII")
_FRAME_HEADER: Final = 24


class Disk:
    """Knows which commits are on stable storage. Every commit of every store of the host is told to it.

    Attributes:
        full: no room is left, as far as spool asks.
        commits: how many there were, of all stores.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wal = path.with_name(f"{path.name}-wal")
        self.full = False
        self.commits = 0
        self._salts: tuple[int, ...] = ()
        self._ends: list[int] = []
        self._looked = _HEADER
        self._synced = 0

    def free_bytes(self) -> int:
        """Room left, in bytes."""
        return 0 if self.full else PLENTY

    def committed(self, *, sync: bool) -> None:
        """A transaction has ended. One that changed nothing writes nothing, and so syncs nothing."""
        self.commits += 1
        before = len(self._ends)
        self._look()
        if sync and len(self._ends) > before:
            self._synced = len(self._ends)

    def unsynced(self) -> int:
        """How many commits a power cut may undo."""
        return len(self._ends) - self._synced

    def cut(self, lost: int, close: object) -> None:
        """The power goes: of what was not synced the last `lost` commits are gone.

        Args:
            close: called without arguments once the files are safe; closes all that has them open.
        """
        self._look()
        whole, wal = self.path.read_bytes(), self.wal.read_bytes() if self.wal.exists() else b""
        assert callable(close)
        close()
        kept = len(self._ends) - min(lost, self.unsynced())
        size = self._ends[kept - 1] if kept else 0
        self.path.write_bytes(whole)
        self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
        self.wal.write_bytes(wal[:size])
        self._salts, self._ends, self._looked, self._synced = (), [], _HEADER, 0
        self._look()
        # What is there after a power cut is there for good.
        self._synced = len(self._ends)

    def _look(self) -> None:
        """Find the ends of the commits that came since the last look."""
        try:
            with self.wal.open("rb") as file:
                head = file.read(_HEADER)
                if len(head) < _HEADER:
                    return
                _, _, page, _, *salts = struct.unpack(">IIIIII", head[:24])
                if tuple(salts) != self._salts:
                    self._salts, self._ends, self._looked, self._synced = tuple(salts), [], _HEADER, 0
                while True:
                    file.seek(self._looked)
                    frame = file.read(_FRAME_HEADER)
                    if len(frame) < _FRAME_HEADER:
                        return
                    _, pages, *of = _FRAME.unpack(frame[:16])
                    if tuple(of) != self._salts:
                        return
                    self._looked += _FRAME_HEADER + page
                    if pages:
                        self._ends.append(self._looked)
        except FileNotFoundError:
            self._salts, self._ends, self._looked, self._synced = (), [], _HEADER, 0

"""SQLite's write-ahead log: when it is written back, and what follows where a sync failed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import apsw

from spool import log

# SQLite's own default: about 4 MB.
PAGES: Final = 1000
# sqlite.org/fileformat2.html#walformat
_HEADER: Final = 32
_FRAME_HEADER: Final = 24
# SQLite reads and writes less than 128 KiB at a time.
_PART: Final = 64 * 1024
_STEP_S: Final = 0.01
_OPEN: Final = apsw.SQLITE_OPEN_READWRITE


class WriteAhead:
    """The log of one spool.db, as the write connections of one store see it; not for two threads at once.

    SQLite would write it back by itself and tell nobody where that failed. But what fails there may be
    the sync of commits that were not synced before, and all that stands behind them in the log is lost
    with them at a power cut.

    Args:
        path: of the database.
        pages: the log is written back by the commit that makes it so long.
    """

    def __init__(self, path: Path, *, pages: int = PAGES) -> None:
        self._path = path
        self._pages = pages
        self._long = False
        # A sync failed: what the log holds may not be believed.
        self._doubtful = False

    def watch(self, connection: apsw.Connection) -> None:
        """Count what this connection commits."""
        connection.set_wal_hook(self._grown)

    def make_sure(self, connection: apsw.Connection) -> None:
        """Before anything is written: write the log anew where a sync has failed."""
        if self._doubtful:
            self._renew(connection)

    def commit(self, connection: apsw.Connection) -> None:
        """Commit; `keep_short` follows."""
        try:
            connection.execute("COMMIT")
        except apsw.IOError:
            self._doubt(connection)
            raise

    def keep_short(self, connection: apsw.Connection) -> None:
        """Write back a log that has grown long: that may fail, and what was committed stands."""
        if self._long:
            self.write_back(connection)

    def write_back(self, connection: apsw.Connection) -> None:
        """Write the log back as far as no reader is in the way; where that fails, all of it is in the log."""
        self._long = False
        self._say_where_it_fails(connection, "PASSIVE")

    def leave(self, connection: apsw.Connection) -> None:
        """The same and empty it: nobody else has the file open."""
        self._say_where_it_fails(connection, "TRUNCATE")

    def empty(self, connection: apsw.Connection) -> bool:
        """Write all of it back and empty it; False where somebody is in the way. Raises apsw.Error."""
        try:
            return self._checkpoint(connection, "TRUNCATE")
        except apsw.BusyError:
            return False

    def _say_where_it_fails(self, connection: apsw.Connection, how: str) -> None:
        try:
            self._checkpoint(connection, how)
        except apsw.BusyError:
            pass  # Whoever is in the way does it, or the next commit.
        except apsw.Error as exc:
            full = isinstance(exc, apsw.FullError)
            log.error("store.full" if full else "store.failed", error=f"{self._path}: {exc}")

    def _checkpoint(self, connection: apsw.Connection, how: str) -> bool:
        self.make_sure(connection)
        try:
            with _turn(self._path):
                (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone() or (1, 0, 0)
        except apsw.IOError:
            self._doubt(connection)
            raise
        return not busy

    def _grown(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._long = pages >= self._pages
        return apsw.SQLITE_OK

    def _doubt(self, connection: apsw.Connection) -> None:
        self._doubtful = True
        with contextlib.suppress(apsw.Error):
            self._renew(connection)

    def _renew(self, connection: apsw.Connection) -> None:
        """Write what the log holds once more, over itself, and its pages in the database; and sync both.

        The next sync would say that all is well and sync nothing of what failed: the kernel takes it for
        written (lwn.net/Articles/752063), and what is committed after it would be lost with it. And a
        crash would find a transaction that failed whole behind the committed ones, and bring it back.
        """
        with _turn(self._path, patience_s=1.0):
            connection.execute("BEGIN IMMEDIATE")
            try:
                _write_again(connection)
            finally:
                connection.execute("ROLLBACK")
        self._doubtful = False


@contextlib.contextmanager
def _turn(path: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """One process of a home at a time. Raises apsw.BusyError where it is not our turn."""
    try:
        lock = os.open(path.parent / "run" / "write-back.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        # No room for it, or no number: what was committed stands, and the next commit tries again.
        raise apsw.BusyError(f"the log cannot be written back now: {exc}") from exc
    try:
        tries = itertools.count()
        while not _locked(lock):
            if next(tries) * _STEP_S >= patience_s:
                raise apsw.BusyError("another process writes the log back")
            time.sleep(_STEP_S)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_again(connection: apsw.Connection) -> None:
    (page_size,) = connection.execute("PRAGMA page_size").fetchone() or (0,)
    frames, frame_size = _frames(connection), _FRAME_HEADER + page_size
    with _opened(connection, connection.filename_wal, apsw.SQLITE_OPEN_WAL) as wal:
        end = min(_HEADER + frames * frame_size, size := wal.xFileSize())
        if size > end:
            wal.xTruncate(end)
        _over_itself(wal, ((at, min(_PART, end - at)) for at in range(0, end, _PART)))
        pages = {int.from_bytes(wal.xRead(4, at), "big") for at in range(_HEADER, end, frame_size)}
    with _opened(connection, connection.filename, apsw.SQLITE_OPEN_MAIN_DB) as database:
        size = database.xFileSize()
        places = ((page - 1) * page_size for page in sorted(pages))
        _over_itself(database, ((at, page_size) for at in places if at + page_size <= size))


def _frames(connection: apsw.Connection) -> int:
    """Of the log, how many were committed; a transaction of `connection` keeps it so."""
    # Within the transaction only another connection may ask.
    with contextlib.closing(apsw.Connection(connection.filename, _OPEN, vfs=connection.open_vfs)) as other:
        other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        (_, frames, _) = other.execute("PRAGMA wal_checkpoint(NOOP)").fetchone() or (0, 0, 0)
    return frames


@contextlib.contextmanager
def _opened(connection: apsw.Connection, name: str, kind: int) -> Iterator[apsw.VFSFile]:
    # By SQLite itself: were it closed in another way, its locks would be gone.
    file = apsw.VFSFile(connection.open_vfs, name, [_OPEN | kind, 0])
    try:
        yield file
    finally:
        file.xClose()


def _over_itself(file: apsw.VFSFile, parts: Iterable[tuple[int, int]]) -> None:
    for at, size in parts:
        file.xWrite(file.xRead(size, at), at)
    file.xSync(apsw.SQLITE_SYNC_NORMAL)

"""The SQLite store: opening the file, its pragmas and migrations, and transactions."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from spool.errors import (
    NotInitialised,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreNewer,
    StoreOlder,
    UnsafeHome,
)
from spool.store.schema import SCHEMA as SCHEMA
from spool.store.sqlite_tables import SqliteTx
from spool.store.turn import Turn
from spool.store.write_ahead import PAGES, WriteAhead

FILE: Final = "spool.db"
BUSY_S: Final = 30.0
# sqlite.org/wal.html#walresetbug: fixed in 3.51.3.
OLDEST_SQLITE: Final = (3, 51, 3)
_SQL: Final = Path(__file__).parent / "sql"
_CHECK_DISK: Final = "check the disk, and the permissions of the home and of the spool.db files in it"


class SqliteStore:
    """One spool.db. Three connections, opened when first needed: FULL, NORMAL, and one to read.

    Args:
        home: the spool home; the file in it must exist (see `create`).
        vfs: the SQLite VFS that reads and writes it, where it is not the default one.
        log_pages: how long the log may grow before it is written back.

    Raises:
        NotInitialised: no such file.
        StoreError: corrupt, newer than the code, or needing a migration while in use.
    """

    def __init__(self, home: Path, *, vfs: str | None = None, log_pages: int = PAGES) -> None:
        self.home = home
        self.path = home / FILE
        self._vfs = vfs
        # One transaction within another is a defect: so it is an error, and not a wait for ever.
        self._lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._open: dict[str, tuple[apsw.Connection, SqliteTx]] = {}
        self._closed = False
        self._log = WriteAhead(self.path, pages=log_pages)
        self._turn = Turn(home / "run")
        refuse_unsafe(home)
        if not self.path.exists():
            raise NotInitialised(f"no spool home at {home}")
        if self.path.stat().st_size == 0:
            # SQLite would take it for a new one, and the mail that was here would go unmissed.
            raise StoreCorrupt(f"{self.path}: it is empty")
        # Held for as long as the store is open: a migration waits for all of them to go.
        (home / "run").mkdir(mode=0o700, exist_ok=True)
        self._home_lock = os.open(home / "run" / "home.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._home_lock, fcntl.LOCK_SH)
            with translated(self.path):
                self._migrate(self._connection("full")[0])
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def write(self, *, sync: bool) -> Iterator[SqliteTx]:
        """One transaction; see `Store.write`."""
        with self._lock, translated(self.path):
            self._refuse_nested("full", "loose")
            connection, tx = self._connection("full" if sync else "loose")
            self._log.make_sure(connection)
            with self._turn.taken():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield tx
                    # At commit, with sync, what was written is on the disk.
                    self._log.commit(connection)
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            # Others may write meanwhile.
            self._log.keep_short(connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteTx]:
        """A consistent look; see `Store.read`."""
        with self._read_lock, translated(self.path):
            self._refuse_nested("read")
            connection, tx = self._connection("read")
            connection.execute("BEGIN")
            try:
                yield tx
            finally:
                connection.execute("COMMIT" if connection.in_transaction else "SELECT 0")

    def free_bytes(self) -> int:
        """Space left where the database lies, for an ordinary user."""
        found = os.statvfs(self.home)
        return found.f_bavail * found.f_frsize

    def check_version(self) -> None:
        """Raise StoreNewer where another version of spool has migrated the file since."""
        with self._read_lock, translated(self.path):
            _check_version(self._connection("read")[0], self.path)

    def quick_check(self) -> None:
        """Raise StoreCorrupt where SQLite's own check finds damage. Reads the whole file."""
        with self._read_lock, translated(self.path):
            found = self._connection("read")[0].execute("PRAGMA quick_check(1)").fetchall()
        if found == [("ok",)]:
            return
        told = " ".join(str(found[0][0]).split())
        # A page that cannot be read now is told as damage is; the file may be whole.
        if (code := re.search(r"error code=(\d+)", told)) and int(code[1]) & 0xFF == apsw.SQLITE_IOERR:
            raise StoreError(f"{self.path}: {told}", hint=_CHECK_DISK)
        raise StoreCorrupt(f"{self.path}: {told}")

    def close(self) -> None:
        """Close it, as often as one likes."""
        with self._lock, self._read_lock:
            self._closed = True
            self._leave()
            for connection, _ in self._open.values():
                connection.close()
            self._open.clear()
            self._turn.close()
            if self._home_lock >= 0:
                os.close(self._home_lock)
                self._home_lock = -1

    def _leave(self) -> None:
        """Where nobody else has the file open, leave nothing in its log."""
        if self._home_lock < 0 or (found := self._open.get("full")) is None:
            return
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._home_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._log.leave(found[0])

    def _refuse_nested(self, *kinds: str) -> None:
        if any(kind in self._open and self._open[kind][0].in_transaction for kind in kinds):
            raise RuntimeError("a transaction within a transaction of the same thread")

    def _connection(self, kind: str) -> tuple[apsw.Connection, SqliteTx]:
        if (found := self._open.get(kind)) is not None:
            return found
        if self._closed:
            raise StoreError(f"{self.path}: the store is closed")
        synchronous = "FULL" if kind == "full" else "NORMAL"
        connection = connect(self.path, synchronous=synchronous, vfs=self._vfs)
        if kind != "read":
            self._log.watch(connection)
        self._open[kind] = (connection, SqliteTx(connection))
        return self._open[kind]

    def _migrate(self, connection: apsw.Connection) -> None:
        if _check_version(connection, self.path) == SCHEMA:
            return
        try:
            fcntl.flock(self._home_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise StoreOlder(f"{self.path}: needs a migration and other processes have it open") from exc
        migrate(connection)
        fcntl.flock(self._home_lock, fcntl.LOCK_SH)


def schema_of(path: Path) -> int:
    """The schema that a spool.db has; looks, and changes nothing. Raises StoreError."""
    with translated(path), contextlib.closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)) as db:
        return _user_version(db)


def create(home: Path, *, vfs: str | None = None) -> None:
    """Make an empty spool.db in `home`; one that is there is left alone. `vfs` as in `SqliteStore`."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    path = home / FILE
    # SQLite gives -wal and -shm the mode of the file itself.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with translated(path):
        connection = connect(path, synchronous="FULL", vfs=vfs)
        try:
            if _check_version(connection, path) < SCHEMA:
                migrate(connection)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()


def connect(path: Path, *, synchronous: str, vfs: str | None = None) -> apsw.Connection:
    """Open a connection with the pragmas spool rests on, and check that they took.

    Raises:
        StoreError: SQLite is too old, or a pragma did not take.
    """
    version = tuple(map(int, apsw.sqlite_lib_version().split(".")))
    if version < OLDEST_SQLITE:
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} has a bug that can damage the file",
            hint="install apsw 3.51.3 or newer from a wheel",
        )
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        _set_up(connection, path, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: apsw.Connection, path: Path, synchronous: str) -> None:
    connection.set_busy_handler(_Patience())
    # SQLite tells nobody where these fail: see WriteAhead.
    connection.wal_autocheckpoint(0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    level = {"NORMAL": 1, "FULL": 2}[synchronous]
    for name, value, want in (
        ("journal_mode", "WAL", "wal"),
        ("synchronous", synchronous, level),
        ("foreign_keys", "ON", 1),
    ):
        connection.execute(f"PRAGMA {name}={value}")
        (found,) = connection.execute(f"PRAGMA {name}").fetchone() or (None,)
        if found != want:
            raise StoreError(
                f"{path}: SQLite did not take {name}={value} (it says {found})",
                hint="the home must be on a local disk",
            )


def migrate(connection: apsw.Connection) -> None:
    """Run every numbered .sql above the file's version, each in its own transaction."""
    for path in sorted(_SQL.glob("[0-9]*.sql")):
        number = int(path.name[:4])
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _user_version(connection) < number:
                connection.execute(path.read_text("utf-8"))
                connection.execute(f"PRAGMA user_version={number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def refuse_unsafe(home: Path) -> None:
    """Refuse a home that others may write to.

    Raises:
        NotInitialised: there is no such folder.
        UnsafeHome: group or others may write there, or it is another user's.
    """
    try:
        found = home.stat()
    except FileNotFoundError as exc:
        raise NotInitialised(f"no spool home at {home}") from exc
    except OSError as exc:
        raise UnsafeHome(f"{home}: {exc.strerror}", hint="choose a folder of your own") from exc
    if found.st_uid != os.geteuid():
        raise UnsafeHome(f"{home} belongs to another user", hint="run spool as that user, or set SPOOL_HOME")
    if found.st_mode & 0o022:
        raise UnsafeHome(f"{home} can be written by others", hint=f"run `chmod 700 {home}`")


class _Patience:
    """Wait for the write lock in short, uneven steps: SQLite's own steps grow to 100 ms.

    Who has the turn to write meets here whoever writes without one, and who looks after the log.
    """

    def __init__(self) -> None:
        self._since = 0.0

    def __call__(self, tries: int) -> bool:
        now = time.monotonic()
        if tries == 0:
            self._since = now
        if now - self._since > BUSY_S:
            return False
        import random

        time.sleep(random.uniform(0.0002, 0.001) if tries < 200 else 0.005)
        return True


def _user_version(connection: apsw.Connection) -> int:
    row = connection.execute("PRAGMA user_version").fetchone()
    return int(row[0]) if row else 0


def _check_version(connection: apsw.Connection, path: Path) -> int:
    version = _user_version(connection)
    if version > SCHEMA:
        raise StoreNewer(f"{path} has schema {version}, this spool knows {SCHEMA}")
    return version


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Say SQLite's errors in spool's words."""
    try:
        yield
    except apsw.FullError as exc:
        raise StoreFull(f"{path}: the disk is full") from exc
    except (apsw.CorruptError, apsw.NotADBError) as exc:
        raise StoreCorrupt(f"{path}: {exc}") from exc
    except (apsw.BusyError, apsw.LockedError) as exc:
        raise StoreBusy(f"{path}: locked by another process for {BUSY_S:.0f} s") from exc
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as exc:
        raise StoreError(
            f"{path}: {exc}",
            hint=_CHECK_DISK,
        ) from exc

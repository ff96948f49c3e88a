"""One home over a VFS that fails and records: what was committed there, and what it owes to whom."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import apsw

from spool import desk
from spool.api import Spool
from spool.clock import Clock
from spool.gate import Gate
from spool.settings import Settings
from spool.store import sqlite
from spool.store.base import Tx
from spool.store.huey_storage import SpoolStorage
from spool.store.sqlite import SqliteStore, SqliteTx
from tests.desk import Turned, clocked, make_home
from tests.faulty_vfs import FaultyVfs

PEERS: Final = """
[peers.cloud]
agents = ["cloud-*"]

[peers.desk]
agents = ["desk-*"]

[peers.drop]
url = "dir:"
agents = ["drop-*"]
inbox = "/nonexistent/in"
outbox = "/nonexistent/out"
"""
_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
)


class Commit(NamedTuple):
    """A transaction that ended: after how many changes of the files, whether synced, and what stood then."""

    changes: int
    sync: bool
    state: str


class Promise(NamedTuple):
    """What somebody was told: the query finds a row, from so many changes of the files on."""

    sql: str
    values: tuple[Any, ...]
    since: int
    until: int | None = None


class Watched(SqliteStore):
    """The store of a world, which says when it has committed."""

    def __init__(self, home: Path, *, vfs: str, pages: int, told: Callable[[bool], None]) -> None:
        self._told = told
        super().__init__(home, vfs=vfs, log_pages=pages)

    @contextlib.contextmanager
    def write(self, *, sync: bool) -> Iterator[SqliteTx]:
        with super().write(sync=sync) as tx:
            yield tx
        self._told(sync)


class WatchedQueue(SpoolStorage):
    """Huey's queue of a world; its writes are not synced."""

    def __init__(self, home: Path, *, vfs: str, told: Callable[[bool], None]) -> None:
        self._vfs = vfs
        self._told = told
        super().__init__(home=home)

    def _create_connection(self) -> apsw.Connection:
        with mock.patch.object(sqlite, "connect", partial(sqlite.connect, vfs=self._vfs)):
            return super()._create_connection()

    @contextlib.contextmanager
    def db(self, commit: bool = False, close: bool = False) -> Iterator[Any]:
        with super().db(commit, close) as cursor:
            yield cursor
        if commit:
            self._told(False)


@dataclass
class World:
    """A home with agents `me` and `you`, peers that never dial, and a clock that is turned by hand.

    Attributes:
        pages: of the log before it is written back; so few that this happens all the time.
        commits: every transaction so far; `named` what the script gave names to.
        failing: changes within commits that failed.
        promises: by label; one that was taken back has an end.
    """

    folder: Path
    pages: int = 24
    vfs: FaultyVfs = field(default_factory=FaultyVfs)
    now: Turned = field(default_factory=Turned)
    commits: list[Commit] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    promises: dict[str, Promise] = field(default_factory=dict)
    failing: list[range] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = make_home(
            self.folder, "me", "you", peers=PEERS, host="loop_turns = 2\nlow_water_mb = 0\n"
        )
        self._spool: Spool | None = None
        self._queue: WatchedQueue | None = None
        self.generation = 0

    @property
    def spool(self) -> Spool:
        assert self._spool is not None
        return self._spool

    @property
    def queue(self) -> WatchedQueue:
        if self._queue is None:
            self._queue = WatchedQueue(self.home, vfs=self.vfs.name, told=self._committed)
        return self._queue

    def open(self) -> None:
        """Open the home, as a process that begins does."""
        store = partial(Watched, vfs=self.vfs.name, pages=self.pages, told=self._committed)
        with mock.patch.object(desk, "SqliteStore", store):
            self._spool = clocked(self.home, self.now, agent="me")
        clock = Clock(self.now, time.monotonic)
        settings = Settings(self.home, self.spool.store, clock)
        self.gate = Gate(self.spool.store, settings, "cloud", clock=clock, token="test-1", version="0")
        self.gate._generation = self.generation

    @property
    def is_open(self) -> bool:
        """Whether a process has it open."""
        return self._spool is not None

    def close(self) -> None:
        """Close it, as often as one likes."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def end(self) -> None:
        """Close it for good."""
        self.close()
        self.vfs.close()

    # -- what stands there --------------------------------------------------------------------

    def _committed(self, sync: bool) -> None:
        # Not a call of the script: what looks here neither fails nor counts.
        fault, self.vfs.fault = self.vfs.fault, None
        self.commits.append(Commit(self.changes, sync, self.state()))
        self.vfs.fault = fault

    @property
    def changes(self) -> int:
        """How many changes of the files were recorded so far."""
        return len(self.vfs.changes or ())

    def state(self) -> str:
        """A digest of all that is in the database, as another process sees it."""
        with look(self.home / sqlite.FILE) as connection:
            return state_of(connection)

    def promise(self, label: str, sql: str, *values: Any) -> None:
        """From now on the query finds a row, whatever happens."""
        self.promises[label] = Promise(sql, values, self.changes)

    def sent(self, *ids: str) -> None:
        """The outbox or its archive has these from now on."""
        for id in ids:
            self.promise(f"sent {id}", _either("outbox", "id = ?"), id, id)

    def came(self, *ids: str) -> None:
        """The inbox or its archive has these from now on, and they are known if they come again."""
        for id in ids:
            self.promise(f"came {id}", _either("inbox", "id = ?"), id, id)
            self.promise(f"seen {id}", "SELECT 1 FROM seen WHERE id = ?", id)

    def ended(self, *ids: str) -> None:
        """These are done, for their agent here."""
        for id in ids:
            self.promise(f"done {id}", _either("inbox", "id = ? AND state = 'done'"), id, id)

    def owes(self, id: str, status: str) -> None:
        """The ack of a message stands until the peer has it."""
        self.promise(f"ack {id}", "SELECT 1 FROM acks WHERE re = ? AND status = ?", id, status)

    def withdraw(self, label: str) -> None:
        """It need not be so any more, from the beginning of what is done next."""
        if (found := self.promises.get(label)) is not None and found.until is None:
            self.promises[label] = found._replace(until=self.changes)

    def tx(self, *, sync: bool = False) -> contextlib.AbstractContextManager[Tx]:
        """One transaction, as a room would make it."""
        return self.spool.store.write(sync=sync)

    # -- copies -------------------------------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """The database and its log as they lie there; not what SQLite keeps in shared memory."""
        found = [*self.home.glob(sqlite.FILE), *self.home.glob(f"{sqlite.FILE}-[wj]*")]
        return {path.name: path.read_bytes() for path in found}

    def copy(self) -> dict[str, bytes]:
        """The database as SQLite itself copies it: without what failed commits have left in its log."""
        with look(self.home / sqlite.FILE) as connection:
            return {sqlite.FILE: connection.serialize("main")}

    def put_back(self, files: dict[str, bytes]) -> None:
        """Let other files stand there; it is closed then."""
        self.close()
        self.vfs.forget()
        lay_out(self.home, files)
        shutil.rmtree(self.home / "attachments", ignore_errors=True)


def lay_out(home: Path, files: dict[str, bytes]) -> None:
    """Make these the files of a database, and no other."""
    for path in home.glob(f"{sqlite.FILE}*"):
        path.unlink()
    for name, raw in files.items():
        (home / name).write_bytes(raw)


@contextlib.contextmanager
def look(path: Path) -> Iterator[apsw.Connection]:
    """A connection of another VFS, for a moment."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    connection.execute("PRAGMA synchronous=OFF")
    try:
        yield connection
    finally:
        connection.close()


def state_of(connection: apsw.Connection) -> str:
    """A digest of every table."""
    whole = hashlib.sha256(repr(connection.execute("PRAGMA user_version").get).encode())
    with connection:
        for (name,) in connection.execute(_TABLES).fetchall():
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            whole.update(f"{name}{rows!r}".encode())
    return whole.hexdigest()


def damage(connection: apsw.Connection) -> list[str]:
    """What SQLite finds wrong with the file."""
    return [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]


def halves(connection: apsw.Connection) -> list[str]:
    """Rows that contradict each other, in a database of the newest schema."""
    return [name for name, sql in _HALVES.items() if connection.execute(sql).fetchone() is not None]


# Each finds what only half a transaction could have left.
_HALVES: Final = {
    "a message is alive and archived": "SELECT 1 FROM outbox WHERE EXISTS"
    " (SELECT 1 FROM outbox_archive AS a WHERE a.id = outbox.id AND a.sender = outbox.sender)"
    " UNION ALL SELECT 1 FROM inbox WHERE EXISTS"
    " (SELECT 1 FROM inbox_archive AS a WHERE a.id = inbox.id AND a.sender = inbox.sender)",
    "a message came and would be taken again": "SELECT 1 FROM inbox WHERE peer IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.id = inbox.id AND seen.sender = inbox.sender)",
    "a message was relayed and would be taken again": "SELECT 1 FROM outbox WHERE origin IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.id = outbox.id AND seen.sender = outbox.sender)",
    "a dedup record without its message": "SELECT 1 FROM seen WHERE id NOT IN"
    " (SELECT id FROM inbox UNION ALL SELECT id FROM inbox_archive"
    "  UNION ALL SELECT id FROM outbox UNION ALL SELECT id FROM outbox_archive)",
    "mail for an agent here is on one side only": "SELECT 1 FROM outbox WHERE peer = '' AND state <> 'queued'"
    " AND state <> 'dead' AND id NOT IN (SELECT id FROM inbox UNION ALL SELECT id FROM inbox_archive)",
    "an end without its time": "SELECT 1 FROM outbox WHERE (state = 'dead') <> (dead_at IS NOT NULL)"
    " OR (state IN ('done', 'dead')) <> (ended_at IS NOT NULL)",
    "done without its time": "SELECT 1 FROM inbox WHERE (state = 'done') <> (done_at IS NOT NULL)",
    "files of no message": "SELECT 1 FROM attached WHERE NOT EXISTS"
    " (SELECT 1 FROM outbox WHERE seq = attached.outbox UNION ALL"
    "  SELECT 1 FROM outbox_archive WHERE seq = attached.outbox)",
    "an archived message without its words": "SELECT 1 FROM outbox_archive WHERE seq NOT IN"
    " (SELECT rowid FROM outbox_words WHERE outbox_words MATCH 'sender : (me OR cloud)')"
    " UNION ALL SELECT 1 FROM inbox_archive WHERE seq NOT IN"
    " (SELECT rowid FROM inbox_words WHERE inbox_words MATCH 'sender : (me OR cloud)')",
}


def broken(connection: apsw.Connection, promises: dict[str, Promise]) -> set[str]:
    """The labels of those that do not hold there."""
    return {
        label
        for label, promise in promises.items()
        if connection.execute(promise.sql, promise.values).fetchone() is None
    }


def _either(table: str, where: str) -> str:
    return f"SELECT 1 FROM {table} WHERE {where} UNION ALL SELECT 1 FROM {table}_archive WHERE {where}"

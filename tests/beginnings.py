"""A database that is made, and one of each older schema that is brought up to date, on a disk that fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from spool.errors import SpoolError
from spool.store import sqlite
from spool.store.sqlite import SCHEMA, SqliteStore, create
from tests.faults import MOST, SAID, Count, Way
from tests.faulty_vfs import Fault, FaultyVfs, Named
from tests.power import Disk, Tally
from tests.world import damage, lay_out, look

_SCRIPTS: Final = sorted(sqlite._SQL.glob("[0-9]*.sql"))
_BODY: Final = b'{"subject": "Old", "body": "words of long ago"}'
_OLD: Final = {
    "outbox": "INSERT INTO outbox (id, sender, recipient, peer, type, priority, class, place, state, due,"
    " queued_at, expires_at, filled, digest, raw)"
    " VALUES (?1, 'me', 'you', 'p', 'message', 2, 2, 1, 'queued', ?2, ?2, 1e12, '[]', x'00', ?3)",
    "inbox": "INSERT INTO inbox (id, sender, recipient, agent, peer, type, priority, state, received_at,"
    " filled, digest, raw) VALUES (?1, 'you', 'me', 'me', 'p', 'message', 2, 'unread', ?2, '[]', x'00', ?3)",
}
_KEPT: Final = " UNION ALL ".join(
    f"SELECT '{table}', id, state, raw FROM {table}"
    for table in ("outbox", "outbox_archive", "inbox", "inbox_archive")
)


def old_files(home: Path, version: int) -> dict[str, bytes]:
    """The database of a home with mail in it, as a spool of this schema left it; its log is not empty."""
    connection = apsw.Connection(str(home / sqlite.FILE))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
    connection.execute(_SCRIPTS[0].read_text())
    for n in range(12):
        for table, when in (("outbox", "due = NULL, ended_at"), ("inbox", "done_at")):
            connection.execute(_OLD[table], (f"m{n}", 100.0 + n, _BODY))
            if n < 6:
                connection.execute(f"UPDATE {table} SET state = 'done', {when} = 200.0 WHERE id = 'm{n}'")
                connection.execute(f"INSERT INTO {table}_archive SELECT * FROM {table} WHERE id = 'm{n}'")
                connection.execute(f"DELETE FROM {table} WHERE id = 'm{n}'")
    for script in _SCRIPTS[1:version]:
        connection.execute(script.read_text())
    connection.execute(f"PRAGMA user_version={version}")
    names = (sqlite.FILE, f"{sqlite.FILE}-wal")
    found = {name: (home / name).read_bytes() for name in names}
    connection.close()
    return found


def rows_of(home: Path) -> list[Any]:
    """The mail that an old database holds."""
    with look(home / sqlite.FILE) as connection:
        return sorted(connection.execute(_KEPT).fetchall())


@dataclass
class Beginning:
    """A way for a database to come into being, which may be gone again at any point and is begun anew.

    Args:
        files: what lies in the home before.
        begin: what is done; called with the name of a VFS.
        rows: the mail that is there before and after.
    """

    home: Path
    files: dict[str, bytes]
    begin: Callable[[str], None]
    rows: list[Any]
    vfs: FaultyVfs = field(default_factory=FaultyVfs)

    def suffer(self, way: Way, count: Count, wanted: Callable[[int], bool] = lambda nth: True) -> None:
        """Begin with the first call failing, the second, and so on; each time once more without, after it."""
        vfs = self.vfs
        try:
            for nth in filter(wanted, range(1, MOST)):
                lay_out(self.home, self.files)
                vfs.fault = Fault(way.kind, nth, way.code, way.lasting, way.short)
                said = self._begin()
                fired, vfs.fault = vfs.fault.fired, None
                assert said in SAID or said is None, f"{way}, call {nth}: {said}"
                self.assert_whole(f"{way}, call {nth}")
                if not fired:
                    return
                count.points += 1
                count.kinds[way.kind] += 1
                count.overcome += said is None
                if said is not None:
                    count.said[said] += 1
        finally:
            vfs.fault = None
        raise AssertionError(f"{way}: there is no end to it")

    def _begin(self) -> str | None:
        try:
            self.begin(self.vfs.name)
        except SpoolError as exc:
            return exc.kind
        return None

    def assert_whole(self, where: str) -> None:
        """What is there now can be begun anew, and has its mail then."""
        self.begin(self.vfs.name)
        with look(self.home / sqlite.FILE) as connection:
            wrong = damage(connection)
            version = connection.execute("PRAGMA user_version").get
        assert (wrong, version) == ([], SCHEMA), f"{where}: {wrong}, schema {version}"
        assert rows_of(self.home) == self.rows, f"{where}: mail is lost"

    def cut(self, tally: Tally, rng: random.Random, points: Callable[[int], Iterator[int]]) -> None:
        """Cut the power while it begins, after some of its changes; once it has begun, it has."""
        lay_out(self.home, self.files)
        self.vfs.forget()
        disk = self._disk()
        self.vfs.changes = changes = []
        self.begin(self.vfs.name)
        self.vfs.changes = None
        wanted = {*points(len(changes)), len(changes)}
        for point, change in enumerate(changes, 1):
            disk.take(change)
            if point not in wanted:
                continue
            tally.points += 1
            for image in disk.images(rng, each=False):
                tally.cuts += 1
                lay_out(self.home, image.files)
                where = f"after change {point} of {len(changes)}, {image.how}"
                if point == len(changes):
                    SqliteStore(self.home, vfs=self.vfs.name).close()
                self.assert_whole(where)

    def _disk(self) -> Disk:
        names = {str(self.home / name): self.vfs.inode(str(self.home / name)) for name in self.files}
        content = {names[str(self.home / name)]: raw for name, raw in self.files.items()}
        disk = Disk(dict(names), content, dict(names))
        if not self.files:
            # Made empty by spool itself, before SQLite comes; its name is not on the disk yet.
            path = str(self.home / sqlite.FILE)
            disk.take(Named(path, self.vfs.inode(path)))
        return disk


def making(home: Path) -> Beginning:
    """The database of a new home."""
    return Beginning(home, {}, lambda vfs: create(home, vfs=vfs), [])


def migrating(home: Path, version: int) -> Beginning:
    """One of an older schema, opened by the spool of today."""
    files = old_files(home, version)
    rows = rows_of(home)
    return Beginning(home, files, lambda vfs: SqliteStore(home, vfs=vfs).close(), rows)


def beginning(folder: Path, version: int) -> Beginning:
    """From this schema; 0 is none, for a new home."""
    home = folder / f"from-{version}"
    (home / "run").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    return migrating(home, version) if version else making(home)

"""The SQLite store and its disk: one that is full, files of an older spool, and who may read them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from spool import home as homes
from spool.errors import StoreFull, StoreOlder
from spool.store import sqlite
from spool.store.sqlite import SCHEMA, SqliteStore, create
from tests.rows import new_outgoing, put, row

Free = Callable[[], None]
KILOBYTES = 20


@pytest.fixture(params=["tmpfs", "page limit"])
def full(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Free]]:
    """A home with room for little, and how to make room: on a real small disk where root may mount
    one, else by SQLite's own limit; the latter always."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if request.param == "tmpfs":
        options = ["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(home)]
        mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"a small disk needs root and mount: {mounted.stderr.strip()}")
        create(home)
        ballast = home / "ballast"
        try:
            room = os.statvfs(home)
            ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - 150_000))
            yield home, ballast.unlink
        finally:
            subprocess.run(["umount", "-l", str(home)], check=True)
        return
    create(home)
    empty = apsw.Connection(str(home / sqlite.FILE))
    # However large the schema is: room for a few messages.
    real, limit = sqlite.connect, [empty.execute("PRAGMA page_count").get + 20]
    empty.close()

    def limited(path: Path, *, synchronous: str, vfs: str | None = None) -> apsw.Connection:
        connection = real(path, synchronous=synchronous, vfs=vfs)
        connection.execute(f"PRAGMA max_page_count={limit[0]}")
        opened.append(connection)
        return connection

    opened: list[apsw.Connection] = []
    monkeypatch.setattr(sqlite, "connect", limited)

    def free() -> None:
        limit[0] = 100_000
        for connection in opened:
            connection.execute(f"PRAGMA max_page_count={limit[0]}")

    yield home, free


def until_full(store: SqliteStore, *, sync: bool = True) -> list[str]:
    """Put messages until the disk is full; the ids of those that were taken."""
    taken: list[str] = []
    with pytest.raises(StoreFull, match="the disk is full; free some space; nothing that was stored is lost"):
        for n in range(1000):
            with store.write(sync=sync) as tx:
                tx.outbox.put(new_outgoing(f"m{n}", raw=bytes(KILOBYTES * 1024)))
            taken.append(f"m{n}")
    return taken


@pytest.mark.parametrize("sync", [True, False])
def test_a_full_disk_is_said_so_and_loses_nothing(full: tuple[Path, Free], sync: bool) -> None:
    """What was taken is there, whole, after it and after the next start; the rest was refused."""
    home, free = full
    store = SqliteStore(home)
    taken = until_full(store, sync=sync)
    assert len(taken) >= 2

    for opened in (store, again := SqliteStore(home)):
        with opened.read() as tx:
            kept = tx.outbox.find("m", limit=1000)
        assert sorted(each.id for each in kept) == sorted(taken)
        assert all(each.raw == bytes(KILOBYTES * 1024) for each in kept)
    free()
    store.close()
    again.close()


def test_it_works_again_when_there_is_space(full: tuple[Path, Free]) -> None:
    """In the same process, without a restart."""
    home, free = full
    store = SqliteStore(home)
    taken = until_full(store)
    free()
    put(store, "after", raw=bytes(KILOBYTES * 1024))

    assert row(store, "after").seq > row(store, taken[-1]).seq
    store.quick_check()
    store.close()


def test_a_batch_that_does_not_fit_leaves_nothing(full: tuple[Path, Free]) -> None:
    """All or none."""
    home, free = full
    store = SqliteStore(home)
    with pytest.raises(StoreFull), store.write(sync=True) as tx:
        for n in range(1000):
            tx.outbox.put(new_outgoing(f"m{n}", raw=bytes(KILOBYTES * 1024)))

    with store.read() as tx:
        assert tx.outbox.counts() == {}
    put(store, "small")
    free()
    store.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a database of today."""
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    create(place)
    return place


@pytest.fixture
def newer_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This spool, and one more migration."""
    scripts = tmp_path / "sql"
    scripts.mkdir()
    for path in sqlite._SQL.glob("*.sql"):
        (scripts / path.name).write_text(path.read_text())
    (scripts / f"{SCHEMA + 1:04}_more.sql").write_text("CREATE TABLE more (a) STRICT_NOT")
    monkeypatch.setattr(sqlite, "_SQL", scripts)
    monkeypatch.setattr(sqlite, "SCHEMA", SCHEMA + 1)


def migration(text: str) -> None:
    (sqlite._SQL / f"{sqlite.SCHEMA:04}_more.sql").write_text(text)


def version(home: Path) -> int:
    connection = apsw.Connection(str(home / sqlite.FILE))
    found = sqlite._user_version(connection)
    connection.close()
    return found


def test_an_older_file_is_migrated(home: Path, newer_code: None) -> None:
    """When nobody else has it open; what was in it stays, and the store is open as any other."""
    migration("ALTER TABLE outbox ADD COLUMN colour TEXT; CREATE TABLE more (a INTEGER) STRICT;")
    store = SqliteStore(home)

    assert version(home) == SCHEMA + 1
    put(store, "m1")
    other = SqliteStore(home)
    assert row(other).id == "m1"
    other.close()
    store.close()


def test_a_migration_waits_for_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One line that says what to do, no damage; when they are gone it is made."""
    old = SqliteStore(home)
    put(old, "m1")
    request.getfixturevalue("newer_code")
    migration("CREATE TABLE more (a INTEGER) STRICT;")

    with pytest.raises(StoreOlder, match="other processes have it open; run `spool down` first"):
        SqliteStore(home)
    assert version(home) == SCHEMA
    put(old, "m2")
    old.close()
    new = SqliteStore(home)
    assert version(home) == SCHEMA + 1 and row(new, "m2")
    new.close()


def test_a_migration_that_fails_changes_nothing(home: Path, newer_code: None) -> None:
    """Its statements are one transaction, its number among them; and nobody is locked out after it."""
    migration("CREATE TABLE more (a INTEGER) STRICT; CREATE TABLE outbox (a);")
    for _ in range(2):
        with pytest.raises(apsw.SQLError, match="already exists"):
            SqliteStore(home)

    assert version(home) == SCHEMA
    migration("CREATE TABLE more (a INTEGER) STRICT;")
    SqliteStore(home).close()
    assert version(home) == SCHEMA + 1


def test_making_a_database_twice_changes_nothing(home: Path) -> None:
    """`spool init` again."""
    store = SqliteStore(home)
    put(store, "m1")
    create(home)

    assert row(store).id == "m1"
    store.close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_init_makes_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Folders 0700 and files 0600, whatever the umask, while the store is open too; only the public
    key may be read."""
    before = os.umask(umask)
    try:
        home = homes.init(tmp_path / "deep" / "home", name="here", agents=["me"]).home
        store = SqliteStore(home)
        put(store, "m1")
        found = {
            str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))
        }
        store.close()
    finally:
        os.umask(before)

    public = "keys/id_ed25519.pub"
    assert {"spool.db", "spool.db-wal", "spool.db-shm", "spool.toml", "run/home.lock", public} <= set(found)
    assert found.pop(public) == 0o644
    for name, mode in found.items():
        assert mode == (0o700 if (home / name).is_dir() else 0o600), name

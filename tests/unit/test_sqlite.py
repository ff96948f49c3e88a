"""The SQLite store's file: how it is opened, when it is refused, and what a full disk does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from spool.errors import (
    NotInitialised,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreNewer,
    UnsafeHome,
)
from spool.store import sqlite
from spool.store.sqlite import SCHEMA, SqliteStore, connect, create
from tests.rows import new_outgoing, put, row


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty database."""
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    create(place)
    return place


@pytest.fixture
def open_store(home: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Open the home's store; each is closed at the end."""
    opened: list[SqliteStore] = []

    def another() -> SqliteStore:
        opened.append(SqliteStore(home))
        return opened[-1]

    yield another
    for store in opened:
        store.close()


def pragma(connection: apsw.Connection, name: str) -> object:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone() or (None,)
    return value


def set_version(home: Path, version: int) -> None:
    connection = apsw.Connection(str(home / sqlite.FILE))
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def content(home: Path) -> dict[str, bytes]:
    """The bytes of every file of the database."""
    return {path.name: path.read_bytes() for path in home.glob("spool.db*")}


@pytest.mark.parametrize(("sync", "level"), [(True, 2), (False, 1)])
def test_synced_transactions_are_full_and_others_normal(
    open_store: Callable[[], SqliteStore], sync: bool, level: int
) -> None:
    """Asked of the very connection that writes. 2 is FULL, 1 is NORMAL; never OFF."""
    store = open_store()
    with store.write(sync=sync) as tx:
        connection = tx.outbox._db
        assert pragma(connection, "synchronous") == level  # type: ignore[arg-type]
        assert pragma(connection, "journal_mode") == "wal"  # type: ignore[arg-type]
        assert pragma(connection, "foreign_keys") == 1  # type: ignore[arg-type]


def test_a_synced_commit_syncs_and_another_does_not(home: Path) -> None:
    """Counted by the kernel: strace of one commit of each kind."""
    code = (
        "import sys, pathlib; from spool.store.sqlite import SqliteStore\n"
        "from tests.rows import new_outgoing\n"
        "s = SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "for n in range(2):\n"
        "  for sync in (True, False):\n"
        "    print(f'mark {n} {sync}', file=sys.stderr, flush=True)\n"
        "    with s.write(sync=sync) as tx: tx.outbox.put(new_outgoing(f'm{n}{sync}'))\n"
        "print('mark 9 end', file=sys.stderr, flush=True)"
    )
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = home / "trace"
    command = [
        "strace",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=fsync,fdatasync,write",
        sys.executable,
        "-c",
        code,
    ]
    subprocess.run([*command, str(home)], capture_output=True, timeout=60, check=True)

    syncs: dict[str, int] = {}
    mark = ""
    for line in trace.read_text().splitlines():
        if found := re.search(r'write\(2, "mark (\d \w+)', line):
            mark = found[1]
        elif "sync(" in line and mark:
            syncs[mark] = syncs.get(mark, 0) + 1
    # The first of each opens its connection; the second is the bare commit.
    assert syncs.get("1 True") == 1
    assert "1 False" not in syncs


@pytest.mark.parametrize("name", ["journal_mode", "synchronous", "foreign_keys"])
def test_a_pragma_that_did_not_take_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """SQLite answers with what it did instead, and says nothing else."""

    class Deaf(apsw.Connection):
        def execute(self, sql: str, *args: object) -> object:
            if sql == f"PRAGMA {name}":
                sql = "SELECT 'delete'"
            return super().execute(sql, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite.apsw, "Connection", Deaf)
    with pytest.raises(StoreError, match=f"did not take {name}"):
        connect(home / sqlite.FILE, synchronous="FULL")


def test_a_sqlite_with_the_wal_reset_bug_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sqlite.org/wal.html#walresetbug."""
    monkeypatch.setattr(sqlite.apsw, "sqlite_lib_version", lambda: "3.51.2")

    with pytest.raises(StoreError, match=r"3\.51\.2 has a bug"):
        connect(home / sqlite.FILE, synchronous="FULL")


def test_a_newer_file_is_refused_and_not_changed(home: Path) -> None:
    """It was written by a spool that knows more."""
    set_version(home, SCHEMA + 1)
    before = content(home)

    for use in (SqliteStore, create):
        with pytest.raises(StoreNewer, match=f"has schema {SCHEMA + 1}, this spool knows {SCHEMA}; upgrade"):
            use(home)
    assert content(home)[sqlite.FILE] == before[sqlite.FILE]


def test_a_store_that_is_open_notices_a_newer_file(home: Path, open_store: Callable[[], SqliteStore]) -> None:
    """An old consumer beside it stops with one line."""
    store = open_store()
    store.check_version()
    set_version(home, SCHEMA + 1)

    with pytest.raises(StoreNewer):
        store.check_version()


def zeroed(raw: bytes) -> bytes:
    return bytes(100) + raw[100:]


@pytest.mark.parametrize(
    "damage",
    [zeroed, lambda raw: b"garbage" * 1000, lambda raw: b"", lambda raw: raw[:3000], lambda raw: raw[:50]],
    ids=["zeroed header", "garbage", "empty", "cut in the first page", "cut in the header"],
)
def test_a_damaged_file_is_refused_and_not_changed(home: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whoever restores a backup finds it as it was; nothing is taken for a new file."""
    path = home / sqlite.FILE
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()

    with pytest.raises(StoreCorrupt, match=r"spool\.db.*stop spool, copy the home away"):
        SqliteStore(home)
    assert path.read_bytes() == before


def test_a_file_cut_in_the_middle_is_found_by_the_quick_check(
    home: Path, open_store: Callable[[], SqliteStore]
) -> None:
    """Which a consumer and `doctor` make; its bytes stay."""
    store = open_store()
    put(store, *(f"m{n}" for n in range(200)))
    store.close()
    path = home / sqlite.FILE
    path.write_bytes(path.read_bytes()[:-8192])
    before = path.read_bytes()

    with pytest.raises(StoreCorrupt):
        open_store().quick_check()
    assert path.read_bytes() == before


def test_a_good_file_passes_the_quick_check(open_store: Callable[[], SqliteStore]) -> None:
    """Nothing is raised."""
    open_store().quick_check()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o777])
def test_a_home_that_others_may_write_to_is_refused(home: Path, mode: int) -> None:
    """They could put another file in its place."""
    home.chmod(mode)

    with pytest.raises(UnsafeHome, match=f"chmod 700 {home}"):
        SqliteStore(home)


def test_a_home_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mode."""
    monkeypatch.setattr(sqlite.os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(UnsafeHome, match="belongs to another user"):
        SqliteStore(home)


@pytest.mark.parametrize("missing", ["home", "file"])
def test_without_a_home_there_is_no_store(home: Path, missing: str) -> None:
    """And none is made in passing."""
    if missing == "home":
        shutil.rmtree(home)
    else:
        (home / sqlite.FILE).unlink()

    with pytest.raises(NotInitialised, match="run `spool init` first"):
        SqliteStore(home)
    assert not (home / sqlite.FILE).exists()


def test_a_home_without_its_run_folder_opens(home: Path, open_store: Callable[[], SqliteStore]) -> None:
    """A backup rarely has it."""
    shutil.rmtree(home / "run")

    put(open_store(), "m1")


def test_a_file_nobody_may_read_is_an_error_of_the_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not SQLite's own: here a folder stands in its place."""
    (home / sqlite.FILE).unlink()
    (home / sqlite.FILE).mkdir()

    with pytest.raises(StoreError, match="check the disk, and the permissions"):
        SqliteStore(home)


def test_a_writer_that_waits_too_long_says_so(
    open_store: Callable[[], SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time it was given; what it wanted to write is not half there."""
    monkeypatch.setattr(sqlite, "BUSY_S", 0.1)
    one, two = open_store(), open_store()
    with one.write(sync=False) as tx:
        tx.outbox.put(new_outgoing())
        with pytest.raises(StoreBusy, match="locked by another process"), two.write(sync=False):
            pass
    assert row(two).id == "m1"

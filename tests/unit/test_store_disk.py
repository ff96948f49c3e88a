"""The store on a disk that fails and loses power: nothing promised is lost, nothing is there by half.

A share of what `python -m tests.disk_ordeals` tries: another one for each SPOOL_SEED, a number, and the same
without. SPOOL_ALL=1 tries all of it, which takes many minutes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from spool.errors import StoreError
from spool.store.sqlite import SqliteStore
from tests import disk_ordeals
from tests.desk import make_home
from tests.faulty_vfs import FULL, KINDS, Cut, Fault, FaultyVfs, Named, Synced, Written
from tests.power import Disk
from tests.world import World, lay_out, look, state_of

ALL = os.environ.get("SPOOL_ALL") == "1"


@pytest.fixture
def rng() -> random.Random:
    """Draws what is tried; pytest shows what this prints where a test fails."""
    seed = int(os.environ.get("SPOOL_SEED") or 6)
    print(f"SPOOL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def vfs() -> Iterator[FaultyVfs]:
    """A VFS with nothing wrong with it."""
    made = FaultyVfs()
    yield made
    made.close()


def test_a_commit_stands_where_its_log_cannot_be_written_back(tmp_path: Path) -> None:
    """The caller must not be told that nothing was stored."""
    home = make_home(tmp_path, "me")
    (home / "run" / "write-back.lock").mkdir()
    store = SqliteStore(home, log_pages=1)
    try:
        with store.write(sync=True) as tx:
            tx.ledger.set_fact("it", "stands")
        with store.read() as tx:
            assert tx.ledger.fact("it") == "stands"
    finally:
        store.close()


@pytest.mark.timeout(3600 if ALL else 120)
def test_a_call_to_the_disk_that_fails_is_an_error_of_the_store_or_nothing(
    tmp_path: Path, rng: random.Random
) -> None:
    """Each operation says so with nothing changed, or has succeeded, and the same process goes on."""
    count = disk_ordeals.faults(tmp_path, None if ALL else rng)

    print(count)
    assert count.points > 50 and count.said["store_failed"] and count.overcome


@pytest.mark.timeout(3600 if ALL else 120)
def test_after_a_power_cut_what_was_promised_is_there_and_the_rest_is_whole(
    tmp_path: Path, rng: random.Random
) -> None:
    """What is lost are the last transactions that were not synced, each whole; whoever was told something
    finds it there."""
    tally = disk_ordeals.power(tmp_path, rng, points=None if ALL else 40)

    print(tally)
    assert tally.images > 100 and tally.lost_commits


@pytest.mark.timeout(3600 if ALL else 120)
def test_after_a_sync_that_failed_a_later_promise_survives_a_power_cut(
    tmp_path: Path, rng: random.Random
) -> None:
    """The kernel takes what it failed to write for written: only what is written anew gets to the disk."""
    tally = disk_ordeals.power(tmp_path, rng, points=None if ALL else 20, syncs_fail=True)

    print(tally)
    assert tally.images


def test_what_failed_to_commit_does_not_come_back(tmp_path: Path) -> None:
    """Its log was whole when the sync failed: whoever was told that nothing is stored must be right."""
    world = World(tmp_path, pages=10_000)
    try:
        world.open()
        # The first sync of a log is that of its beginning.
        world.spool.send("cloud-1", body="a")
        before = world.state()
        world.vfs.fault = Fault("sync", 1)
        with pytest.raises(StoreError, match="check the disk"):
            world.spool.send("cloud-1", body="b")
        world.vfs.fault = None
        killed = tmp_path / "killed"
        killed.mkdir()
        lay_out(killed, world.files())
        with look(killed / "spool.db") as connection:
            assert state_of(connection) == before
    finally:
        world.end()


def test_a_page_that_cannot_be_read_is_not_taken_for_damage(tmp_path: Path) -> None:
    """Nobody should put a backup back because a disk did not answer."""
    world = World(tmp_path)
    try:
        world.open()
        world.spool.send("cloud-1", body="b" * 20_000)
        world.close()
        world.open()
        world.vfs.fault = Fault("read", 12, lasting=True)
        with pytest.raises(StoreError, match="check the disk") as raised:
            world.spool.store.quick_check()
        assert world.vfs.fault.fired and raised.value.kind == "store_failed"
        world.vfs.fault = None
        world.spool.store.quick_check()
    finally:
        world.end()


@pytest.mark.timeout(3600 if ALL else 120)
def test_a_database_that_was_begun_is_begun_again(tmp_path: Path, rng: random.Random) -> None:
    """A new one and one of an older schema, with every way to break it off; its mail is there in the end."""
    if ALL:
        count, tally = disk_ordeals.begin(tmp_path, rng)
    else:
        count, tally = disk_ordeals.begin(tmp_path, rng, versions=2, one_in=25, points=6)

    print(count, tally)
    assert count.points and tally.cuts


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"delete", "truncate"}))
def test_each_kind_of_call_reaches_sqlite(tmp_path: Path, vfs: FaultyVfs, kind: str) -> None:
    """Else a run in which nothing fails would pass for one in which everything was overcome."""
    vfs.fault = Fault(kind, 1, lasting=True)

    with pytest.raises(apsw.Error):
        _use(tmp_path, vfs)
    assert vfs.fault.fired
    vfs.fault = None
    _use(tmp_path, vfs)


def test_a_full_disk_takes_the_first_half(tmp_path: Path, vfs: FaultyVfs) -> None:
    """As real ones do."""
    vfs.changes = []
    vfs.fault = Fault("write", 1, FULL, lasting=True, short=True)

    with pytest.raises(apsw.FullError):
        _use(tmp_path, vfs)
    written = [each for each in vfs.changes if isinstance(each, Written)]
    assert {len(each.raw) for each in written} <= {2, 4, 6, 12, 256, 2048}


def _use(folder: Path, vfs: FaultyVfs) -> None:
    connection = apsw.Connection(str(folder / "a.db"), vfs=vfs.name)
    try:
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1); SELECT * FROM t")
    finally:
        connection.close()


def _images(disk: Disk, seed: int = 1) -> dict[str, dict[str, bytes]]:
    return {image.how: image.files for image in disk.images(random.Random(seed), each=True)}


def test_what_was_synced_is_on_the_disk_and_the_rest_may_be() -> None:
    """The model of a disk that the power cuts rest on."""
    disk = Disk({"/h/a": 1}, {1: b"old!"}, {"/h/a": 1})
    for change in (Written(1, 0, b"new"), Synced(1, False), Written(1, 4, b"more"), Cut(1, 2)):
        disk.take(change)

    found = _images(disk)
    assert found["nothing is lost"] == {"a": b"ne"}
    assert found["all is lost"] == {"a": b"new!"}
    assert found["only (1, 0) is kept"] == {"a": b"new!more"}
    assert found["only (1, 0) is lost"] == {"a": b"ne"}


def test_a_name_that_was_not_synced_may_be_lost() -> None:
    """With its file; and one that was taken away may be back."""
    disk = Disk({"/h/a": 1, "/h/b": 2}, {1: b"a", 2: b"b"}, {"/h/a": 1, "/h/b": 2})
    for change in (Named("/h/c", 3), Written(3, 0, b"c"), Synced(3, False), Named("/h/b", None)):
        disk.take(change)

    found = _images(disk)
    assert found["nothing is lost"] == {"a": b"a", "c": b"c"}
    assert found["names are lost"] == {"a": b"a", "b": b"b"}
    disk.take(Synced(3, True))
    assert _images(disk) == {how: {"a": b"a", "c": b"c"} for how in ("nothing is lost", "all is lost")}


def test_a_page_is_torn_at_its_sectors() -> None:
    """Each of them is old or new."""
    disk = Disk({"/h/a": 1}, {1: b"." * 2048}, {"/h/a": 1})
    disk.take(Written(1, 100, b"#" * 1500))

    kept = [_images(disk, seed)["sectors are kept"]["a"] for seed in range(20)]
    parts = {tuple({raw[at : at + 412] for at in (100,)}) for raw in kept}
    assert parts == {(b"." * 412,), (b"#" * 412,)}
    assert len({bytes(raw) for raw in kept}) > 4 and {len(raw) for raw in kept} == {2048}

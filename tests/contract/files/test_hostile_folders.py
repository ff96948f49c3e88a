"""Folders whose owner means harm, and crashes at bad moments, over every way to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.store.base import Unproven
from spool.transports import take
from spool.transports.base import Files
from spool.transports.put_off import AGAIN_S, TOLD_A_MINUTE, TOLD_NAMES, Told
from spool.transports.receipts import GONE_SAYS
from tests.contract.files.test_receipts import Place
from tests.contract.files.test_taking import LIMIT, PATIENCE_S, WHOLE, Bench
from tests.folders import Reach

CLAIM = f".spool-laptop~{'0' * 16}~"


class Crash(Exception):
    """The process ends here."""


@pytest.fixture
def bench(reach: Reach, files: Files) -> Bench:
    """A folder and its taker."""
    return Bench(reach, files)


@pytest.fixture
def place(reach: Reach, files: Files) -> Place:
    """A folder that is looked after, as over a network: nothing tells whether a file was read."""
    return Place(reach, files, witness=False)


@pytest.mark.parametrize("name", ["m.json", f"{CLAIM}m.json"])
def test_what_is_too_large_is_never_removed(bench: Bench, name: str) -> None:
    """Also where it grew after it was claimed, or somebody gave it the name of a claim."""
    whole = WHOLE + b" " * LIMIT + b"and what follows"
    bench.put(name, whole)
    bench.taker.take()
    bench.now += PATIENCE_S + 1
    bench.taker.take()
    (aside,) = bench.left()
    assert (bench.folder / aside).read_bytes() == whole
    assert [(name, aside in reason) for name, reason in bench.tray.refused] == [("m.json", True)]


def test_a_giant_without_a_row_stays_under_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden, with no word of it in a full quarantine, nobody would find it."""
    monkeypatch.setattr(bench.tray, "refuse", lambda found, reason: False)
    bench.put("giant.json", b"x" * (LIMIT + 1))
    bench.taker.take()
    assert bench.left() == ["giant.json"] and not bench.tray.known


def test_one_look_takes_only_so_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else our own mail waits until somebody's hundred thousand files are taken."""
    monkeypatch.setattr(take, "MOST", 3)
    for n in range(5):
        bench.put(f"m{n}.json")
    assert (bench.taker.take(), bench.taker.has_more) == (3, True)
    assert (bench.taker.take(), bench.taker.has_more) == (2, False)


def test_what_cannot_be_kept_stands_before_nothing_that_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full quarantine, a thousand bad files cost a few reads, and the good one is taken."""
    monkeypatch.setattr(take, "MOST", 3)
    bench.tray.is_full = True
    for n in range(5):
        os.utime(bench.put(f"bad{n}.json"), (1000, 1000))
    assert bench.taker.take() == bench.taker.take() == 0
    bench.tray.is_full = False
    bench.put("good.json")
    assert bench.taker.take() == 1
    assert [name for name, _ in bench.tray.got] == ["good.json"]
    bench.now += AGAIN_S
    assert bench.taker.take() == 5
    assert bench.left() == []


def test_what_cannot_be_read_stands_before_nothing_that_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beginnings that never end, say: each look would begin with them."""
    monkeypatch.setattr(take, "MOST", 2)
    for n in range(4):
        os.utime(bench.put(f"half{n}.json", b"{"), (1000, 1000))
    bench.put("good.json")
    taken = 0
    for _ in range(8):
        taken += bench.taker.take()
        bench.now += 1
    assert taken == 1


def test_names_without_end_fill_neither_the_memory_nor_the_log() -> None:
    """They are theirs to choose: a link under a new name, a thousand times a second."""
    now = 0.0
    told = Told(lambda: now)
    said = [n for n in range(5000) if told.is_new(f"link{n}.json", "it is a link")]
    assert said == list(range(TOLD_A_MINUTE))
    for n in range(10 * TOLD_NAMES):
        now += 60.0
        assert told.is_new(f"later{n}.json", "it is a link")
        assert not told.is_new(f"later{n}.json", "it is a link")
    assert len(told._reasons) == TOLD_NAMES


def test_the_same_words_are_read_no_more_than_needed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    """A file that does not change shows nothing new until its time is over."""
    read: list[Sequence[str]] = []
    fetch = files.fetch
    monkeypatch.setattr(
        files, "fetch", lambda paths, max_bytes: read.append(paths) or fetch(paths, max_bytes=max_bytes)
    )
    bench.put("half.json", b"{")
    for _ in range(int(PATIENCE_S) - 1):
        bench.taker.take()
        bench.now += 1
    assert sum(map(len, read)) == 3


def test_a_crash_while_a_message_is_taken_back_makes_it_dead_and_not_received(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went because we removed it; nobody took it."""
    place.publish("m1")
    place.ledger.late = {"m1"}
    withdrawn = place.ledger.withdrawn

    def dies(rows: Sequence[Unproven]) -> None:
        raise Crash

    monkeypatch.setattr(place.ledger, "withdrawn", dies)
    with pytest.raises(Crash):
        place.receipts.look()
    monkeypatch.setattr(place.ledger, "withdrawn", withdrawn)
    place.ledger.late = set()
    assert place.receipts.look() == 1
    assert place.ledger.dead == ["m1"] and place.ledger.told == {}
    assert place.hidden() == []


def test_a_crash_after_a_message_was_taken_back_leaves_nothing_for_its_next_life(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revived, published again and taken, it was received."""
    place.publish("m1")
    place.ledger.late = {"m1"}
    withdrawn = place.ledger.withdrawn

    def dies(rows: Sequence[Unproven]) -> None:
        withdrawn(rows)
        raise Crash

    monkeypatch.setattr(place.ledger, "withdrawn", dies)
    with pytest.raises(Crash):
        place.receipts.look()
    assert len(place.hidden()) == 1
    place.ledger.late = set()
    place.publish("m1")
    place.file("m1").unlink()
    assert place.receipts.look() == 1
    assert place.ledger.told == {"m1": GONE_SAYS}
    assert place.receipts.sweep() == 1 and place.hidden() == []


def test_hidden_files_of_others_are_left_alone(reach: Reach, files: Files) -> None:
    """Not everything that ends as our names do is ours."""
    place = Place(reach, files)
    theirs = reach.folder / ".notes.held"
    theirs.write_text("mine")
    place.receipts.sweep()
    assert Path(theirs).exists()


@pytest.mark.parametrize("kind", ["directory"])
def test_what_is_put_under_the_name_within_the_rename_is_not_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename in two steps, link and unlink, would remove what came between them."""
    unlink, came = os.unlink, []

    def hurried(path: str, *, dir_fd: int | None = None) -> None:
        if path == "m.json":
            came.append(bench.put(".second", WHOLE + b" ").rename(bench.folder / "m.json"))
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", hurried)
    bench.put("m.json")
    bench.taker.take()
    monkeypatch.setattr(os, "unlink", unlink)
    assert [raw for _, raw in bench.tray.got] == [WHOLE]
    assert all(path.exists() for path in came)

"""Taking by the rules, over every way to a peer's folders: whole, once, and nothing is lost meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.foreign import Found, id_of
from spool.transports.base import Entry, Files
from spool.transports.take import Taker
from tests.contract.files.test_publishing import Faulty
from tests.folders import Reach

WHOLE = b'{"from":"a","to":"b","subject":"x"}'
LIMIT = 1000
PATIENCE_S = 60.0


class Tray:
    """Takes in what it is given, and remembers as a host does."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.refused: list[tuple[str, str]] = []
        self.known: dict[str, tuple[int, float]] = {}
        self.is_full = False

    def take(self, found: Sequence[Found]) -> list[bool]:
        if self.is_full:
            return [False] * len(found)
        self.got += [(each.name, each.raw) for each in found]
        return [True] * len(found)

    def refuse(self, found: Found, reason: str) -> bool:
        self.refused.append((found.name, reason))
        return True

    def remembered(self, entries: Sequence[Entry]) -> set[str]:
        return {each.name for each in entries if self.known.get(each.name) == (each.size, each.mtime)}

    def remember(self, found: Found) -> None:
        self.known[found.name] = (found.size, found.mtime)

    def spare(self) -> list[str]:
        return []


class Bench:
    """A folder, who takes from it, and a clock that a test moves."""

    def __init__(self, reach: Reach, files: object) -> None:
        self.folder = reach.folder
        self.tray = Tray()
        self.now = 0.0
        self.taker = self.another(files)

    def another(self, files: object) -> Taker:
        """A taker that knows nothing of the one before, as after a crash."""
        return Taker(
            files,  # type: ignore[arg-type]  # Faulty passes on
            str(self.folder),
            self.tray,
            host="laptop",
            max_bytes=LIMIT,
            monotonic=lambda: self.now,
            patience_s=PATIENCE_S,
        )

    def put(self, name: str, raw: bytes = WHOLE) -> Path:
        """Leave a file there, as a script does."""
        path = self.folder / name
        path.write_bytes(raw)
        return path

    def left(self) -> list[str]:
        """What is in the folder."""
        return sorted(os.listdir(self.folder))


@pytest.fixture
def bench(reach: Reach, files: Files) -> Bench:
    """A folder and its taker."""
    return Bench(reach, files)


def test_whole_files_are_taken_oldest_first_and_removed(bench: Bench) -> None:
    """In the order they were written, whatever their names."""
    for n, name in enumerate(["c.json", "a.json", "b.json"]):
        os.utime(bench.put(name), (1000 + n, 1000 + n))
    assert bench.taker.take() == 3
    assert [name for name, _ in bench.tray.got] == ["c.json", "a.json", "b.json"]
    assert bench.left() == []


def test_many_files_are_taken_in_one_go(bench: Bench) -> None:
    """More than fit a batch."""
    for n in range(600):
        bench.put(f"m{n}.json")
    assert bench.taker.take() == 600
    assert bench.left() == []


def test_a_file_that_still_grows_is_left_until_it_is_whole(bench: Bench) -> None:
    """A beginning of JSON is no JSON, however long the writer sleeps within it."""
    for end in (0, 1, 10, len(WHOLE) - 1):
        bench.put("m.json", WHOLE[:end])
        assert bench.taker.take() == 0
        assert bench.left() == ["m.json"]
        bench.now += PATIENCE_S - 1
    bench.put("m.json")
    assert bench.taker.take() == 1
    assert bench.tray.got == [("m.json", WHOLE)]


def test_one_that_never_becomes_whole_is_taken_for_what_it_is(bench: Bench) -> None:
    """After a minute in which it did not change; it holds nobody else up."""
    bench.put("half.json", WHOLE[:10])
    bench.put("good.json")
    assert bench.taker.take() == 1
    bench.now += PATIENCE_S + 1
    assert bench.taker.take() == 1
    assert bench.tray.got == [("good.json", WHOLE), ("half.json", WHOLE[:10])]


def test_what_a_crash_left_claimed_is_taken_under_its_own_name(bench: Bench, files: Files) -> None:
    """Its id is made of that name, so it is the same message."""
    bench.put("m.json")
    bench.tray.is_full = True
    assert bench.taker.take() == 0
    (claimed,) = bench.left()
    assert claimed.startswith(".spool-laptop~")
    bench.tray.is_full = False
    assert bench.another(files).take() == 1
    assert bench.tray.got == [("m.json", WHOLE)]
    assert bench.left() == []


def test_another_hosts_claim_is_left_alone(bench: Bench) -> None:
    """Two hosts may take from one folder."""
    bench.put(f".spool-desktop~{'0' * 16}~m.json")
    assert bench.taker.take() == 0
    assert len(bench.left()) == 1


def test_what_is_written_under_the_name_after_the_claim_is_a_new_file(reach: Reach, files: Files) -> None:
    """The scripts write over their own files; both were meant."""
    other = WHOLE.replace(b"x", b"y")

    def and_write(move: object, pairs: Sequence[tuple[str, str]]) -> object:
        moved = move(pairs)  # type: ignore[operator]
        bench.put("m.json", other)
        return moved

    bench = Bench(reach, Faulty(files, move=and_write))
    bench.put("m.json")
    assert bench.taker.take() == 1
    assert bench.taker.take() == 1
    assert bench.tray.got == [("m.json", WHOLE), ("m.json", other)]
    assert bench.left() == []


def test_one_written_over_between_two_looks_is_taken_both_times(reach: Reach, files: Files) -> None:
    """Before the claim: the first was read whole, so it is not lost either."""
    other = WHOLE.replace(b"x", b"y")

    def write_first(move: object, pairs: Sequence[tuple[str, str]]) -> object:
        bench.put("m.json", other)
        return move(pairs)  # type: ignore[operator]

    bench = Bench(reach, Faulty(files, move=write_first))
    bench.put("m.json")
    assert bench.taker.take() == 1
    assert bench.tray.got == [("m.json", WHOLE), ("m.json", other)]


def test_what_is_no_file_is_never_opened_and_stays(bench: Bench) -> None:
    """Not a pipe, which would block, nor what a link points to."""
    os.mkfifo(bench.folder / "pipe.json")
    (bench.folder / "folder.json").mkdir()
    elsewhere = bench.folder.parent / "elsewhere.json"
    elsewhere.write_bytes(WHOLE)
    (bench.folder / "link.json").symlink_to(elsewhere)
    (bench.folder / "nowhere.json").symlink_to("/no/such/file")
    bench.put("good.json")
    began = time.monotonic()
    assert bench.taker.take() == 1
    assert time.monotonic() - began < 5
    assert [name for name, _ in bench.tray.got] == ["good.json"]
    assert bench.left() == ["folder.json", "link.json", "nowhere.json", "pipe.json"]
    assert elsewhere.read_bytes() == WHOLE


def test_other_names_are_nobodys_mail(bench: Bench) -> None:
    """`*.json` is what the scripts write."""
    for name in (".hidden.json", "notes.txt", "m.json.tmp", "json"):
        bench.put(name)
    assert bench.taker.take() == 0
    assert len(bench.left()) == 4


def test_hostile_names_are_taken_and_name_nothing(bench: Bench) -> None:
    """Line breaks, bytes that are no UTF-8, dashes first, the longest there can be."""
    names = [
        "a\nb.json",
        "-rf.json",
        'x","status":"done.json',
        os.fsdecode(b"\xff\xfe.json"),
        "l" * 250 + ".json",
    ]
    for name in names:
        bench.put(name)
    assert bench.taker.take() == len(names)
    assert bench.left() == []
    ids = {id_of(Found(name, raw, 0.0)) for name, raw in bench.tray.got}
    assert len(ids) == len(names)
    assert all(id.replace("-", "").replace(".", "").replace("_", "").isalnum() for id in ids)


def test_a_giant_is_set_aside_unread_and_its_beginning_kept(bench: Bench) -> None:
    """Ten sparse gigabytes cost nothing, and the file is not lost."""
    with (bench.folder / "giant.json").open("wb") as file:
        file.write(b'{"from"')
        file.truncate(10 * 1024**3)
    bench.put("good.json")
    assert bench.taker.take() == 1
    ((name, reason),) = bench.tray.refused
    assert name == "giant.json" and "10,737,418,240 bytes" in reason
    (aside,) = bench.left()
    assert aside.startswith(".spool-refused~") and aside in reason
    assert bench.taker.take() == 0 and len(bench.tray.refused) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_cannot_be_removed_is_taken_once(reach: Reach, files: Files) -> None:
    """It stays, and is known again until it changes."""
    bench = Bench(reach, files)
    bench.put("m.json")
    reach.folder.chmod(0o500)
    try:
        assert bench.taker.take() == 1
        assert bench.taker.take() == 0
    finally:
        reach.folder.chmod(0o700)
    bench.put("m.json", WHOLE + b"  ")
    assert bench.taker.take() == 1

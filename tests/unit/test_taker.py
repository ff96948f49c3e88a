"""Taking from a folder where one thing fails: what it leaves, what it says, and when it looks again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spool import log
from spool.foreign import Found
from spool.transports.base import Entry, Failure
from spool.transports.directory import Directory
from spool.transports.put_off import AGAIN_S
from spool.transports.take import BATCH, BATCH_BYTES, REFUSED, Taker, _batches

WHOLE = b'{"from":"a","to":"b","subject":"x"}'
LIMIT = 100


class Faulty(Directory):
    """A folder of this machine of which one call fails, once for each name in `fails`."""

    def __init__(self) -> None:
        super().__init__(0o600)
        self.fails: set[str] = set()
        self.before_fetch: list[Any] = []

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> list[bytes | Failure | None]:
        if self.before_fetch and (step := self.before_fetch.pop(0)) is not None:
            step()
        return self._or_fail("fetch", super().fetch(paths, max_bytes=max_bytes), paths)

    def move(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        if "move" in self.fails:
            self.fails.remove("move")
            return [Failure(f"{old}: no rename here") for old, _ in pairs]
        return super().move(pairs)

    def remove(self, paths: Sequence[str]) -> list[bool | Failure]:
        return self._or_fail("remove", [] if "remove" in self.fails else super().remove(paths), paths)

    def _or_fail(self, what: str, done: list[Any], paths: Sequence[str]) -> list[Any]:
        if what not in self.fails:
            return done
        self.fails.remove(what)
        return [Failure(f"{path}: no {what} here") for path in paths]


class Keeper:
    """Takes in what it is given, unless it is full."""

    def __init__(self) -> None:
        self.got: list[Found] = []
        self.refused: list[tuple[Found, str]] = []
        self.kept: list[Found] = []
        self.full = False
        self.spared: list[str] = []

    def take(self, found: Sequence[Found]) -> list[bool]:
        if not self.full:
            self.got += found
        return [not self.full] * len(found)

    def refuse(self, found: Found, reason: str) -> bool:
        if not self.full:
            self.refused.append((found, reason))
        return not self.full

    def remembered(self, entries: Sequence[Entry]) -> set[str]:
        return {each.name for each in self.kept}

    def remember(self, found: Found) -> None:
        self.kept.append(found)

    def spare(self) -> list[str]:
        spared, self.spared = self.spared, []
        return spared


class Bench:
    """A folder, its taker, and a clock to turn."""

    def __init__(self, folder: Path, said: list[tuple[str, str]]) -> None:
        self.folder, self.said = folder, said
        self.now = 0.0
        self.files, self.keeper = Faulty(), Keeper()
        self.taker = Taker(
            self.files,
            str(folder),
            self.keeper,
            host="laptop",
            max_bytes=LIMIT,
            monotonic=lambda: self.now,
        )

    def put(self, name: str, raw: bytes = WHOLE) -> Path:
        path = self.folder / name
        path.write_bytes(raw)
        return path

    def take(self, *, later_s: float = 0.0) -> int:
        self.now += later_s
        return self.taker.take()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def got(self) -> list[tuple[str, bytes]]:
        return [(found.name, found.raw) for found in self.keeper.got]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An empty folder; what is said of its files is kept."""
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(log, "warning", lambda event, **more: said.append((more["file"], more["error"])))
    folder = tmp_path / "out"
    folder.mkdir()
    return Bench(folder, said)


def test_a_file_that_cannot_be_read_is_said_once_and_tried_again_later(bench: Bench) -> None:
    """Not each time: it may stay so for a year."""
    path = bench.put("m.json")
    bench.files.fails = {"fetch"}

    assert bench.take() == 0
    assert bench.said == [("m.json", f"{path}: no fetch here")]
    assert bench.take(later_s=AGAIN_S - 0.1) == 0
    assert bench.take(later_s=0.1) == 1
    assert (bench.got(), bench.left(), len(bench.said)) == ([("m.json", WHOLE)], [], 1)


def test_a_claim_that_cannot_be_read_stays_under_its_hidden_name(bench: Bench) -> None:
    """It is found again by that, and taken under its own."""
    bench.put("m.json")
    bench.files.before_fetch = [None, lambda: bench.files.fails.add("fetch")]

    assert bench.take() == 0
    (hidden,) = bench.left()
    assert hidden.startswith(".spool-laptop~") and hidden.endswith("~m.json")
    assert [name for name, _ in bench.said] == [hidden]
    assert bench.take(later_s=1.0) == 0
    assert bench.take(later_s=AGAIN_S) == 1
    assert (bench.got(), bench.left()) == ([("m.json", WHOLE)], [])


def test_a_claim_that_is_gone_again_is_nobodys(bench: Bench) -> None:
    """Somebody there took it back between the two looks; others are taken all the same."""

    def gone() -> None:
        for path in bench.folder.glob(".spool-*~m1.json"):
            path.unlink()

    bench.put("m1.json")
    bench.put("m2.json")
    bench.files.before_fetch = [None, gone]

    assert bench.take() == 1
    assert (bench.got(), bench.left()) == ([("m2.json", WHOLE)], [])


def test_one_written_over_between_two_looks_is_taken_both_times(bench: Bench) -> None:
    """Both were whole, so both were meant; each with its own size and the time of its file."""
    newer = b'{"from":"a","to":"b","subject":"newer"}'

    def write_over() -> None:
        (hidden,) = bench.folder.iterdir()
        hidden.write_bytes(newer)

    mtime = bench.put("m.json").stat().st_mtime
    bench.files.before_fetch = [None, write_over]

    assert bench.take() == 1
    assert [(found.name, found.raw, found.size) for found in bench.keeper.got] == [
        ("m.json", WHOLE, len(WHOLE)),
        ("m.json", newer, len(newer)),
    ]
    assert [found.mtime for found in bench.keeper.got] == pytest.approx([mtime, mtime], abs=1.0)
    assert bench.left() == []


def test_what_cannot_be_removed_is_said_and_tried_again(bench: Bench) -> None:
    """It is taken in; that it is offered again is answered there as a copy."""
    bench.put("m.json")
    bench.files.fails = {"remove"}

    assert bench.take() == 1
    (hidden,) = bench.left()
    assert [name for name, _ in bench.said] == [hidden]
    assert bench.take(later_s=AGAIN_S) == 1
    assert bench.left() == []


def test_what_cannot_be_renamed_is_taken_and_remembered(bench: Bench) -> None:
    """It stays under its name, and is not taken twice."""
    path = bench.put("m.json")
    bench.files.fails = {"move"}

    assert bench.take() == 1
    assert (bench.got(), bench.left()) == ([("m.json", WHOLE)], ["m.json"])
    assert [found.name for found in bench.keeper.kept] == ["m.json"]
    assert bench.said == [("m.json", f"taken, and cannot be removed: {path}: no rename here")]
    assert bench.take() == 0


def test_what_cannot_be_kept_here_waits_there(bench: Bench) -> None:
    """Claimed or not, it is offered again; until it is on this disk nothing there is removed."""
    bench.put("m.json")
    bench.keeper.full = True

    assert bench.take() == 0
    assert len(bench.left()) == 1
    bench.keeper.full = False
    assert bench.take(later_s=AGAIN_S - 0.1) == 0
    bench.taker.try_again()
    assert bench.take() == 1
    assert (bench.got(), bench.left()) == ([("m.json", WHOLE)], [])


def test_one_that_could_not_be_renamed_and_not_kept_is_not_remembered(bench: Bench) -> None:
    """It would never be taken."""
    bench.put("m.json")
    bench.files.fails, bench.keeper.full = {"move"}, True

    assert bench.take() == 0
    assert (bench.keeper.kept, bench.said) == ([], [])


def test_a_giant_goes_out_of_the_way_with_a_row_that_says_where(bench: Bench) -> None:
    """Of the file, as much as a message may have is kept; of its name, all."""
    bench.put("m.json", b"x" * (LIMIT + 1))

    assert bench.take() == 0
    ((found, reason),) = bench.keeper.refused
    (aside,) = bench.left()
    assert (found.name, len(found.raw), found.size) == ("m.json", LIMIT, LIMIT + 1)
    assert aside.startswith(REFUSED) and aside.endswith("~m.json")
    assert reason.startswith(f"too large: {LIMIT + 1:,} bytes, the limit is {LIMIT:,}; ")
    assert reason.endswith(f"{bench.folder}/{aside}")


def test_a_giant_that_cannot_be_moved_stays_and_is_remembered(bench: Bench) -> None:
    """It is not looked into each round."""
    path = bench.put("m.json", b"x" * (LIMIT + 1))
    bench.files.fails = {"move"}
    bench.take()

    assert bench.left() == ["m.json"]
    assert [found.name for found in bench.keeper.kept] == ["m.json"]
    assert bench.said == [("m.json", f"too large, kept as {path}: {path}: no rename here")]


def test_a_giant_whose_place_aside_is_taken_says_so(bench: Bench) -> None:
    """A script may have put it there twice."""
    path = bench.put("m.json", b"x" * (LIMIT + 1))
    entry = path.stat()
    bench.take()
    (aside,) = bench.left()
    again = bench.put("m.json", b"x" * (LIMIT + 1))
    os.utime(again, ns=(entry.st_mtime_ns, entry.st_mtime_ns))
    bench.take()

    assert bench.left() == [aside, "m.json"]
    assert bench.said == [("m.json", f"too large, kept as {path}: {bench.folder}/{aside}: the name is taken")]


def test_a_giant_that_the_quarantine_has_no_room_for_stays(bench: Bench) -> None:
    """Hidden without a row it would be lost."""
    bench.put("m.json", b"x" * (LIMIT + 1))
    bench.keeper.full = True
    bench.take()

    assert (bench.left(), bench.keeper.refused) == (["m.json"], [])


def test_as_long_as_may_be_is_no_giant(bench: Bench) -> None:
    """The limit itself is allowed."""
    bench.put("m.json", WHOLE + b" " * (LIMIT - len(WHOLE)))

    assert bench.take() == 1
    assert bench.keeper.refused == []


@pytest.mark.parametrize(
    ("kind", "what"), [("folder", "folder"), ("link", "link"), ("pipe", "pipe, socket or device")]
)
def test_what_is_no_file_is_said_to_be_what_it_is(bench: Bench, kind: str, what: str) -> None:
    """Once; it is not opened."""
    path = bench.folder / "m.json"
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("nowhere")
        case _:
            os.mkfifo(path)
    bench.take()
    bench.take()

    assert bench.said == [("m.json", f"it is a {what}, and no file")]


def test_files_that_came_along_go_before_their_message(bench: Bench) -> None:
    """When it is gone itself, nothing there names them any more; one that stays is said."""
    (bench.folder / "attachments").mkdir()
    spare = bench.folder / "attachments" / "aa"
    spare.write_bytes(b"x")
    bench.put("m.json")
    bench.keeper.spared = ["aa"]

    assert bench.take() == 1
    assert (spare.exists(), bench.left()) == (False, ["attachments"])


def test_a_file_that_came_along_and_cannot_be_removed_is_said(bench: Bench) -> None:
    """The message is taken all the same."""
    bench.put("m.json")
    bench.keeper.spared, bench.files.fails = ["aa"], {"remove"}

    assert bench.take() == 1
    assert bench.said == [("attachments/aa", f"{bench.folder}/attachments/aa: no remove here")]


def test_what_grows_is_looked_at_again_and_taken_when_it_is_whole(bench: Bench) -> None:
    """A beginning is no message."""
    bench.put("m.json", WHOLE[:-5])
    assert bench.take() == 0
    bench.put("m.json")

    assert bench.take(later_s=0.1) == 1
    assert bench.got() == [("m.json", WHOLE)]


def entries(*sizes: int) -> list[Entry]:
    return [Entry(f"{n}.json", "file", size, 0.0) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([1] * (BATCH + 1), [BATCH, 1]),
        ([BATCH_BYTES // 2] * 3, [2, 1]),
        ([BATCH_BYTES, 1], [1, 1]),
        ([BATCH_BYTES + 1, BATCH_BYTES + 1], [1, 1]),
        ([], []),
    ],
)
def test_so_much_is_read_at_once(sizes: list[int], counts: list[int]) -> None:
    """Neither too many nor too large; each alone is read however large it is."""
    assert [len(batch) for batch in _batches(entries(*sizes))] == counts

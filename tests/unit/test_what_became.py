"""What the state of a folder says of messages that were left there, one look at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.store.base import Unproven
from spool.transports.base import Failure
from spool.transports.directory import Directory
from spool.transports.receipts import (
    FEW,
    GONE_SAYS,
    PROCESSED,
    PROCESSED_SAYS,
    READ_SAYS,
    UNREAD_SAYS,
    Receipts,
)


class Believer:
    """A host that keeps in memory what it is told."""

    host = "here"

    def __init__(self) -> None:
        self.rows: list[Unproven] = []
        self.late: set[str] = set()
        self.known: dict[str, float] = {}
        self.now = 100.0
        self.got: list[tuple[str, str]] = []
        self.again: list[tuple[str, str]] = []
        self.dead: list[str] = []

    def unproven(self, *, after: int, limit: int) -> list[Unproven]:
        return [row for row in self.rows if row.seq > after][:limit]

    def received(self, seen: Sequence[tuple[Unproven, str]]) -> None:
        self.got += [(row.id, how) for row, how in seen]
        self._forget(row.id for row, _ in seen)

    def lost(self, rows: Sequence[Unproven], why: str) -> None:
        self.again += [(row.id, why) for row in rows]
        self._forget(row.id for row in rows)

    def expired(self, rows: Sequence[Unproven]) -> list[Unproven]:
        return [row for row in rows if row.id in self.late]

    def withdrawn(self, rows: Sequence[Unproven]) -> None:
        self.dead += [row.id for row in rows]
        self._forget(row.id for row in rows)

    def same_since(self, identity: str) -> float:
        return self.known.setdefault(identity, self.now)

    def _forget(self, ids: object) -> None:
        gone = set(ids)  # type: ignore[call-overload]
        self.rows = [row for row in self.rows if row.id not in gone]


class Saw:
    """A witness that knows what was read."""

    def __init__(self, **read: bool) -> None:
        self.read = read

    def share(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        return [True] * len(pairs)

    def mark(self, paths: Sequence[str]) -> list[Failure | None]:
        return [None] * len(paths)

    def was_read(self, paths: Sequence[str]) -> list[bool | Failure | None]:
        return [self.read.get(os.path.basename(path).split(".")[1]) for path in paths]


class Shelf:
    """A folder, what was left in it, and who looks after that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files, self.believer = Directory(0o600), Believer()
        self.receipts = self.another()

    def another(self, *, acks: bool = False, witness: Saw | None = None) -> Receipts:
        return Receipts(self.files, str(self.folder), self.believer, acks=acks, witness=witness)

    def leave(self, *ids: str, at: float = 200.0) -> None:
        for id in ids:
            seq = len(self.believer.rows) + 1
            self.believer.rows.append(Unproven(seq, id, "me", at, 1e9))
            (self.folder / f"{id}.json").write_text("{}")

    def take(self, id: str, *, to: str = "") -> None:
        path = self.folder / f"{id}.json"
        if to:
            (self.folder / to).mkdir(exist_ok=True)
            path.rename(self.folder / to / path.name)
        else:
            path.unlink()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != ".spool-here")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A marked folder with nothing in it."""
    folder = tmp_path / "in"
    folder.mkdir()
    made = Shelf(folder)
    made.receipts.begin()
    return made


def test_the_folder_is_marked_once(shelf: Shelf) -> None:
    """By the mark it is told from another one in its place; a second host has its own."""
    mark = (shelf.folder / ".spool-here").read_text()
    shelf.another().begin()

    assert (shelf.folder / ".spool-here").read_text() == mark
    assert len(mark) == 32 and int(mark, 16) >= 0
    assert shelf.receipts.is_marked()
    assert len(shelf.believer.known) == 1
    assert shelf.names() == []


def test_what_happened_to_each_is_told_apart(shelf: Shelf) -> None:
    """One waits, one was handled, one is gone; each move counts."""
    shelf.leave("waits", "handled", "gone")
    shelf.take("handled", to=PROCESSED)
    shelf.take("gone")

    assert shelf.receipts.look() == 2
    assert shelf.believer.got == [("handled", PROCESSED_SAYS), ("gone", GONE_SAYS)]
    assert [row.id for row in shelf.believer.rows] == ["waits"]
    assert shelf.receipts.look() == 0


def test_what_was_left_before_the_folder_was_this_one_is_lost(shelf: Shelf) -> None:
    """To the moment; it goes again, with the reason."""
    shelf.leave("before", at=99.9)
    shelf.leave("since", at=100.0)
    shelf.take("before")
    shelf.take("since")

    assert shelf.receipts.look() == 2
    assert [id for id, _ in shelf.believer.again] == ["before"]
    assert shelf.believer.again[0][1].startswith(f"{shelf.folder} is not the folder it was")
    assert shelf.believer.got == [("since", GONE_SAYS)]


def test_all_lost_and_received_count(shelf: Shelf) -> None:
    """A round that moved nothing rests; one that moved anything looks again."""
    shelf.leave("l1", "l2", at=50.0)
    shelf.leave("r1", "r2", "r3")
    for id in ("l1", "l2", "r1", "r2", "r3"):
        shelf.take(id)

    assert shelf.receipts.look() == 5


def test_where_acks_count_nothing_else_does(shelf: Shelf) -> None:
    """Gone is what is read there, and the word of it follows."""
    shelf.leave("gone")
    shelf.take("gone")

    assert shelf.another(acks=True).look() == 0
    assert shelf.believer.got == []


def test_a_witness_tells_who_was_read(shelf: Shelf) -> None:
    """Read and gone is received, gone unread is lost; of what it does not know, the folder decides."""
    shelf.leave("late", "read", "unread", "unknown")
    shelf.believer.late = {"late"}
    for id in ("read", "unread", "unknown"):
        shelf.take(id)

    assert shelf.another(witness=Saw(read=True, unread=False)).look() == 4
    assert shelf.believer.dead == ["late"]
    assert shelf.believer.got == [("read", READ_SAYS), ("unknown", GONE_SAYS)]
    assert shelf.believer.again == [("unread", UNREAD_SAYS)]


def test_what_nobody_took_in_its_time_is_taken_back(shelf: Shelf) -> None:
    """By a hidden name: what is read meanwhile stays read. The others wait on."""
    shelf.leave("late", "waits")
    shelf.believer.late = {"late"}

    assert shelf.receipts.look() == 1
    assert (shelf.believer.dead, shelf.names()) == (["late"], ["waits.json"])


@pytest.mark.parametrize("acks", [True, False])
def test_what_a_crash_left_taken_back_is_dead(shelf: Shelf, acks: bool) -> None:
    """It was hidden before anybody was told."""
    shelf.leave("late")
    hidden = f".late.json.{200_000:x}.back"
    (shelf.folder / "late.json").rename(shelf.folder / hidden)

    assert shelf.another(acks=acks).look() == 1
    assert (shelf.believer.dead, shelf.believer.got, shelf.names()) == (["late"], [], [])


def test_what_cannot_be_told_is_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that failed for one file is asked again."""
    shelf.leave("m1", "m2")
    shelf.take("m1")
    shelf.take("m2")
    look = shelf.files.look

    def half(paths: Sequence[str]) -> list[object]:
        return [
            Failure("x") if "m1" in path else found for path, found in zip(paths, look(paths), strict=True)
        ]

    monkeypatch.setattr(shelf.files, "look", half)
    assert shelf.receipts.look() == 1
    assert [id for id, _ in shelf.believer.got] == ["m2"]


def test_a_folder_that_cannot_be_marked_tells_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is the same one nobody knows; what was handled is told all the same."""
    shelf.leave("handled", "gone")
    shelf.take("handled", to=PROCESSED)
    shelf.take("gone")
    (shelf.folder / ".spool-here").unlink()
    monkeypatch.setattr(shelf.files, "put", lambda files: [Failure("no")] * len(files))

    assert shelf.receipts.look() == 1
    assert shelf.believer.got == [("handled", PROCESSED_SAYS)]
    assert not shelf.receipts.is_marked()


def test_a_mark_that_another_process_made_first_stands(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this one wrote is taken away again."""
    (shelf.folder / ".spool-here").unlink()
    monkeypatch.setattr(shelf.files, "move", lambda pairs: [False] * len(pairs))
    shelf.receipts.begin()

    assert list(os.listdir(shelf.folder)) == []


def test_so_many_are_looked_after_at_a_time(shelf: Shelf) -> None:
    """In turn, and from the first one again."""
    shelf.leave(*(f"m{n}" for n in range(FEW + 2)))
    shelf.take(f"m{FEW}")
    first, second = shelf.receipts.look(), shelf.receipts.look()
    shelf.take("m0")

    assert (first, second, shelf.receipts.look()) == (0, 1, 1)
    assert [id for id, _ in shelf.believer.got] == [f"m{FEW}", "m0"]


def test_hidden_files_of_what_is_accounted_for_are_swept(shelf: Shelf) -> None:
    """Those of open messages stay, and those that are not this host's."""
    shelf.leave("open")
    for name in (".open.json.1.back", ".ended.json.1.back", ".mine", ".ended.json.held"):
        (shelf.folder / name).write_text("x")

    assert shelf.receipts.sweep() == 1
    assert shelf.names() == [".ended.json.held", ".mine", ".open.json.1.back", "open.json"]
    assert shelf.receipts.sweep() == 0

"""What becomes of published files, told by the folders, over every way to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.store.base import Unproven
from spool.transports.base import Files
from spool.transports.publish import Draft, Publisher
from spool.transports.receipts import GONE_SAYS, PROCESSED_SAYS, READ_SAYS, UNREAD_SAYS, Receipts
from tests.folders import Reach

BODY = b'{"from":"a","to":"b","subject":"x"}'


class Ledger:
    """What a host knows of published messages, and what it is told."""

    host = "laptop"

    def __init__(self) -> None:
        self.rows: list[Unproven] = []
        self.told: dict[str, str] = {}
        self.again: dict[str, str] = {}
        self.dead: list[str] = []
        self.late: set[str] = set()
        self.now = 100.0
        self._identity: tuple[str, float] = ("", 0.0)

    def unproven(self, *, after: int, limit: int) -> list[Unproven]:
        return [row for row in self.rows if row.seq > after][:limit]

    def received(self, seen: Sequence[tuple[Unproven, str]]) -> None:
        self.told |= {row.id: how for row, how in seen}
        self._drop([row for row, _ in seen])

    def lost(self, rows: Sequence[Unproven], why: str) -> None:
        self.again |= {row.id: why for row in rows}
        self._drop(rows)

    def expired(self, rows: Sequence[Unproven]) -> list[Unproven]:
        return [row for row in rows if row.id in self.late]

    def withdrawn(self, rows: Sequence[Unproven]) -> None:
        self.dead += [row.id for row in rows]
        self._drop(rows)

    def same_since(self, identity: str) -> float:
        if identity != self._identity[0]:
            self._identity = (identity, self.now)
        return self._identity[1]

    def _drop(self, rows: Sequence[Unproven]) -> None:
        self.rows = [row for row in self.rows if row not in rows]


class Place:
    """A folder with a publisher, and who looks after what it published."""

    def __init__(self, reach: Reach, files: Files, *, witness: bool = True, acks: bool = False) -> None:
        self.folder = reach.folder
        self.ledger = Ledger()
        tells = files.witness(str(reach.folder)) if witness and not acks else None
        self.has_witness = tells is not None
        self.publisher = Publisher(files, str(reach.folder), tells)
        self.receipts = Receipts(files, str(reach.folder), self.ledger, acks=acks, witness=tells)
        self.receipts.begin()

    def publish(self, *ids: str) -> None:
        """Have messages published, ten seconds later."""
        self.ledger.now += 10
        self.publisher.publish([Draft(f"{id}.json", BODY, False) for id in ids], now=self.ledger.now)
        for id in ids:
            seq = len(self.ledger.rows) + 1
            self.ledger.rows.append(Unproven(seq, id, "a", self.ledger.now, 1e12))

    def file(self, id: str) -> Path:
        """Where a message lies."""
        return self.folder / f"{id}.json"

    def hidden(self) -> list[str]:
        """What lies there besides, the marker left out."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name.startswith("."))
        return [name for name in names if name != ".spool-laptop"]


@pytest.fixture
def place(reach: Reach, files: Files) -> Place:
    """A folder that is looked after."""
    return Place(reach, files)


def test_what_waits_there_is_not_received(place: Place) -> None:
    """However often it is looked at."""
    place.publish("m1", "m2")
    assert [place.receipts.look() for _ in range(3)] == [0, 0, 0]
    assert place.ledger.told == {}


def test_what_went_to_processed_is_received(place: Place) -> None:
    """As the script there files it away; the others wait."""
    (place.folder / "processed").mkdir()
    place.publish("m1", "m2")
    place.file("m1").rename(place.folder / "processed" / "m1.json")
    assert place.receipts.look() == 1
    assert place.ledger.told == {"m1": PROCESSED_SAYS}
    assert all("m1" not in name for name in place.hidden())


def test_what_was_read_and_removed_is_received(place: Place) -> None:
    """As the recipe does it: cat and rm."""
    place.publish("m1")
    assert place.file("m1").read_bytes() == BODY
    place.file("m1").unlink()
    assert place.receipts.look() == 1
    assert place.ledger.told == {"m1": READ_SAYS if place.has_witness else GONE_SAYS}
    assert place.hidden() == []


def test_what_was_removed_unread_is_published_again_where_that_can_be_told(place: Place) -> None:
    """As the loop does it, that removes what came after its copy; elsewhere it counts as taken."""
    place.publish("m1")
    place.file("m1").unlink()
    place.receipts.look()
    if place.has_witness:
        assert place.ledger.again == {"m1": UNREAD_SAYS}
    else:
        assert place.ledger.told == {"m1": GONE_SAYS}


def test_an_earlier_try_that_we_looked_at_is_still_unread(place: Place) -> None:
    """Our own reading of what stands there is none."""
    if not place.has_witness:
        pytest.skip("nothing tells of reading here")
    place.publish("m1")
    place.publisher.publish([Draft("m1.json", BODY, True)], now=5.0)
    place.file("m1").unlink()
    place.receipts.look()
    assert place.ledger.again == {"m1": UNREAD_SAYS}


def test_a_folder_that_was_made_anew_tells_nothing_of_what_was_in_it(reach: Reach, files: Files) -> None:
    """What stood in it is published again."""
    place = Place(reach, files, witness=False)
    place.publish("m1")
    for path in place.folder.iterdir():
        path.unlink()
    place.ledger.now += 10
    place.receipts.look()
    assert list(place.ledger.again) == ["m1"] and "not the folder it was" in place.ledger.again["m1"]
    place.publish("m2")
    place.file("m2").unlink()
    place.receipts.look()
    assert place.ledger.told == {"m2": GONE_SAYS}


def test_a_folder_that_is_not_there_tells_nothing(place: Place) -> None:
    """A disk that is not mounted has taken nothing."""
    place.publish("m1")
    aside = place.folder.rename(place.folder.with_name("aside"))
    assert place.receipts.look() == 0
    assert place.ledger.told == place.ledger.again == {}
    aside.rename(place.folder)
    assert place.receipts.look() == 0


def test_with_acks_only_those_count(reach: Reach, files: Files) -> None:
    """A spool on the other side takes the file before it has committed it."""
    place = Place(reach, files, acks=True)
    place.publish("m1")
    place.file("m1").unlink()
    assert place.receipts.look() == 0
    assert place.ledger.told == place.ledger.again == {}


def test_what_nobody_took_in_its_time_is_taken_back(place: Place) -> None:
    """Nobody reads it afterwards; what is younger stays."""
    place.publish("m1", "m2")
    place.ledger.late = {"m1"}
    assert place.receipts.look() == 1
    assert place.ledger.dead == ["m1"]
    assert not place.file("m1").exists() and place.file("m2").exists()
    assert all("m1" not in name for name in place.hidden())


def test_many_are_looked_after_in_turn(place: Place) -> None:
    """More than one look takes; the last is found too."""
    ids = [f"m{n}" for n in range(700)]
    place.publish(*ids)
    (place.folder / "processed").mkdir()
    place.file("m699").rename(place.folder / "processed" / "m699.json")
    assert place.receipts.look() + place.receipts.look() == 1
    assert place.ledger.told == {"m699": PROCESSED_SAYS}


def test_a_witness_is_let_go_when_its_message_is_accounted_for(place: Place) -> None:
    """By an ack, say, which comes by another way."""
    place.publish("m1", "m2")
    place.ledger.rows = [row for row in place.ledger.rows if row.id != "m1"]
    assert place.receipts.sweep() == (1 if place.has_witness else 0)
    assert place.hidden() == ([".m2.json.held"] if place.has_witness else [])

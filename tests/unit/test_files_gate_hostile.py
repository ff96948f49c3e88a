"""What the owner of a peer's folders may make this host believe, and what not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import log
from spool.api import Spool
from spool.clock import Clock
from spool.files_gate import ANSWERS_AT_ONCE, LOST_AT_ONCE, FilesGate
from spool.states import State
from spool.store.base import Event, Unproven
from spool.transports.base import Left
from tests.desk import Turned, make_home
from tests.unit import test_files_gate as plain
from tests.unit.test_files_gate import NOW, PEERS, file, inbox, publish, quarantined, row, said

YEAR_S = 365 * 86_400.0

gate = plain.gate


@pytest.fixture
def now() -> Turned:
    """The time, to be turned."""
    return Turned(NOW)


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """The host `here` with the agent `me`."""
    with Spool(make_home(tmp_path, "me", peers=PEERS), agent="me", clock=Clock(now, time.monotonic)) as made:
        yield made


def carry(gate: FilesGate, now: Turned) -> int:
    """Publish what is due; how many messages that were."""
    load = gate.load(10)
    gate.settle([(parcel, Left(now())) for parcel in load.parcels])
    return len(load.parcels)


def unproven(gate: FilesGate) -> list[Unproven]:
    """What was published and nothing is known of."""
    return gate.unproven(after=0, limit=10)


def test_a_name_that_is_no_text_is_kept_all_the_same(spool: Spool, gate: FilesGate) -> None:
    """Else one file ends every look into the folder, and nothing is taken there any more."""
    name = b"a\xff\n.json".decode("utf-8", "surrogateescape")
    assert gate.take([file(b"{", name), file(said(to="nobody"), name), file(said())]) == [True] * 3
    assert gate.refuse(file(b"x" * 9, name), "too large")
    assert inbox(spool) == ["Hello"]
    assert {name for name, _ in quarantined(spool)} == {"a\\xff\n.json"}


@pytest.mark.parametrize("ahead_s", [0.0, YEAR_S, -YEAR_S])
def test_a_clock_that_is_wrong_there_doubles_nothing(spool: Spool, gate: FilesGate, ahead_s: float) -> None:
    """A file found again after a crash is the one that was taken a moment before."""
    for _ in range(3):
        assert gate.take([file(said(), mtime=NOW + ahead_s)]) == [True]
    assert inbox(spool) == ["Hello"]


def test_what_was_published_anew_counts_from_then(spool: Spool, gate: FilesGate, now: Turned) -> None:
    """By its first publishing it would look lost each time it is taken, and be taken again and again."""
    publish(spool, gate)
    now.at += 10
    (lost,) = unproven(gate)
    assert lost.sent_at < gate.same_since("another folder")
    gate.lost([lost], "gone")
    now.at += 10
    assert carry(gate, now) == 1
    (again,) = unproven(gate)
    assert again.sent_at == now.at > gate.same_since("another folder")


def test_a_folder_known_since_a_wrong_clock_is_known_since_now(gate: FilesGate, now: Turned) -> None:
    """A host that began with a clock a year ahead would take all mail for lost until that year is over."""
    now.at += YEAR_S
    gate.same_since("folder")
    now.at -= YEAR_S
    assert gate.same_since("folder") == now.at
    now.at += 60
    assert gate.same_since("folder") == now.at - 60


def test_what_is_removed_unread_each_time_is_published_more_and_more_rarely(
    spool: Spool, gate: FilesGate, now: Turned
) -> None:
    """A loop there that removes everything must not fill the disk here with what it did."""
    id = publish(spool, gate)
    published = 1
    for _ in range(720):
        if waiting := unproven(gate):
            gate.lost(waiting, "removed unread")
        published += carry(gate, now)
        now.at += 5
    assert LOST_AT_ONCE < published <= 20
    assert len(events(spool, id)) <= 20


def test_a_flood_of_answers_does_not_keep_the_store_to_itself(
    spool: Spool, gate: FilesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each of them answers is looked for among all that was sent; others write meanwhile."""
    commits: list[int] = []
    accept = gate.accept
    monkeypatch.setattr(gate, "accept", lambda some: commits.append(len(some)) or accept(some))
    flood = [file(said(subject=f"Re: {n}"), f"{n}.json") for n in range(2 * ANSWERS_AT_ONCE + 1)]
    assert gate.take(flood) == [True] * len(flood)
    assert inbox(spool) == [f"Re: {n}" for n in range(len(flood))]
    assert commits == [ANSWERS_AT_ONCE, ANSWERS_AT_ONCE, 1]


def events(spool: Spool, id: str) -> list[Event]:
    """What is noted of a message."""
    with spool.store.read() as tx:
        return tx.ledger.events(id, "me")


def test_nobody_there_can_say_that_a_message_died(spool: Spool, gate: FilesGate) -> None:
    """It stands in the folder; only another spool could know that, and this peer is none."""
    id = publish(spool, gate)
    assert gate.take([file({"re": id, "status": "dead", "note": "so there"})]) == [True]
    assert row(spool, id).state is State.SENT


def test_a_full_quarantine_says_so_once_for_many(gate: FilesGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each of a hundred thousand bad files would fill the disk that has no room for them."""
    said_of: list[dict[str, object]] = []
    gate.take([file(b"{%d" % n, f"bad{n}.json") for n in range(500)])
    monkeypatch.setattr(log, "warning", lambda event, **values: said_of.append({"event": event, **values}))
    assert gate.take([file(b"{more%d" % n, f"more{n}.json") for n in range(100)]) == [False] * 100
    assert [(each["event"], each["count"]) for each in said_of] == [("message.quarantined", 100)]

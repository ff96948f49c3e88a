"""The same message again, another one under its id, and acks that come late, twice, wrong or from nowhere."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from spool.api import Spool
from spool.states import State
from spool.transports.base import Accepted, Refused
from tests.desk import Turned, acks, arrive, clocked, make_home, told

DAY_S = 86_400.0
ACKING = '[peers.cloud]\nurl = "dir:"\ninbox = "/nowhere"\nacks = true\nagents = ["cloud-*"]\n'
SAID = ("received", "read", "done")


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with one agent."""
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path, now: Turned) -> Iterator[Spool]:
    """For the agent `me`."""
    with clocked(home, now, agent="me") as made:
        yield made


def counted(home: Path, table: str) -> int:
    """How many rows it has."""
    with sqlite3.connect(f"file:{home}/spool.db?mode=ro", uri=True) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return int(count)


def known_again(spool: Spool, now: Turned, id: str) -> bool:
    """Bring a copy; whether it is answered as one that was taken before."""
    outcome = arrive(spool, id=id, now=now.at)
    return isinstance(outcome, Accepted) and outcome.again and outcome.final


# -- copies -----------------------------------------------------------------------------------


def test_a_hundred_copies_in_any_order_are_one_message_each(spool: Spool, now: Turned, home: Path) -> None:
    """Each copy has the first one's answer, and changes nothing."""
    many = [f"m{n}" for n in range(5)] * 100
    random.Random(6).shuffle(many)
    outcomes = [arrive(spool, id=id, now=now.at) for id in many]

    assert all(isinstance(outcome, Accepted) and outcome.final for outcome in outcomes)
    assert sum(not outcome.again for outcome in outcomes if isinstance(outcome, Accepted)) == 5
    assert sorted(row.id for row in spool.inbox()) == [f"m{n}" for n in range(5)]
    assert (counted(home, "inbox"), counted(home, "acks"), counted(home, "quarantine")) == (5, 0, 0)


def test_a_copy_is_known_when_its_message_was_read_ended_and_archived(
    spool: Spool, now: Turned, home: Path
) -> None:
    """A day later as well, and by a process that was not there before."""
    arrive(spool, id="m1", now=now.at)
    for later in (
        lambda: spool.read(spool.inbox()),
        lambda: spool.done(["m1"]),
        lambda: setattr(now, "at", now.at + DAY_S + 60),
        lambda: spool.archive(),
    ):
        later()
        assert known_again(spool, now, "m1")
    assert counted(home, "inbox_archive") == 1
    with clocked(home, now, agent="me") as anew:
        assert known_again(anew, now, "m1")
        assert anew.inbox() == []
    assert [(ack.re, ack.status) for ack in acks(spool)] == [("m1", "read"), ("m1", "done")]


def test_copies_are_acknowledged_again_in_one_row(tmp_path: Path, now: Turned) -> None:
    """To a peer that wants acks as files: as many copies as it likes, and one file of each kind waits."""
    home = make_home(tmp_path, "me", peers=ACKING)
    with clocked(home, now, agent="me") as spool:
        for _ in range(50):
            arrive(spool, id="m1", now=now.at)
        assert [(ack.re, ack.status) for ack in acks(spool)] == [("m1", "received")]


@pytest.mark.parametrize("archived", [False, True])
def test_another_message_under_a_taken_id_is_kept_apart(
    spool: Spool, now: Turned, home: Path, archived: bool
) -> None:
    """The first one stays what it is; the other is refused, and stands in the quarantine once."""
    arrive(spool, id="m1", body="first", now=now.at)
    if archived:
        spool.done(["m1"])
        spool.archive(older_than_s=-1.0)
    for _ in range(3):
        other = arrive(spool, id="m1", body="second", now=now.at)
        assert isinstance(other, Refused) and "another message" in other.reason

    first = arrive(spool, id="m1", body="first", now=now.at)
    assert isinstance(first, Accepted) and first.again
    assert b"first" in spool.received("m1").raw
    assert [(each.name, b"second" in each.raw) for each in spool.quarantined()] == [("m1", True)]
    assert counted(home, "inbox") + counted(home, "inbox_archive") == 1


# -- acks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(SAID)), ids="-".join)
def test_acks_in_any_order_and_twice_end_in_the_furthest(spool: Spool, order: tuple[str, ...]) -> None:
    """None of them takes a message back."""
    id = spool.send("cloud-1", subject="x")
    states = []
    for status in order * 2:
        told(spool, id, status)
        states.append(spool.state(id))

    assert states == sorted(states, key=[State.RECEIVED, State.READ, State.DONE].index)
    assert set(states[order.index("done") :]) == {State.DONE}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "msg-nobody"},
        {"sender": "you"},
        {"peer": "desk"},
        {"status": "delivered, they say"},
        {"status": "queued"},
    ],
    ids=str,
)
def test_an_ack_for_what_was_not_handed_there_moves_nothing(
    spool: Spool, home: Path, wrong: dict[str, str]
) -> None:
    """Of an unknown id or sender, from another peer, or in words that mean nothing."""
    id = spool.send("cloud-1", subject="x")
    said = {"id": id, "status": "done", **wrong}
    told(spool, said.pop("id"), said.pop("status"), **said)

    assert spool.state(id) is State.QUEUED
    assert counted(home, "acks") == 0


def test_a_proof_counts_for_the_dead_and_death_not_for_the_proven(spool: Spool) -> None:
    """What the agent's own host has said is on its disk; a word of death that comes after it is old."""
    late = spool.send("cloud-1", subject="x")
    spool.cancel(late)
    told(spool, late, "received")
    assert spool.state(late) is State.RECEIVED
    told(spool, late, "dead", note="expired on the way")
    assert spool.state(late) is State.RECEIVED

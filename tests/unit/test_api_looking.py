"""Looking from Python: what is here, by which name, and what became of the dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.errors import AmbiguousId, BadInput, BadMessage, NotFound
from spool.states import State
from tests.desk import Turned, acks, arrive, clocked, make_home, told


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with two agents."""
    return make_home(tmp_path, "me", "you")


@pytest.fixture
def spool(home: Path, now: Turned) -> Iterator[Spool]:
    """For the agent `me`."""
    with clocked(home, now, agent="me") as made:
        yield made


def test_reading_marks_and_tells_once(spool: Spool) -> None:
    """And claims nothing: it can still be received."""
    arrive(spool, id="m1")
    rows = spool.inbox()
    spool.read(rows)
    spool.read(rows)

    assert [ack.status for ack in acks(spool)] == ["read"] and spool.unread() == 0
    assert [message.id for message in spool.receive()] == ["m1"]


def test_the_inbox_is_shown_and_not_changed(spool: Spool) -> None:
    """Filtered by what is asked for."""
    arrive(spool, id="a", priority="P0", now=1_000_000.0)
    arrive(spool, id="b", re="q1", thread="t1", now=1_000_001.0)
    arrive(spool, id="c", **{"from": "far-1"}, now=1_000_002.0)
    spool.read([spool.received("a")])

    def ids(**asked: object) -> list[str]:
        return [row.id for row in spool.inbox(**asked)]  # type: ignore[arg-type]

    assert ids() == ["a", "b", "c"] and ids(limit=1) == ["a"]
    assert ids(unread_only=True) == ["b", "c"] and ids(sender="far-1") == ["c"]
    assert ids(re="q1") == ids(thread="t1") == ["b"]
    assert ids(since=1_000_001.0) == ["b", "c"] and ids(priority="P1") == ["a"]
    assert spool.unread() == 2


def test_short_ids(spool: Spool) -> None:
    """A citation, or a unique beginning or ending of six characters or more."""
    for id in ("msg-0001", "msg-0002", "msg"):
        spool.send("cloud-1", body="x", id=id)

    assert spool.sent("if://conversation/msg-0001").id == "msg-0001"
    assert spool.sent("sg-0001").id == "msg-0001"
    assert spool.sent("msg").id == "msg"
    with pytest.raises(AmbiguousId, match=r"msg-00 fits several messages: msg-0001 \(from me\)"):
        spool.sent("msg-00")
    for none in ("msg-0", "msg-0003", "sg-00"):
        with pytest.raises(NotFound):
            spool.sent(none)
    for bad in ("", "*", "msg-%", "../x"):
        with pytest.raises(BadMessage):
            spool.sent(bad)


def test_both_sides_of_a_message(spool: Spool) -> None:
    """As this host has them."""
    id = spool.send("me", body="x", agent="you")
    out, inn = spool.find(id)
    assert out and inn and out.id == inn.id == id
    gone = spool.send("cloud-1", body="x")
    assert spool.find(gone)[1] is None


def test_the_dead_are_retried_or_dropped(spool: Spool, now: Turned) -> None:
    """Only the dead; a retry has a new lifetime and its event, a drop is for good."""
    one, two, live = (spool.send("cloud-1", body="x") for _ in range(3))
    for id in (one, two):
        told(spool, id, "dead", note="nobody there")
    assert [row.reason for row in spool.dead()] == ["nobody there"] * 2
    now.at += 100.0

    assert spool.retry_dead(one) == one and spool.drop_dead(two) == two
    row = spool.sent(one)
    assert (row.state, row.reason, row.expires_at) == (State.QUEUED, None, now.at + 7 * 86_400.0)
    with spool.store.read() as tx:
        assert [event.what for event in tx.ledger.events(one, "me")] == ["dead", "retried"]
    for wrong in (one, live):
        with pytest.raises(BadInput, match="is queued, not dead"):
            spool.retry_dead(wrong)
        with pytest.raises(BadInput, match="is queued, not dead"):
            spool.drop_dead(wrong)
    with pytest.raises(NotFound):
        spool.sent(two)

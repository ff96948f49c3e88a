"""After a restore both sides ask: what is unknown there goes again, and nothing that was so is taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import doubts
from spool.api import Spool
from spool.clock import Clock
from spool.gate import Gate
from spool.settings import Settings
from spool.states import State
from spool.store.base import Outgoing
from spool.transports.base import Accepted, Refused
from spool.transports.frames import Answer, Hello
from tests.desk import Turned, clocked, make_home, told

PEER = "cloud"


@pytest.fixture
def now() -> Turned:
    """The time, as far as a test turned it."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with a peer."""
    with clocked(make_home(tmp_path, "me"), now, agent="me") as made:
        yield made


def linked(spool: Spool, now: Turned, *, restored: str = "") -> Gate:
    """A link to the peer is up, whose home came from that restore."""
    clock = Clock(now, time.monotonic)
    gate = Gate(
        spool.store, Settings(spool.home, spool.store, clock), PEER, clock=clock, token="t", version="0"
    )
    gate.arrived(Hello(host=PEER, clock=now(), restored=restored), dialled=False)
    return gate


def received(spool: Spool, status: str = "received", **more: object) -> str:
    """A message that the peer said it has."""
    id = spool.send("cloud-1", subject="x", **more)  # type: ignore[arg-type]
    told(spool, id, status)
    return id


def row(spool: Spool, id: str) -> Outgoing:
    """Its row."""
    return spool.sent(id)


def unknown(id: str) -> Answer:
    """What a host says that has forgotten it."""
    return Answer("me", id, "unknown")


def test_nothing_is_in_doubt_where_nobody_was_restored(spool: Spool, now: Turned) -> None:
    """A link that comes up again costs no questions."""
    received(spool)
    for _ in range(2):
        assert linked(spool, now).doubted() == []


def test_a_peer_that_was_restored_is_asked_once_for_all_it_took(spool: Spool, now: Turned) -> None:
    """What is done needs no asking: it has ended."""
    ids = [received(spool), received(spool, "read")]
    received(spool, "done")
    gate = linked(spool, now, restored="r1")
    assert [key.id for key in gate.doubted()] == ids
    gate.take_answers([Answer("me", id, "received") for id in ids])
    assert gate.doubted() == []
    assert linked(spool, now, restored="r1").doubted() == []
    assert len(linked(spool, now, restored="r2").doubted()) == 2


def test_what_was_asked_and_not_answered_is_asked_again(spool: Spool, now: Turned) -> None:
    """The link broke between question and answer."""
    id = received(spool)
    assert [key.id for key in linked(spool, now, restored="r1").doubted()] == [id]
    assert [key.id for key in linked(spool, now, restored="r1").doubted()] == [id]


def test_a_page_at_a_time(spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with many messages there asks for all of them, and no frame is too large."""
    monkeypatch.setattr(doubts, "PAGE", 2)
    ids = [received(spool) for _ in range(5)]
    gate, asked = linked(spool, now, restored="r1"), []
    while keys := gate.doubted():
        assert len(keys) <= 2
        asked += [key.id for key in keys]
        gate.take_answers([Answer(key.sender, key.id, "received") for key in keys])
    assert asked == ids
    assert linked(spool, now, restored="r1").doubted() == []


@pytest.mark.parametrize("status", ["received", "read"])
def test_what_it_does_not_know_any_more_goes_again_and_keeps_its_state(
    spool: Spool, now: Turned, status: str
) -> None:
    """It was so; and it ends as soon as the peer has it again, also through a relay."""
    id = received(spool, status)
    gate = linked(spool, now, restored="r1")
    gate.doubted()
    gate.take_answers([unknown(id)])
    for final in (False, True):
        assert (row(spool, id).state, row(spool, id).due) == (status, now())
        (parcel,) = gate.load(10).parcels
        gate.settle([(parcel, Accepted(at=1.0, final=final, host=PEER))])
        assert (row(spool, id).state, row(spool, id).due) == (status, None)
        assert gate.load(10).parcels == []
        with spool.store.write(sync=False) as tx:
            tx.outbox.doubt(PEER)
        gate.take_answers([unknown(id)])
    with spool.store.read() as tx:
        assert [event.what for event in tx.ledger.events(id, "me")] == ["lost", "lost", "lost"]


def test_what_it_refuses_then_is_dead_with_the_reason(spool: Spool, now: Turned) -> None:
    """Its agent left that host meanwhile: the sender is told so, as of any message."""
    id = received(spool)
    gate = linked(spool, now, restored="r1")
    gate.doubted()
    gate.take_answers([unknown(id)])
    (parcel,) = gate.load(10).parcels
    gate.settle([(parcel, Refused("nobody here"))])
    assert (row(spool, id).state, row(spool, id).reason) == (State.DEAD, "nobody here")


def test_unknown_without_a_doubt_changes_nothing_that_was_received(spool: Spool, now: Turned) -> None:
    """A peer that talks nonsense makes nothing go again."""
    id = received(spool)
    linked(spool, now).take_answers([unknown(id)])
    assert (row(spool, id).state, row(spool, id).due) == ("received", None)


def test_what_is_past_its_lifetime_stays_received(spool: Spool, now: Turned) -> None:
    """To offer it would be to let it expire, and say that it never came."""
    id = received(spool)
    now.at += spool.config.host.lifetime_s + 1
    gate = linked(spool, now, restored="r1")
    gate.doubted()
    gate.take_answers([unknown(id)])
    assert (row(spool, id).state, row(spool, id).due) == ("received", None)


@pytest.mark.parametrize("here", [True, False])
def test_files_go_again_where_they_are_still_here(
    spool: Spool, now: Turned, tmp_path: Path, here: bool
) -> None:
    """Without them the message would wait for ever."""
    (tmp_path / "file").write_bytes(b"a" * 1000)
    id = spool.send("cloud-1", subject="x", attach=[tmp_path / "file"])
    (file,) = (spool.home / "attachments").iterdir()
    with spool.store.write(sync=False) as tx:
        tx.attachments.arrived(PEER, file.name)
    told(spool, id, "received")
    if not here:
        file.unlink()
    gate = linked(spool, now, restored="r1")
    gate.doubted()
    gate.take_answers([unknown(id)])
    assert (row(spool, id).due is not None) is here
    assert gate.load(10).parcels == []
    with spool.store.read() as tx:
        due = tx.attachments.due(PEER, now=now(), limit=9)
        unneeded = tx.attachments.unneeded(whole_before=now() + 9e9, part_before=0.0, limit=9)
    assert (len(due), len(unneeded)) == ((1, 0) if here else (0, 1))


def test_what_a_restored_host_was_told_since_it_asks_for(spool: Spool, now: Turned) -> None:
    """Its own acks were taken before, by the home that is no more."""
    id = received(spool)
    with spool.store.write(sync=True) as tx:
        tx.ledger.set_fact("restored", "mine")
    gate = linked(spool, now)
    assert gate.hello().restored == "mine"
    assert [key.id for key in gate.doubted()] == [id]
    gate.take_answers([Answer("me", id, "done", 5.0, PEER, "done", "all of it")])
    assert (row(spool, id).state, row(spool, id).note) == ("done", "all of it")

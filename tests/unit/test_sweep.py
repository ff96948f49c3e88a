"""The sweep and the archive: what they end, mark and find again, by a clock that tests turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import doorbell, outbox, sweep
from spool.api import Spool
from spool.states import State
from spool.store.base import Outgoing, Parcel, Seen
from spool.transports.base import Accepted
from tests.desk import Turned, acks, arrive, clocked, make_home, tasks, told

HOUR_S = 3600.0
DAY_S = 86_400.0
START = 1_000_000.0


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned(START)


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with one agent and two peers, whose sweep has run a moment ago."""
    with clocked(make_home(tmp_path, "me"), now) as made:
        run(made)
        yield made


def run(spool: Spool) -> None:
    """One sweep now."""
    sweep.run(spool.store, spool.config.host, spool.home, now=spool._clock.now())


def later(spool: Spool, now: Turned, seconds: float, *, step: float = HOUR_S / 2) -> None:
    """Time passes, with a sweep now and then as on a host that runs, and one at the end."""
    end = now.at + seconds
    while now.at < end:
        now.at = min(end, now.at + step)
        run(spool)


def archive(spool: Spool) -> int:
    return sweep.archive(spool.store, spool.config.host, now=spool._clock.now())


def lease(spool: Spool, peer: str = "cloud") -> list[Parcel]:
    with spool.store.write(sync=False) as tx:
        generation = tx.peers.raise_generation(peer)
    return outbox.lease(spool.store, peer, generation=generation, now=spool._clock.now(), limit=100).parcels


def linked(spool: Spool, peer: str = "cloud") -> None:
    with spool.store.write(sync=False) as tx:
        tx.peers.update(peer, state="linked")


def relayed(spool: Spool, id: str = "r1") -> Outgoing:
    """A message from cloud-1 on its way to desk-1, through here."""
    assert arrive(spool, id=id, to="desk-1", now=spool._clock.now()) == Accepted(
        at=spool._clock.now(), final=False, host="here"
    )
    return spool.sent(id)


def test_what_is_past_its_lifetime_ends(spool: Spool, now: Turned) -> None:
    """Seven days, or what the message says; with the reason, and what happened."""
    week = spool.send("cloud-1", body="x")
    short = spool.send("cloud-1", body="x", expires="1970-01-12T14:46:40Z")  # START + an hour
    later(spool, now, HOUR_S - 1)
    assert spool.state(short) is State.QUEUED
    later(spool, now, 1)
    assert (spool.state(short), spool.state(week)) == (State.DEAD, State.QUEUED)

    later(spool, now, 7 * DAY_S - HOUR_S - 1)
    assert spool.state(week) is State.QUEUED
    later(spool, now, 1)
    assert (spool.state(week), spool.sent(week).reason) == (
        State.DEAD,
        "expired before it could be delivered",
    )
    with spool.store.read() as tx:
        assert [event.what for event in tx.ledger.events(week, "me")] == ["expired"]


def test_what_was_delivered_does_not_expire(spool: Spool, now: Turned) -> None:
    """Its lifetime is that of the way."""
    id = spool.send("cloud-1", body="x")
    told(spool, id, "received")
    later(spool, now, 8 * DAY_S, step=DAY_S / 48)

    assert spool.state(id) is State.RECEIVED


def test_what_is_being_delivered_does_not_expire_under_its_link(spool: Spool, now: Turned) -> None:
    """Its answer may be on the way; when the lease has run out it does."""
    id = spool.send("cloud-1", body="x", expires="1970-01-12T13:46:50Z")  # START + 10 s
    lease(spool)
    later(spool, now, 30.0)
    assert spool.state(id) is State.QUEUED
    later(spool, now, 31.0)

    assert spool.state(id) is State.DEAD


def test_what_may_have_arrived_is_not_called_undelivered(spool: Spool, now: Turned) -> None:
    """Its link was lost before the answer: whether it is there nobody here knows, and the reason says so."""
    id = spool.send("cloud-1", body="x", expires="1970-01-12T14:46:40Z")  # START + an hour
    lease(spool)
    later(spool, now, 2 * HOUR_S)

    assert "how that ended is not known; it may be there" in str(spool.sent(id).reason)


def test_a_relay_tells_the_sender_that_it_expired(spool: Spool, now: Turned) -> None:
    """Its lifetime came with it, in seconds left."""
    relayed(spool)
    later(spool, now, DAY_S)

    assert spool.state("r1") is State.DEAD
    assert [(ack.re, ack.status, ack.note) for ack in acks(spool)] == [
        ("r1", "dead", "expired before it could be delivered")
    ]
    assert "cloud" in tasks(spool)


def test_a_proof_after_the_end_counts(spool: Spool, now: Turned) -> None:
    """It had arrived after all."""
    id = spool.send("cloud-1", body="x")
    later(spool, now, 7 * DAY_S)
    told(spool, id, "done")

    assert spool.state(id) is State.DONE


def test_what_has_no_answer_in_time_is_overdue_on_both_sides(spool: Spool, now: Turned) -> None:
    """Still on its way, still to be read; once it was answered it never was to be."""
    deadline = "1970-01-12T14:46:40Z"  # START + an hour
    late, good = (spool.send("cloud-1", body="x", deadline=deadline) for _ in range(2))
    arrive(spool, id="in", deadline=deadline)
    arrive(spool, id="answered", deadline=deadline)
    arrive(spool, id="answer", re=good)
    spool.reply("answered", "So.", keep_open=True)
    later(spool, now, HOUR_S - 1)
    assert not spool.sent(late).overdue and not spool.received("in").overdue
    later(spool, now, 1)

    assert (spool.sent(late).overdue, spool.state(late)) == (True, State.QUEUED)
    assert (spool.received("in").overdue, spool.received("in").state) == (True, "unread")
    assert not spool.sent(good).overdue and not spool.received("answered").overdue
    assert spool.inbox()[0].id == "in"


def test_overdue_is_told_once(spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every two seconds."""
    said: list[str] = []
    monkeypatch.setattr(sweep.log, "warning", lambda event, **_: said.append(event))
    spool.send("cloud-1", body="x", deadline="1970-01-12T14:46:40Z")
    later(spool, now, 3 * HOUR_S)

    assert said == ["message.overdue"]


def test_what_waits_long_is_carried_before_what_is_new(spool: Spool, now: Turned) -> None:
    """A stream of urgent messages does not starve it."""
    low = spool.send("cloud-1", body="x", priority="P3")
    later(spool, now, 3 * sweep.AGE_S + 1, step=60.0)
    spool.send("cloud-1", body="x", priority="P0")

    assert lease(spool)[0].id == low
    assert spool.sent(low).priority == 3


def test_a_lost_task_is_made_again(spool: Spool) -> None:
    """Huey deletes one before it runs it. The bell rings, once; for a linked peer only."""
    spool.send_many([{"to": "cloud-1", "body": "x"}, {"to": "desk-1", "body": "x"}])
    linked(spool)
    with spool.store.write(sync=False) as tx:
        tx.ledger.rung("cloud")
        tx.ledger.rung("desk")
    with doorbell.Bell(spool.home / "run") as bell:
        run(spool)
        assert bell.wait(1) and tasks(spool) == {"cloud"}
        run(spool)
        assert not bell.wait(0)


def test_what_was_deferred_is_rung_for_when_it_is_due(spool: Spool, now: Turned) -> None:
    """Not before."""
    linked(spool)
    spool.send("cloud-1", body="x")
    (parcel,) = lease(spool)
    linked(spool)
    with spool.store.write(sync=False) as tx:
        tx.outbox.defer(parcel, due=now.at + 30.0, reason="later")
    later(spool, now, 29.0)
    assert tasks(spool) == set()
    later(spool, now, 1.0)

    assert tasks(spool) == {"cloud"}


def test_a_lease_that_ran_out_is_rung_for(spool: Spool, now: Turned) -> None:
    """Its worker died, or sleeps."""
    linked(spool)
    spool.send("cloud-1", body="x")
    lease(spool)
    linked(spool)
    later(spool, now, outbox.LEASE_S - 1)
    assert tasks(spool) == set()
    later(spool, now, 1.0)

    assert tasks(spool) == {"cloud"}


def test_the_sweep_leaves_its_heartbeat(spool: Spool, now: Turned) -> None:
    """By which `status` sees that it runs."""
    later(spool, now, 5.0)

    with spool.store.read() as tx:
        assert tx.ledger.fact(sweep.FACT) == repr(now.at)


def test_the_archive_takes_what_ended_a_day_ago(spool: Spool, now: Turned) -> None:
    """Done and dead, at both ends; it stays to be found."""
    local, dead = spool.send("me", body="x"), spool.send("cloud-1", body="x")
    arrive(spool, id="in")
    spool.done([local, "in"])
    spool.cancel(dead)
    later(spool, now, DAY_S - 1)
    assert archive(spool) == 0
    later(spool, now, 1.0)
    assert archive(spool) == 4

    assert spool.sent(local).archived and spool.sent(dead).archived and spool.received("in").archived
    assert {row.id for row in spool.archived()} == {local, dead, "in"}


def test_unread_mail_is_never_archived(spool: Spool, now: Turned) -> None:
    """Nor what was read and not done, nor what is still on its way; not after years."""
    arrive(spool, id="unread")
    arrive(spool, id="read")
    spool.read([spool.received("read")])
    later(spool, now, 6 * DAY_S, step=DAY_S / 48)
    waiting = spool.send("cloud-1", body="x")
    now.at += 1.0

    assert sweep.archive(spool.store, spool.config.host, now=now.at + 1000 * DAY_S) == 0
    assert [row.id for row in spool.inbox()] == ["unread", "read"] and not spool.sent(waiting).archived


def test_what_was_received_and_never_done_goes_when_nothing_more_can_come(spool: Spool, now: Turned) -> None:
    """When no copy of it can be on its way any more: thirty days."""
    id = spool.send("cloud-1", body="x")
    told(spool, id, "received")
    now.at += 30 * DAY_S - 1
    assert archive(spool) == 0
    now.at += 1

    assert archive(spool) == 1


def test_a_big_archive_goes_in_short_transactions(
    spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it in one round, however much there is."""
    monkeypatch.setattr(sweep, "BATCH", 7)
    spool.done(spool.send_many({"to": "me", "body": "x"} for _ in range(30)))

    assert spool.archive(older_than_s=-1.0) == 60


def test_dedup_records_are_forgotten_after_thirty_days(
    spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them in one round, or a busy host would never catch up; not a day sooner."""
    monkeypatch.setattr(sweep, "BATCH", 7)
    with spool.store.write(sync=False) as tx:
        for n in range(30):
            tx.ledger.remember("cloud-1", f"m{n}", Seen(b"d", now.at, True))

    def known() -> int:
        with spool.store.read() as tx:
            return sum(tx.ledger.seen("cloud-1", f"m{n}") is not None for n in range(30))

    later(spool, now, 30 * DAY_S, step=DAY_S / 24)
    archive(spool)
    assert known() == 30
    later(spool, now, 1.0)
    archive(spool)
    assert known() == 0


def test_a_file_that_a_newer_spool_migrated_is_not_swept(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error ends the process with one line."""
    from spool.errors import StoreNewer
    from spool.store import sqlite

    monkeypatch.setattr(sqlite, "SCHEMA", 0)
    with pytest.raises(StoreNewer):
        run(spool)


def test_what_a_next_hop_took_and_forgot_ends_after_asking(spool: Spool, now: Turned) -> None:
    """It stands at sent; a day past its lifetime, asked since, with no better word: dead."""
    id = spool.send("cloud-1", body="x")
    (parcel,) = lease(spool)
    outbox.settle(spool.store, "cloud", "here", [(parcel, Accepted(now.at, False, "hub"))], now=now.at)
    later(spool, now, 8 * DAY_S + HOUR_S)
    assert spool.state(id) is State.SENT

    with spool.store.write(sync=False) as tx:
        asked = tx.sweepings.silent("cloud", before=now.at - HOUR_S, now=now.at, limit=10)
    later(spool, now, HOUR_S)

    assert [row.id for row in asked] == [id]
    assert spool.state(id) is State.DEAD
    assert "could not say" in str(spool.sent(id).reason)

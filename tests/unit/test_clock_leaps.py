"""A clock that leaps by a year, both ways: nothing ends for it, and nothing gets stuck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import outbox, sweep
from spool.api import Spool
from spool.states import State
from spool.store.base import Parcel
from spool.transports.base import Accepted
from tests.desk import Turned, arrive, clocked, make_home

HOUR_S = 3600.0
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S
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


@pytest.mark.parametrize("leap_s", [YEAR_S, -YEAR_S, 2 * HOUR_S, -2 * HOUR_S])
def test_a_clock_that_leaps_and_is_put_right_ends_nothing(spool: Spool, now: Turned, leap_s: float) -> None:
    """No storm of expiries, nobody overdue for nothing, no dedup record lost, no order upset."""
    id = spool.send("cloud-1", body="x", deadline="1970-01-13T13:46:40Z")  # START + a day
    arrive(spool, id="in")
    now.at += leap_s
    for _ in range(5):
        archive(spool)
        run(spool)
        now.at += 60.0
    now.at -= leap_s
    later(spool, now, HOUR_S, step=60.0)

    assert (spool.state(id), spool.sent(id).overdue) == (State.QUEUED, False)
    with spool.store.read() as tx:
        assert tx.ledger.seen("cloud-1", "in") is not None
    again = arrive(spool, id="in")
    assert isinstance(again, Accepted) and again.again and len(spool.inbox()) == 1


@pytest.mark.parametrize("leap_s", [YEAR_S, -YEAR_S])
def test_a_leap_during_a_lease_leaves_nothing_stuck(spool: Spool, now: Turned, leap_s: float) -> None:
    """It can be carried, read and sent by the new time at once."""
    spool.send("cloud-1", body="x", expires="1990-01-01T00:00:00Z")
    arrive(spool, id="in")
    held = lease(spool)
    reader = next(iter(spool.receive()))
    now.at += leap_s
    run(spool)

    assert [parcel.id for parcel in lease(spool)] == [parcel.id for parcel in held]
    assert next(iter(spool.receive())).id == reader.id
    assert spool.state(spool.send("cloud-1", body="x")) is State.QUEUED


def test_a_host_that_was_off_ends_what_expired_meanwhile(spool: Spool, now: Turned) -> None:
    """Ten minutes after it is back: it cannot tell that from a clock that leapt."""
    id = spool.send("cloud-1", body="x")
    now.at += 30 * DAY_S
    run(spool)
    assert spool.state(id) is State.QUEUED
    later(spool, now, sweep.STEADY_S - 1, step=60.0)
    assert spool.state(id) is State.QUEUED
    later(spool, now, 1.0)

    assert spool.state(id) is State.DEAD

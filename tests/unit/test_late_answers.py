"""Answers that come when the lease they belong to is over: a proof counts, anything else is too late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.clock import Clock
from spool.gate import Gate
from spool.outbox import LEASE_S
from spool.settings import Settings
from spool.states import State
from spool.store.base import Parcel
from spool.transports.base import Accepted, Deferred, Outcome, Refused
from spool.transports.frames import Hello
from tests.desk import Turned, clocked, make_home

RECEIVED = Accepted(at=5.0, final=True, host="cloud")


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with one agent."""
    with clocked(make_home(tmp_path, "me"), now, agent="me") as made:
        yield made


@pytest.fixture
def gate(spool: Spool, now: Turned) -> Gate:
    """Of a link to the peer `cloud` that is up."""
    clock = Clock(now, time.monotonic)
    made = Gate(
        spool.store, Settings(spool.home, spool.store, clock), "cloud", clock=clock, token="t", version="0"
    )
    made.arrived(Hello(host="cloud"), dialled=False)
    return made


def one(gate: Gate) -> Parcel:
    """The one message that is due, leased."""
    [parcel] = gate.load(10).parcels
    return parcel


def test_a_proof_counts_when_the_line_was_slower_than_the_lease(
    spool: Spool, gate: Gate, now: Turned
) -> None:
    """It was offered again meanwhile: the second answer changes nothing, and there is no third time."""
    id = spool.send("cloud-1", subject="x")
    first = one(gate)
    now.at += LEASE_S + 1
    second = one(gate)
    assert second.attempts == 2

    gate.settle([(first, RECEIVED)])
    assert spool.state(id) is State.RECEIVED
    gate.settle([(second, Accepted(at=99.0, final=True, host="cloud", again=True))])
    assert spool.sent(id).received_there == 5.0
    now.at += LEASE_S + 1
    assert gate.load(10).parcels == []


@pytest.mark.parametrize("late", [Deferred("busy"), Refused("never")], ids=["deferred", "refused"])
def test_what_is_no_proof_is_dropped_when_another_has_the_lease(
    spool: Spool, gate: Gate, now: Turned, late: Outcome
) -> None:
    """A worker that stood still and goes on must not put off, nor end, what a newer one carries."""
    id = spool.send("cloud-1", subject="x")
    first = one(gate)
    now.at += LEASE_S + 1
    second = one(gate)

    held = spool.sent(id)
    gate.settle([(first, late)])
    assert (spool.sent(id), held.state) == (held, State.QUEUED)
    gate.settle([(second, RECEIVED)])
    assert spool.state(id) is State.RECEIVED

"""The promises that mail rests on, each held to once, step by step; the machine tries them in all ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spool.states import State
from spool.transports.link import LOOK_S
from tests.machine.shapes import THREE, TWO, Shape
from tests.machine.truth import Key
from tests.machine.world import World

KEY = Key("a1", "m1")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world in which a message was queued and no link has carried it; healed at the end."""
    shape: Shape = getattr(request, "param", TWO)
    made = World(shape)
    try:
        made.dial_all()
        made.send("a1", "b1", "m1", "x", "P2", None)
        yield made
        made.heal()
    finally:
        made.close()


def state(world: World) -> State:
    """How far the message got, as its sender's host knows."""
    return world.look_at("alpha").out[KEY].state


@pytest.mark.parametrize("left", [0, 1])
def test_no_answer_leaves_before_its_commit(world: World, left: int) -> None:
    """Killed as it commits, a host has promised nothing; what it had handed to its writer goes out."""
    link = world.cables[0]
    world.pump(link, 0)
    world.arm(world.hosts["beta"], "one", left, "before")

    world.deliver(link, 0, 100)

    assert state(world) is State.QUEUED


def test_no_ack_is_forgotten_before_the_next_hop_has_it(world: World) -> None:
    """Killed as it commits an ack, a host is told it again."""
    link = world.cables[0]
    world.flow(link)
    world.read("b1")
    world.pump(link, 1)
    world.arm(world.hosts["alpha"], "one", 0, "before")

    world.deliver(link, 1, 100)

    assert [key for _, key, _ in world.look_at("beta").acks] == [KEY]


def test_what_was_answered_survives_a_power_cut(world: World) -> None:
    """All that was not synced is gone: what the sender believes was."""
    world.flow(world.cables[0])

    world.cut_power(world.hosts["beta"], 1000)

    assert KEY in world.look_at("beta").inn


def test_a_message_that_comes_again_is_there_once(world: World) -> None:
    """The link broke before the answer came: it is offered again, and that is no error."""
    link = world.cables[0]
    world.pump(link, 0)
    world.deliver(link, 0, 100)
    world.break_(link)
    world.dial_all()

    world.flow(world.cables[0])

    assert state(world) is State.RECEIVED


@pytest.mark.parametrize("world", [THREE], indirect=True)
def test_a_relay_tells_what_it_hears(world: World) -> None:
    """Nobody has to ask how far a message got."""
    to_relay, beyond = world.cables
    world.flow(to_relay)
    world.flow(beyond)

    world.flow(to_relay)

    assert state(world) is State.RECEIVED


def test_a_refusal_that_comes_late_does_not_kill(world: World) -> None:
    """A link that was taken over says refused: the newer one holds the message by now."""
    world.send("a1", "b-nobody", "m2", "x", "P2", None)
    old = world.cables[0]
    world.turn_aside(old, 0)
    world.link(0, "two", "two")
    world.pump(world.cables[-1], 0)

    world.deliver(old, 1, 100)

    assert world.look_at("alpha").out[Key("a1", "m2")].state is State.QUEUED


def test_a_link_looks_though_nobody_rings(world: World) -> None:
    """A ring may be lost; the message it was for waits a second."""
    link = world.cables[0]
    world.flow(link)
    world.send("a1", "b1", "m2", "x", "P2", None)
    world.time.at += LOOK_S

    said = link.ends[0].link._next()

    assert said is not None and b'"m2"' in said


@pytest.mark.parametrize("world", [THREE], indirect=True)
def test_a_relay_knows_what_it_has_archived(world: World) -> None:
    """A copy of what was carried and done long ago is carried no more."""
    beyond = world.cables[1]
    world.bring("m1", "b1", "x", times=1)
    world.flow(beyond)
    world.done(world.hosts["beta"], 0, "done")
    world.flow(beyond)
    world.archive(world.hosts["relay"], 0.0)

    world.bring("m1", "b1", "x", times=1)

    assert world.look_at("relay").out[Key("x1", "m1")].archived

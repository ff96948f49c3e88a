"""Ways to lose or to lie about mail that the machine found, each told once more, step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spool.states import State
from spool.transports.frames import Key as Asked
from tests.machine.shapes import THREE, TWO, Shape
from tests.machine.truth import Key
from tests.machine.watching import WatchedGate
from tests.machine.world import World

# The relay hears of the outsider by alpha, too.
WAYS = THREE._replace(
    configs={
        **THREE.configs,
        "relay": THREE.configs["relay"].replace('agents = ["a*"]', 'agents = ["a*"]\nvia = ["x1"]'),
    }
)
DAY_S = 86_400.0
KEY = Key("a1", "m1")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world of the shape that the test asks for, its links up; healed at the end."""
    shape: Shape = request.param
    made = World(shape)
    try:
        made.dial_all()
        yield made
        made.heal()
    finally:
        made.close()


def state(world: World) -> State:
    """How the message stands at its sender's host."""
    return world.look_at("alpha").out[KEY].state


@pytest.mark.parametrize("world", [THREE], indirect=True)
def test_an_old_word_of_death_does_not_undo_a_proof(world: World) -> None:
    """A relay gave a message up, then heard that it was read; a stalled link brings the first word last."""
    old, beyond = world.cables
    world.send("a1", "b1", "m1", "x", "P2", 50.0)
    world.flow(old)
    world.pump(beyond, 1)
    world.deliver(beyond, 1, 100)
    world.break_(beyond)
    for seconds in (10.0, 50.0):
        world.wait(seconds)
    world.sweep(world.hosts["relay"])
    world.pump(old, 1)
    world.dial_all()
    world.read("b1")
    world.flow(world.cables[-1])
    world.link(0, "two", "two")
    world.flow(world.cables[-1])
    assert state(world) is State.READ

    world.deliver(old, 1, 100)

    assert state(world) is State.READ


@pytest.mark.parametrize("world", [TWO], indirect=True)
def test_a_message_that_a_wrong_clock_took_is_known_when_it_comes_again(world: World) -> None:
    """A machine without a battery starts in another year: its dedup record is soon forgotten as too old."""
    beta = world.hosts["beta"]
    world.turn_clock(beta, -500 * DAY_S)
    world.send("a1", "b1", "m1", "x", "P2", None)
    world.pump(world.cables[0], 0)
    world.deliver(world.cables[0], 0, 100)
    world.break_(world.cables[0])
    world.turn_clock(beta, 500 * DAY_S)
    for _ in range(3):
        world.sweep(beta)
        world.wait(400.0)
    world.archive(beta, DAY_S)

    world.dial_all()
    world.flow(world.cables[0])

    assert state(world) is State.RECEIVED


@pytest.mark.parametrize("world", [WAYS], indirect=True)
def test_who_may_have_brought_it_too_is_told_no_more_than_there_is(world: World) -> None:
    """What another peer brought and this host only relays has not been received by its agent's host."""
    world.bring("m1", "b1", "x", times=1)

    gate = WatchedGate(world.hosts["relay"].program("two"), "alpha", world.truth)

    assert [told.status for told in gate.answer([Asked("x1", "m1")])] == ["sent"]

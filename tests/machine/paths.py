"""A fixed story of a few messages, told again and again with a death at each step of each store."""

from __future__ import annotations

from typing import Final

from tests.machine.brittle import Point
from tests.machine.counts import count
from tests.machine.hosts import Program, Role
from tests.machine.shapes import SHAPES
from tests.machine.world import World

PATHS: Final[dict[str, tuple[Point, ...]]] = {"two": ("before", "after"), "three": ("before", "after")}
PROGRAMS: Final[tuple[Role, ...]] = ("desk", "one")


def tell(world: World) -> None:
    """Mail both ways with all that becomes of it: read, answered, done, refused, brought twice, archived."""
    for n in range(len(world.shape.pairs)):
        world.link(n, "one", "one")
    world.send("a1", "b1", "m1", "first", "P1", None)
    world.send("a1", "b-nobody", "m2", "for nobody", "P2", None)
    world.send("b1", "a1", "m3", "back", "P2", None)
    home = "a1" if world.shape.outer == "alpha" else "b1"
    world.bring("m1", home, "foreign", times=2)
    _carry(world)
    world.take("b1")
    world.reply(world.hosts["beta"], 0, "m4", "answer")
    world.read("a1")
    _carry(world)
    world.take("a1")
    world.finish(world.hosts["alpha"], 0, "rejected")
    world.outsider_takes()
    _carry(world)
    for host in world.hosts.values():
        world.sweep(host)
        world.archive(host, 0.0)


def every_step(shape: str, points: tuple[Point, ...], *, at: str = "") -> int:
    """Tell the story once for each store step of each program, which dies before or after its commit. The
    power of its host goes with it, and all that was not synced is gone.

    Args:
        at: only the programs of this host.

    Returns:
        how many deaths there were.
    """
    died = 0
    for host, role, steps in _steps(shape):
        if at not in ("", host):
            continue
        for left in range(steps):
            for point in points:
                died += _once(shape, host, role, left, point)
    return died


def _once(shape: str, host: str, role: Role, left: int, point: Point) -> int:
    world = World(SHAPES[shape])
    try:
        chosen = world.hosts[host]
        doomed = chosen.program(role)
        world.arm(chosen, role, left, point)
        tell(world)
        died = not doomed.alive
        if died:
            world.cut_power(chosen, 1000)
        world.heal()
    finally:
        world.close()
    count("deaths at a chosen step", died)
    return int(died)


def _steps(shape: str) -> list[tuple[str, Role, int]]:
    """How many store steps each program takes where nothing goes wrong."""
    world = World(SHAPES[shape])
    try:
        every: list[Program] = [h.program(role) for h in world.hosts.values() for role in PROGRAMS]
        before = [program.store.steps for program in every]
        tell(world)
        return [
            (program.host.name, program.role, program.store.steps - taken)
            for program, taken in zip(every, before, strict=True)
        ]
    finally:
        world.close()


def _carry(world: World) -> None:
    world.dial_all()
    for _ in range(len(world.cables)):
        for cable in list(world.cables):
            world.flow(cable)

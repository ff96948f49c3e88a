"""All that a disk may do to the store, counted: `python -m tests.disk_ordeals`.

The tests try a share of it; here it is all of it, or those of `faults`, `power`, `syncs` and `beginnings`
that are named.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from spool.store.schema import SCHEMA
from tests.beginnings import beginning
from tests.faults import WAYS, Count, Ordeal, insist
from tests.power import Inquest, Tally, disk_of
from tests.scripted import STEPS
from tests.world import World

# So few pages of the log before it is written back that most steps meet it.
FEW_PAGES: Final = 8


def faults(folder: Path, rng: random.Random | None = None, *, ways: int = 1, one_in: int = 4) -> Count:
    """Each step of the script with each call failing; with `rng`, some ways of each step and some calls."""
    world = World(folder, pages=FEW_PAGES)
    place = _folder(folder, "found")
    try:
        world.open()
        ordeal = Ordeal(world, place)
        for step in STEPS:
            for way in WAYS if rng is None else rng.sample(WAYS, ways):
                ordeal.suffer(step, way, _drawn(rng, one_in))
            ordeal.do(step)
    finally:
        world.end()
    return ordeal.count


def power(folder: Path, rng: random.Random, *, points: int | None = None, syncs_fail: bool = False) -> Tally:
    """The power cut after each change of the files that the script makes, or after so many of them.

    With `syncs_fail`, the first sync of each step has failed before.
    """
    world = World(folder)
    try:
        world.vfs.changes = []
        begun, disk = world.state(), disk_of(world)
        world.open()
        for step in STEPS:
            if syncs_fail:
                insist(step, world)
            else:
                step(world)
        every = range(1, world.changes + 1)
        inquest = Inquest(world, begun, _folder(folder, "found"))
        chosen = every if points is None else rng.sample(every, points)
        return inquest.run(disk, chosen, rng, each=points is None)
    finally:
        world.end()


def begin(
    folder: Path,
    rng: random.Random,
    *,
    versions: int | None = None,
    one_in: int = 1,
    points: int | None = None,
) -> tuple[Count, Tally]:
    """The same for a database that is made or brought up to date; so many of the ways it may begin."""
    count, tally = Count(), Tally()
    every = range(SCHEMA)
    for version in every if versions is None else [0, *rng.sample(every[1:], versions - 1)]:
        begun = beginning(folder, version)
        for way in WAYS if one_in == 1 else rng.sample(WAYS, 5):
            begun.suffer(way, count, _drawn(None if one_in == 1 else rng, one_in))
        begun.cut(tally, rng, _points(rng, points))
        begun.vfs.close()
    return count, tally


def _points(rng: random.Random, points: int | None) -> Callable[[int], Iterator[int]]:
    return lambda most: iter(range(1, most + 1) if points is None else rng.sample(range(1, most + 1), points))


def _drawn(rng: random.Random | None, one_in: int) -> Callable[[int], bool]:
    return lambda nth: rng is None or rng.random() < 1 / one_in


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    (made / "run").mkdir(mode=0o700, parents=True)
    made.chmod(0o700)
    return made


def main(chosen: list[str]) -> None:
    """Run all of it, and print what was tried."""
    rng = random.Random(0)
    parts: dict[str, Callable[[Path], object]] = {
        "faults": faults,
        "power": lambda folder: power(folder, rng),
        "syncs": lambda folder: power(folder, rng, syncs_fail=True),
        "beginnings": lambda folder: begin(folder, rng),
    }
    for name in chosen or list(parts):
        with tempfile.TemporaryDirectory() as folder:
            since = time.monotonic()
            print(f"{name}: {parts[name](Path(folder))}, {time.monotonic() - since:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

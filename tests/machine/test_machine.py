"""Mail survives whatever the machine can think of, in little; `python -m tests.machine` does it at length."""

from __future__ import annotations

import pytest

from tests.machine import paths
from tests.machine.brittle import Point
from tests.machine.counts import COUNTS, table
from tests.machine.running import run

# Another seed finds other ways; the long run takes new ones each time.
SEEDS = (1, 2, 3, 4)
WORLDS = 12


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_whatever_happens(seed: int) -> None:
    """Agents trust their work to this: no fault, nor any row of them, loses or doubles a message."""
    COUNTS.clear()

    run(seed, worlds=WORLDS)

    print(table())
    assert COUNTS["steps"] > 500, "the machine has hardly moved"
    assert COUNTS["arrived once"] > 40, "hardly anything was sent"


@pytest.mark.parametrize(("shape", "point", "at"), [("two", "after", "alpha"), ("three", "before", "relay")])
def test_no_death_at_any_step_of_a_store_loses_mail(shape: str, point: Point, at: str) -> None:
    """A program dies where it likes: here at each commit of a story with replies, refusals and relays."""
    died = paths.every_step(shape, (point,), at=at)

    assert died > 20, "the story has hardly any steps"

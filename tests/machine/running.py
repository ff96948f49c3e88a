"""One run of the state machine under one seed, for the tests, the long run, and who replays a failure."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Mail

STEPS: Final = 50


def run(number: int, *, worlds: int, steps: int = STEPS, shrink: bool = False) -> None:
    """Try so many worlds with so many rules in each, the same ones for the same number.

    Args:
        shrink: look for the shortest way to a failure, which can take minutes.

    Raises:
        AssertionError, or whatever broke: with the rules that led there as a note.
    """
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        seed(number)(_fresh()),
        settings=settings(
            max_examples=worlds,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _fresh() -> type[Mail]:
    """A class of its own: a seed is written into it."""
    return type("Mail", (Mail,), {})

"""The middle and the tail of what was measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The median and the 99th percentile, in the unit asked for."""

    median: float
    tail: float


def of(seconds: Sequence[float], *, times: float = 1e3) -> Spread:
    """The spread of times given in seconds; `times` 1e3 is milliseconds."""
    ordered = sorted(seconds)
    return Spread(statistics.median(ordered) * times, ordered[int(len(ordered) * 0.99)] * times)


def of_rates(rates: Sequence[float]) -> Spread:
    """The median and the slowest of some rounds."""
    return Spread(statistics.median(rates), min(rates))


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def paced(count: int, pace_s: float, *calls: Callable[[], object]) -> None:
    """Make each call `count` times, once each `pace_s`, evenly apart; what is late is not made up for."""
    step, due = pace_s / len(calls), time.perf_counter()
    for _ in range(count):
        for call in calls:
            time.sleep(max(0.0, due - time.perf_counter()))
            call()
            due = max(due + step, time.perf_counter())

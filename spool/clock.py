"""The two clocks, handed down from the desk floor: no room below reads the time by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """`now` in seconds since the epoch, may jump; `monotonic` in seconds, never does."""

    now: Callable[[], float]
    monotonic: Callable[[], float]

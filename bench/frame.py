"""What a row of the benchmark is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from bench.ground import Ground

Unit = Literal["us", "ms", "s", "a second", "%", "MB", "x"]


class Limit(msgspec.Struct, frozen=True):
    """A part of a budget: a figure is `most` at most, or, with `least`, that at least."""

    of: Literal["median", "tail", "ratio"]
    value: float
    least: bool = False

    def holds(self, found: float) -> bool:
        """Whether a figure keeps it."""
        return found >= self.value if self.least else found <= self.value


class Yardstick(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine does by itself, in the unit of what is held against it."""

    what: str
    median: float
    tail: float | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the table.

    Attributes:
        tail: the 99th percentile of a time, the slowest round of a rate.
        count: how many were measured: messages of a time, rounds of a rate.
        cpu_us: CPU time of all of spool's processes on both hosts, microseconds for each message.
        peak_mb: the most memory each of those processes had resident meanwhile.
    """

    what: str
    unit: Unit
    median: float
    tail: float | None = None
    count: int = 1
    yardstick: Yardstick | None = None
    limits: tuple[Limit, ...] = ()
    cpu_us: float | None = None
    peak_mb: dict[str, float] = {}
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median against the yardstick's."""
        return self.median / self.yardstick.median if self.yardstick else None

    @property
    def met(self) -> bool | None:
        """Whether the whole budget is kept; None where there is none."""
        found = {"median": self.median, "tail": self.tail, "ratio": self.ratio}
        values = [(limit, found[limit.of]) for limit in self.limits]
        return all(value is not None and limit.holds(value) for limit, value in values) if values else None


class Point(msgspec.Struct, frozen=True):
    """One point of the picture: what a batch of a size costs at a round trip time."""

    batch: int
    round_trip_ms: float
    latency_ms: float
    a_second: float


class Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row found: figures, points of the picture, or why it could not be measured."""

    figures: list[Figure] = []
    points: list[Point] = []
    absent: str = ""
    seconds: float = 0.0


class Row(NamedTuple):
    """A row one can choose. `measure` ends all it started, also where it fails; raises what it likes."""

    name: str
    title: str
    measure: Callable[[Ground], Found]

"""One point after the other: a kill at each call of a victim, until it runs through unharmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

# So many in a row at which nothing was killed: the victim makes no more calls.
UNHARMED: Final = 2


# What a dead process held is taken over and not waited for.
LEASE_S: Final = 50.0


class Gone(NamedTuple):
    """How many messages are lost, and how many are there more than once."""

    lost: int
    doubled: int


class Verdict(NamedTuple):
    """What came of one point.

    Attributes:
        kill_at: its k.
        at: the call that was not made any more; "" where the victim ran through.
        wrong: each promise that was broken.
        lost, doubled: how many messages.
        met: the calls that the victim came to, the one it died at too.
        late: it took longer than a lease lasts until all was carried; on a quiet machine that is wrong too.
    """

    kill_at: int
    at: str
    wrong: tuple[str, ...]
    lost: int
    doubled: int
    met: int
    late: bool


class Stage(Protocol):
    """A victim with its surroundings, prepared once."""

    def point(self, kill_at: int) -> Verdict:
        """Put all back, kill it at this call, mend nothing, start all again, and judge what came of it."""


Story = Callable[[Path], AbstractContextManager[Stage]]


class Sum(NamedTuple):
    """What came of all points of a story."""

    tried: int = 0
    killed: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    late: int = 0

    def plus(self, verdict: Verdict) -> Sum:
        """With one more."""
        return Sum(
            self.tried + 1,
            self.killed + bool(verdict.at),
            self.lost + verdict.lost,
            self.doubled + verdict.doubled,
            self.wrong + bool(verdict.wrong),
            self.late + verdict.late,
        )


def every(stage: Stage, *, step: int = 1, first: int = 1) -> Iterator[Verdict]:
    """Each point in order, until the victim ran through unharmed a few times."""
    kill_at, unharmed = first, 0
    while unharmed < UNHARMED:
        verdict = stage.point(kill_at)
        unharmed = 0 if verdict.at else unharmed + 1
        kill_at += step
        yield verdict


def judge(kill_at: int, met: list[str], wrong: list[str], took_s: float | None, gone: Gone) -> Verdict:
    """The verdict on a point; `met` are the calls of the victim, `took_s` is until all was carried."""
    at = met[kill_at - 1] if 0 < kill_at <= len(met) else ""
    if took_s is None:
        wrong = [*wrong, "something is stuck"]
    return Verdict(kill_at, at, tuple(wrong), *gone, met=len(met), late=(took_s or 0.0) > LEASE_S)

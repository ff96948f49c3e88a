"""Resting: when a session may be woken, whoever would do it."""

from __future__ import annotations

from typing import Final, Protocol

# What a session does of itself at its turns, its hooks tell of; they come together, and end together.
SETTLED_S: Final = 2.0
EVERY_S: Final = 10.0
# A person who interrupts a session ends its turn, and no hook tells of that.
INTERRUPTED_S: Final = 1800.0


class Resting(Protocol):
    """What is known of a session; times in seconds since the epoch."""

    @property
    def busy(self) -> bool:
        """Whether it works."""

    @property
    def seen_at(self) -> float:
        """When its hooks last said anything."""

    @property
    def woken_at(self) -> float | None:
        """When somebody last set out to wake it."""


def is_idle(session: Resting, *, now: float) -> bool:
    """Whether it waits for somebody. A session whose turn was interrupted does, after half an hour."""
    return not session.busy or abs(now - session.seen_at) > INTERRUPTED_S


def may_be_woken(session: Resting, *, now: float) -> bool:
    """Whether it is idle, its hooks have ended, and it was not woken a moment ago."""
    rested = session.woken_at is None or abs(now - session.woken_at) >= EVERY_S
    return rested and is_idle(session, now=now) and abs(now - session.seen_at) >= SETTLED_S

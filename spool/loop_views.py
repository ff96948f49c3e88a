"""What the doors say of agents that are held for having answered too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spool import loops
from spool.api import Spool
from spool.looking import ago
from spool.message import format_time
from spool.store.base import Hold, Outgoing


def held(hold: Hold, rows: Sequence[Outgoing]) -> dict[str, Any]:
    """Who is held in which thread, since when, and the ids of what waits, in order."""
    return {
        "thread": hold.thread,
        "agent": hold.agent,
        "with": hold.other,
        "since": format_time(hold.since),
        "turns": hold.turns,
        "messages": [row.id for row in rows],
    }


def line(hold: Hold, rows: Sequence[Outgoing], *, now: float) -> tuple[str, ...]:
    """The same as the cells of a row."""
    waits = f"{counted(rows)} held for {ago(now - hold.since)}"
    return hold.thread, f"{hold.agent} to {hold.other}", waits, f"after {hold.turns} turns"


def warning(spool: Spool, id: str) -> str:
    """What the sender of a held message should know, on one line."""
    for hold, rows in spool.held():
        if any(row.id == id for row in rows):
            return (
                f"held, not sent: {loops.turns_of(hold, spool.config.host)}. Send no more in this thread and"
                f" tell the person you work for, who can type `spool release {hold.thread}`"
            )
    return f"it was held and is not any more: `spool trace {id}`"


def stuck(spool: Spool, *, now: float) -> Iterator[str]:
    """A line for each hold, with what to type."""
    for hold, rows in spool.held():
        yield (
            f"{counted(rows)} of {hold.agent} to {hold.other} held for {ago(now - hold.since)}, after"
            f" {hold.turns} turns in a thread: `spool held`, then `spool release {hold.thread}`"
        )


def counted(rows: Sequence[Outgoing]) -> str:
    """How many messages."""
    return "1 message" if len(rows) == 1 else f"{len(rows)} messages"

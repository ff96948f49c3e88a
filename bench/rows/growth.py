"""What daily work costs where a lot of mail has been, and a lot waits; beside the same without."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bench import fill, mail, spread
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground, Linked, arrivals
from spool import Spool, views

# Archived, and waiting in the outbox. The budget is for the last but one.
LEVELS: Final = ((0, 0), (10_000, 10_000), (100_000, 100_000), (1_000_000, 100_000), (1_000_000, 1_000_000))
BUDGETED: Final = LEVELS[3]
ROUNDS: Final = 250
STATUSES: Final = 5
PACE_S: Final = 0.02
UNREAD: Final = 20
RATIO: Final = 1.2
ARRIVED: Final = "to the far disk"


def measure(ground: Ground) -> Found:
    """One pair of hosts grows from level to level, another stays as it was; each thing in turns."""
    rounds = ground.scaled(ROUNDS, least=50)
    figures: list[Figure] = []
    with ground.linked("small") as small, ground.linked("large") as large:
        _settle(small)
        _settle(large)
        small.up()
        had = (0, 0)
        for level in LEVELS:
            history, backlog = (ground.scaled(count, least=0) for count in level)
            fill.grow(large.near.home, history=history - had[0], backlog=backlog - had[1])
            fill.grow(large.far.home, history=history - had[0], backlog=0)
            had = (history, backlog)
            large.up()
            limits = (Limit("ratio", RATIO),) if level == BUDGETED else ()
            figures += _figures(small, large, rounds, f"{history:,} archived, {backlog:,} waiting", limits)
            large.down()
    return Found(figures=figures)


def _settle(two: Linked) -> None:
    for host, agent, other in ((two.near, "al", "far"), (two.far, "bo", "near")):
        host.peer(fill.GONE, agents=[f"{fill.GONE}-bo"])
        fill.prepare(host.home, agent=agent, peer=other)
    with two.near.api() as spool:
        spool.send_many(mail.batch(UNREAD, "al"))


class _Side(NamedTuple):
    """One of the two pairs: what its calls took, by name, and when each message was begun."""

    spool: Spool
    took: dict[str, list[float]]
    began: dict[str, float]

    def timed(self, what: str, call: Callable[[], object]) -> None:
        self.took.setdefault(what, []).append(spread.timed(call))

    def send(self) -> None:
        at = time.time()
        self.began[mail.send(self.spool)] = at

    def status(self) -> None:
        views.status(self.spool, now=time.time())


def _figures(
    small: Linked, large: Linked, rounds: int, level: str, limits: tuple[Limit, ...]
) -> list[Figure]:
    with small.near.api() as empty, large.near.api() as full:
        sides = [_Side(empty, {}, {}), _Side(full, {}, {})]
        turns = iter(range(rounds))
        spread.paced(rounds, PACE_S, lambda: _once(sides, next(turns), status_each=rounds // STATUSES))
        for side in sides:
            side.took[ARRIVED] = arrivals(side.spool, side.began)
    return [
        _figure(what, sides[0].took[what], sides[1].took[what], level, () if what == "`status`" else limits)
        for what in ("`send()`", ARRIVED, "`inbox`", "`trace`", "`status`")
    ]


def _once(sides: list[_Side], turn: int, *, status_each: int) -> None:
    """Who goes first changes: what the other has just done may be in a cache."""
    for side in sides[:: 1 if turn % 2 else -1]:
        side.timed("`send()`", side.send)
        side.timed("`inbox`", lambda side=side: side.spool.inbox(limit=21))  # type: ignore[misc]  # of this turn
        last = next(reversed(side.began))
        side.timed("`trace`", lambda side=side, last=last: views.trace(side.spool, last))  # type: ignore[misc]
        if turn % status_each == 0:
            side.timed("`status`", side.status)


def _figure(
    what: str, empty: list[float], full: list[float], level: str, limits: tuple[Limit, ...]
) -> Figure:
    found, yard = spread.of(full), spread.of(empty)
    return Figure(
        what=f"{what}, {level}",
        unit="ms",
        median=found.median,
        tail=found.tail,
        count=len(full),
        yardstick=Yardstick(what="the same, empty", median=yard.median, tail=yard.tail),
        limits=limits,
    )


ROWS: Final = (Row("growth", "The same with a history and a backlog", measure),)

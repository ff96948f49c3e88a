"""Several programs that send at once, one commit for each message."""

from __future__ import annotations

from typing import Final

from bench import senders, spread
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground, arrivals
from bench.yardsticks import Disk

FEW: Final = (4, 8)
MANY: Final = 50
MESSAGES: Final = 4000


def measure_few(ground: Ground) -> Found:
    """What the budget is for."""
    figures: list[Figure] = []
    for programs in FEW:
        limits = (Limit("median", 2500, least=True),), (Limit("tail", 10.0),), (Limit("tail", 30.0),)
        figures += _measured(ground, programs, limits)
    return Found(figures=figures)


def measure_many(ground: Ground) -> Found:
    """Fifty of them: on few cores most wait for a core, and the rest for the lock."""
    return Found(figures=_measured(ground, MANY, ((), (), ())))


def _measured(ground: Ground, programs: int, limits: tuple[tuple[Limit, ...], ...]) -> list[Figure]:
    each = ground.scaled(MESSAGES, least=400) // programs
    with ground.linked("programs") as two, two.near.api() as spool, Disk(two.near.home) as disk:
        two.up()
        with two.meter(sender=False) as meter:
            sent = senders.many(two.near.home, programs, each)
            ends = spread.of(arrivals(spool, sent.began))
            count = len(sent.began)
            cpu_us = meter.cpu_us(count, more_s=sent.cpu_s)
            peak_mb = {**meter.peak_mb(), "a sender": sent.peak_mb}
        commits = [disk.commit() for _ in range(count)]
    took, who = spread.of(sent.took), f"{programs} programs"
    a_second = Yardstick(what="synced commits of one program", median=count / sum(commits))
    return [
        Figure(
            what=f"{who}: sent",
            unit="a second",
            median=count / sent.seconds,
            yardstick=a_second,
            limits=limits[0],
            cpu_us=cpu_us,
            peak_mb=peak_mb,
        ),
        Figure(
            what=f"{who}: `send()`",
            unit="ms",
            median=took.median,
            tail=took.tail,
            count=count,
            limits=limits[1],
        ),
        Figure(
            what=f"{who}: to the far disk",
            unit="ms",
            median=ends.median,
            tail=ends.tail,
            count=count,
            limits=limits[2],
        ),
    ]


ROWS: Final = (
    Row("processes", "4 and 8 programs, one commit for each message", measure_few),
    Row("senders", "50 programs at once", measure_many),
)

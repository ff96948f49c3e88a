"""From `send()` to the far disk over a link that is up and idle, and over one with a long round trip."""

from __future__ import annotations

import time
from typing import Final

from bench import mail, spread, yardsticks
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground, arrivals
from bench.yardsticks import Disk
from spool import Spool

PACE_S: Final = 0.02
SENDS: Final = 500
ONE_WAY_S: Final = 0.05


def measure_idle(ground: Ground) -> Found:
    """Over the real sshd on loopback."""
    limits = (Limit("median", 4.0), Limit("tail", 15.0))
    figure = _measured(ground, ground.scaled(SENDS, least=100), 0.0, "two commits and a round trip", limits)
    return Found(figures=[figure])


def measure_far(ground: Ground) -> Found:
    """The same with 50 ms on the way in each direction."""
    what, limits = "two commits and half a round trip", (Limit("median", 60.0),)
    figure = _measured(ground, ground.scaled(SENDS, least=100) // 2, ONE_WAY_S, what, limits)
    return Found(figures=[figure])


def _measured(
    ground: Ground, count: int, latency_s: float, against: str, limits: tuple[Limit, ...]
) -> Figure:
    began: dict[str, float] = {}
    commits: list[float] = []
    trips: list[float] = []
    with (
        ground.linked("link", latency_s=latency_s) as two,
        two.near.api() as spool,
        Disk(two.near.home) as disk,
        yardsticks.echo(ground.sshd, two.near, port=two.port) as bare,
    ):
        two.up()
        mail.send(spool)
        with two.meter() as meter:
            spread.paced(count, PACE_S, lambda: _begin(spool, began), lambda: commits.append(disk.commit()))
            # The last is still on its way; looking for all would count as work of the sender.
            cpu_us, peak_mb = meter.cpu_us(count), meter.peak_mb()
        took = spread.of(arrivals(spool, began))
        # By itself: a trip that takes a tenth of a second keeps no pace.
        spread.paced(count // 2, PACE_S, lambda: trips.append(bare.trip()))
    share = 0.5 if latency_s else 1.0
    commit, trip = spread.of(commits), spread.of(trips)
    return Figure(
        what="`send()` to stored on the far disk" + (", 100 ms round trip" if latency_s else ", idle link"),
        unit="ms",
        median=took.median,
        tail=took.tail,
        count=count,
        yardstick=Yardstick(
            what=against,
            median=2 * commit.median + share * trip.median,
            tail=2 * commit.tail + share * trip.tail,
        ),
        limits=limits,
        cpu_us=cpu_us,
        peak_mb=peak_mb,
    )


def _begin(spool: Spool, began: dict[str, float]) -> None:
    at = time.time()
    began[mail.send(spool)] = at


ROWS: Final = (
    Row("link-idle", "From `send()` to the far disk, idle link", measure_idle),
    Row("link-rtt", "The same over a round trip of 100 ms", measure_far),
)

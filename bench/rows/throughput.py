"""How many messages a second a link carries: as they are sent, and off a backlog."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench import mail, spread
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground, Linked, drained
from bench.yardsticks import Disk
from spool import Spool
from tests import databases
from tests.hosts import until

SIZES: Final = (100, 500)
ROUNDS: Final = 5
A_ROUND: Final = 4000
BACKLOG: Final = 100_000
LOOK_S: Final = 0.1
DRAIN_S: Final = 300.0
_LEFT: Final = "SELECT count(*) FROM outbox WHERE due IS NOT NULL"


def measure_batches(ground: Ground) -> Found:
    """Each round is sent in batches, carried, committed there and acknowledged before the next begins."""
    count = ground.scaled(A_ROUND, least=1000)
    with ground.linked("batches") as two, two.near.api() as spool, Disk(two.near.home) as disk:
        two.up()
        _round(two, spool, 100, 100)
        return Found(figures=[_batches(two, spool, disk, size, count) for size in SIZES])


def _batches(two: Linked, spool: Spool, disk: Disk, size: int, count: int) -> Figure:
    rates: list[float] = []
    rows: list[float] = []
    with two.meter() as meter:
        spent_s = 0.0  # by this program, on looking and on the yardstick
        for _ in range(ROUNDS):
            rate, looked_s = _round(two, spool, size, count)
            rates.append(rate)
            before_s = time.process_time()
            rows.append(disk.rate(count, batch=size))
            spent_s += looked_s + time.process_time() - before_s
        cpu_us, peak_mb = meter.cpu_us(ROUNDS * count, more_s=-spent_s), meter.peak_mb()
    found, yard = spread.of_rates(rates), spread.of_rates(rows)
    return Figure(
        what=f"`send_many` of {size}, acknowledged",
        unit="a second",
        median=found.median,
        tail=found.tail,
        count=ROUNDS,
        yardstick=Yardstick(what=f"rows, {size} to a synced commit", median=yard.median, tail=yard.tail),
        limits=(Limit("median", 15_000, least=True),),
        cpu_us=cpu_us,
        peak_mb=peak_mb,
        note=f"rounds of {count:,}",
    )


def _round(two: Linked, spool: Spool, size: int, count: int) -> tuple[float, float]:
    """Messages a second, and the CPU seconds of waiting for the last."""
    began = time.perf_counter()
    for _ in range(count // size):
        spool.send_many(mail.batch(size))
    before_s = time.process_time()
    drained(two.near.home)
    return count / (time.perf_counter() - began), time.process_time() - before_s


def measure_backlog(ground: Ground) -> Found:
    """From the first that is answered to the last; the tail is the slowest whole second of it."""
    count = ground.scaled(BACKLOG, least=10_000)
    with ground.linked("backlog") as two, two.near.api() as spool, Disk(two.near.home) as disk:
        for _ in range(count // 500):
            spool.send_many(mail.batch(500))
        two.up()
        with two.meter(sender=False) as meter:
            first, looks = _drain(two.near.home)
            cpu_us, peak_mb = meter.cpu_us(first), meter.peak_mb()
        yard = disk.rate(count, batch=500)
    rate = first / (looks[-1][0] - looks[0][0])
    return Found(
        figures=[
            Figure(
                what=f"a backlog of {count:,} drained",
                unit="a second",
                median=rate,
                tail=_slowest(looks),
                yardstick=Yardstick(what="rows, 500 to a synced commit", median=yard),
                limits=(Limit("median", 20_000, least=True),),
                cpu_us=cpu_us,
                peak_mb=peak_mb,
            )
        ]
    )


def _drain(home: Path) -> tuple[int, list[tuple[float, int]]]:
    """How many were left at the first look, and what each look found."""
    looks: list[tuple[float, int]] = []

    def done() -> bool:
        looks.append((time.perf_counter(), int(databases.one(home, _LEFT))))
        time.sleep(LOOK_S)
        return looks[-1][1] == 0

    until(done, within_s=DRAIN_S, what="the backlog was not drained in time")
    return looks[0][1], looks


def _slowest(looks: list[tuple[float, int]]) -> float | None:
    rates = []
    for n, (at, left) in enumerate(looks):
        later = next(((then, still) for then, still in looks[n:] if then >= at + 1 and still), None)
        if later is not None:
            rates.append((left - later[1]) / (later[0] - at))
    return min(rates, default=None)


ROWS: Final = (
    Row("batches", "Batches, durable at both ends and acknowledged", measure_batches),
    Row("backlog", "A backlog drained", measure_backlog),
)

"""Twenty links at once: throughput, and who waits for whom; then with one of them dead."""

from __future__ import annotations

import time
from typing import Final

from bench import mail, spread
from bench.cost import Meter
from bench.frame import Figure, Found, Row, Yardstick
from bench.ground import WITHIN_S, Ground, arrivals
from tests import databases
from tests.hosts import Host, until

PEERS: Final = 20
EACH: Final = 500
LONE: Final = 400
PACE_S: Final = 0.01
_LEFT: Final = "SELECT peer, count(*) FROM outbox WHERE due IS NOT NULL GROUP BY peer"


def measure(ground: Ground) -> Found:
    """The dead one's connections are taken and nothing comes back: the worst way to be dead."""
    names = [f"p{n:02}" for n in range(PEERS)]
    live = names[1:]
    each, lone = ground.scaled(EACH, least=50), ground.scaled(LONE, least=100)
    with ground.star("peers", names) as (near, pid, first):
        with Meter({"consumer": pid}) as meter:
            well = _burst(near, names, names, each)
            cpu_us, peak_mb = meter.cpu_us(PEERS * each), meter.peak_mb()
        alone = _lone(near, live, lone)
        first.stall()
        ill = _burst(near, names, live, each)
        beside = _lone(near, live, lone)
    before = Yardstick(what="with all alive", median=well.a_second)
    return Found(
        figures=[
            Figure(
                what="20 peers, all alive: acknowledged",
                unit="a second",
                median=well.a_second,
                cpu_us=cpu_us,
                peak_mb=peak_mb,
                note="CPU of the consumer alone",
            ),
            _fairness("20 peers, all alive", well),
            Figure(
                what="one dead: acknowledged by 19", unit="a second", median=ill.a_second, yardstick=before
            ),
            _fairness("one dead", ill),
            Figure(
                what="one dead: single messages to the 19",
                unit="ms",
                median=beside.median,
                tail=beside.tail,
                count=lone,
                yardstick=Yardstick(what="with all alive", median=alone.median, tail=alone.tail),
            ),
        ]
    )


class _Burst:
    """When each peer had all of its mail, in seconds since the beginning."""

    def __init__(self, each: int, ended: dict[str, float]) -> None:
        self.ended = ended
        self.a_second = each * len(ended) / max(ended.values())


def _fairness(who: str, burst: _Burst) -> Figure:
    times = sorted(burst.ended.values())
    return Figure(
        what=f"{who}: last peer served, against the median peer",
        unit="x",
        median=times[-1] / times[len(times) // 2],
        count=len(times),
    )


def _burst(near: Host, names: list[str], counted: list[str], each: int) -> _Burst:
    """The same for all names, in one commit after the other, ten for each name; timed until those counted
    have theirs."""
    ended: dict[str, float] = {}
    began = time.perf_counter()
    with near.api() as spool:
        for _ in range(each // 10):
            spool.send_many(one for name in names for one in mail.batch(10, name))

    def done() -> bool:
        left = dict(databases.rows(near.home, _LEFT))
        for name in counted:
            if name not in left:
                ended.setdefault(name, time.perf_counter() - began)
        return len(ended) == len(counted)

    until(done, within_s=WITHIN_S, what="the live peers were not served in time")
    return _Burst(each, ended)


def _lone(near: Host, names: list[str], count: int) -> spread.Spread:
    """Single messages at a pace, to one peer after the other."""
    began: dict[str, float] = {}
    turns = iter(range(count))
    with near.api() as spool:

        def once() -> None:
            at = time.time()
            began[mail.send(spool, names[next(turns) % len(names)])] = at

        spread.paced(count, PACE_S, once)
        return spread.of(arrivals(spool, began))


ROWS: Final = (Row("peers", "Twenty links at once, and one of them dead", measure),)

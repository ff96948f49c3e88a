"""What a consumer costs that has three links and nothing to do."""

from __future__ import annotations

import time
from typing import Final

from bench import cost
from bench.frame import Figure, Found, Limit, Row
from bench.ground import Ground

SETTLE_S: Final = 3.0
QUIET_S: Final = 60.0
PEERS: Final = ("east", "north", "west")


def measure(ground: Ground) -> Found:
    """A minute of it, after it has settled."""
    seconds = 15.0 if ground.quick else QUIET_S
    with ground.star("idle", PEERS) as (_, pid, _):
        time.sleep(SETTLE_S)
        with cost.Meter({"consumer": pid}) as meter:
            woken = cost.wakeups(pid)
            time.sleep(seconds)
            cpu_us = meter.cpu_us(1)
            woken, peak_mb = cost.wakeups(pid) - woken, meter.peak_mb()
    assert cpu_us is not None, "there is no /proc here to measure it by"
    return Found(
        figures=[
            Figure(
                what="CPU of a core",
                unit="%",
                median=cpu_us / 1e6 / seconds * 100,
                limits=(Limit("median", 0.5),),
                note=f"of {seconds:.0f} s",
            ),
            Figure(
                what="memory",
                unit="MB",
                median=peak_mb["consumer"],
                limits=(Limit("median", 80.0),),
                peak_mb=peak_mb,
            ),
            Figure(what="threads woken", unit="a second", median=woken / seconds),
        ]
    )


ROWS: Final = (Row("idle", "A consumer with three quiet links", measure),)

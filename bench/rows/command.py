"""`spool send` as a program, beside a Python that does nothing."""

from __future__ import annotations

import sys
from typing import Final

from bench import cost, mail, spread
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground
from tests.hosts import ENV

RUNS: Final = 30


def measure(ground: Ground) -> Found:
    """In turns. The CPU is that of the whole program."""
    runs = ground.scaled(RUNS, least=10)
    with ground.linked("cli") as two:
        command = [sys.executable, "-m", "spool", "--home", str(two.near.home)]
        send = [*command, "send", "bo", "-s", "bench", "-b", mail.BODY]
        took, idle, ran = [], [], [cost.run(send, ENV)]
        for _ in range(runs):
            took.append(spread.timed(lambda: ran.append(cost.run(send, ENV))))
            idle.append(spread.timed(lambda: cost.run([sys.executable, "-c", "pass"], ENV)))
    found, yard = spread.of(took), spread.of(idle)
    return Found(
        figures=[
            Figure(
                what="`spool send` as a program",
                unit="ms",
                median=found.median,
                tail=found.tail,
                count=runs,
                yardstick=Yardstick(what="`python -c pass`", median=yard.median, tail=yard.tail),
                limits=(Limit("median", 100.0),),
                cpu_us=sum(one.cpu_s for one in ran[1:]) / runs * 1e6,
                peak_mb={"program": max(one.peak_mb for one in ran)},
            )
        ]
    )


ROWS: Final = (Row("cli", "`spool send` as a program", measure),)

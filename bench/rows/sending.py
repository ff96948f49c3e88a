"""What `send()` costs whoever calls it, and what of that is the look for credentials."""

from __future__ import annotations

import os
import time
from typing import Final

from bench import mail, spread
from bench.cost import Meter
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground
from bench.text import Writer
from bench.yardsticks import Disk
from spool import secret_rules

PACE_S: Final = 0.01
SENDS: Final = 500
SCANS: Final = 200


def measure_send(ground: Ground) -> Found:
    """Messages wait; nothing carries them."""
    count = ground.scaled(SENDS, least=100)
    took: list[float] = []
    commits: list[float] = []
    with ground.linked("send") as two, two.near.api() as spool, Disk(two.near.home) as disk:
        mail.send(spool)
        # In turns, twice as far apart as one of them: each is at the pace.
        spread.paced(
            count,
            PACE_S,
            lambda: took.append(spread.timed(lambda: mail.send(spool))),
            lambda: commits.append(disk.commit()),
        )
        with Meter({"sender": os.getpid()}) as meter:
            for _ in range(count):
                mail.send(spool)
        cpu_us, peak_mb = meter.cpu_us(count), meter.peak_mb()
    found, yard = spread.of(took), spread.of(commits)
    return Found(
        figures=[
            Figure(
                what="`send()` returns, one each 10 ms",
                unit="ms",
                median=found.median,
                tail=found.tail,
                count=count,
                yardstick=Yardstick(what="a synced commit of 1 KB", median=yard.median, tail=yard.tail),
                limits=(Limit("ratio", 1.5),),
                cpu_us=cpu_us,
                peak_mb=peak_mb,
            )
        ]
    )


def measure_scan(ground: Ground) -> Found:
    """The same text, of words as unevenly common as those of a language."""
    letters = Writer(1)
    words = "\n".join(str(letters.letter()["body"]) for _ in range(200))
    figures = []
    for kb in (1, 10, 100):
        text = words[: kb * 1000]
        before_s = time.process_time()
        took = [spread.timed(lambda text=text: secret_rules.find(text)) for _ in range(SCANS)]  # type: ignore[misc]  # the loop's text
        spent_s = time.process_time() - before_s
        found = spread.of(took, times=1e6)
        figures.append(
            Figure(
                what=f"{kb} KB looked through for credentials",
                unit="us",
                median=found.median,
                tail=found.tail,
                count=SCANS,
                cpu_us=spent_s / SCANS * 1e6,
            )
        )
    return Found(figures=figures)


ROWS: Final = (
    Row("send", "`send()` returns", measure_send),
    Row("scan", "The look for credentials, once for each message", measure_scan),
)

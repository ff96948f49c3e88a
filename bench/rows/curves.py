"""What the picture shows: latency and throughput by the size of a batch and by the round trip time."""

from __future__ import annotations

import statistics
import time
from typing import Final

from bench import mail
from bench.frame import Found, Point, Row
from bench.ground import Ground, Linked, drained
from spool import Spool, State

SIZES: Final = (1, 10, 100, 500)
ROUND_TRIPS_MS: Final = (0, 20, 100, 200)
BATCHES: Final = 15
SENDING_S: Final = 1.5
MOST: Final = 8000
WITHIN_S: Final = 30.0


def measure(ground: Ground) -> Found:
    """A link for each round trip time; on it, for each size, single batches and then many."""
    points = []
    for ms in ROUND_TRIPS_MS:
        with ground.linked("curves", latency_s=ms / 2000) as two, two.near.api() as spool:
            two.up()
            _latency(spool, 1, 2)
            for size in SIZES:
                latency_ms = _latency(spool, size, ground.scaled(BATCHES, least=5)) * 1e3
                points.append(Point(size, ms, latency_ms, _rate(two, spool, size, quick=ground.quick)))
    return Found(points=points)


def _latency(spool: Spool, size: int, batches: int) -> float:
    """The median of the seconds from the call to the far commit of the batch's last message, nothing else
    being on its way."""
    took = []
    for _ in range(batches):
        began = time.time()
        last = spool.send_many(mail.batch(size))[-1]
        spool.wait_for_state(last, State.RECEIVED, timeout=WITHIN_S)
        there = spool.sent(last).received_there
        assert there is not None, f"{last} did not arrive"
        took.append(there - began)
    return statistics.median(took)


def _rate(two: Linked, spool: Spool, size: int, *, quick: bool) -> float:
    """Messages a second, one batch after the other without a pause, to the last answer."""
    began, sent = time.perf_counter(), 0
    while sent < MOST and time.perf_counter() - began < SENDING_S * (0.4 if quick else 1):
        sent += len(spool.send_many(mail.batch(size)))
    drained(two.near.home)
    return sent / (time.perf_counter() - began)


ROWS: Final = (Row("curves", "Batch size and round trip time (the picture)", measure),)

"""One of many programs that send at once: `python -m bench.sender HOME COUNT`.

Says that it is ready, waits for a line, sends one message after the other, and prints what it found.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from bench.cost import kib, own_cpu_s
from bench.mail import send
from spool import Spool


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """When each message was begun and the last had returned, by the clock; how long each `send` took; CPU
    without the program's start; the most memory."""

    ids: list[str]
    began: list[float]
    took: list[float]
    ended: float
    cpu_s: float
    peak_mb: float


def main() -> int:
    """Send, and print one JSON object."""
    home, count = Path(sys.argv[1]), int(sys.argv[2])
    with Spool(home) as spool:
        spool.inbox(limit=1)
        print("ready", flush=True)
        sys.stdin.readline()
        said = _sent(spool, count)
    sys.stdout.buffer.write(msgspec.json.encode(said))
    return 0


def _sent(spool: Spool, count: int) -> Said:
    ids: list[str] = []
    began: list[float] = []
    took: list[float] = []
    spent_s = own_cpu_s()
    for _ in range(count):
        began.append(time.time())
        start = time.perf_counter()
        ids.append(send(spool))
        took.append(time.perf_counter() - start)
    return Said(
        ids=ids,
        began=began,
        took=took,
        ended=time.time(),
        cpu_s=own_cpu_s() - spent_s,
        peak_mb=kib(os.getpid(), "VmHWM") / 1024,
    )


if __name__ == "__main__":
    sys.exit(main())

"""How long a backup of a large spool takes, and the longest that a `send()` waits meanwhile.

    python -m bench.backup [MB]

Prints one JSON object: with and without a backup running, the median, the 99th percentile and the
longest of the sends of another process, in milliseconds; the seconds that backups took; the log's size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from spool import home as homes
from spool.api import Spool
from spool.backup import packing
from spool.backup.packing import Wanted
from spool.config_edit import set_peer

ROUNDS: Final = 5
QUIET_S: Final = 3.0
_SENDER: Final = """
import sys, time
from spool import Spool
spool = Spool(sys.argv[1])
while True:
    began = time.monotonic()
    spool.send("carol", subject="paced", body="x" * 1000)
    ended = time.monotonic()
    print(began, ended - began, flush=True)
    time.sleep(0.005)
"""


def main(megabytes: int) -> None:
    """Fill a home, let another process send, make backups."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        homes.init(home, name="here", agents=["alice"])
        set_peer(home, "cloud", {"url": "exec:false", "agents": ["carol"]})
        _fill(home, megabytes)
        out = Path(folder, "sends")
        with out.open("wb") as file:
            sender = subprocess.Popen([sys.executable, "-c", _SENDER, str(home)], stdout=file)
        try:
            time.sleep(QUIET_S)
            spans, log_bytes = _backups(home, Path(folder))
        finally:
            sender.kill()
            sender.wait()
        print(json.dumps(_figures(home, out, spans, log_bytes)))


def _fill(home: Path, megabytes: int) -> None:
    body = os.urandom(5000).hex()
    with Spool(home) as spool:
        while (home / "spool.db").stat().st_size < megabytes * 1024 * 1024:
            spool.send_many([{"to": "carol", "subject": "filling", "body": body} for _ in range(200)])


def _backups(home: Path, folder: Path) -> tuple[list[tuple[float, float]], int]:
    spans, log_bytes = [], 0
    with Spool(home) as spool:
        for n in range(ROUNDS):
            began = time.monotonic()
            packing.pack(home, spool.store, Wanted(folder / f"{n}.tar"), now=time.time(), version="0")
            spans.append((began, time.monotonic()))
            log_bytes = max(log_bytes, (home / "spool.db-wal").stat().st_size)
            (folder / f"{n}.tar").unlink()
    return spans, log_bytes


def _figures(home: Path, out: Path, spans: list[tuple[float, float]], log_bytes: int) -> dict[str, Any]:
    sends = [tuple(map(float, line.split())) for line in out.read_text().split("\n")[:-1]]
    during = [took for at, took in sends if any(began <= at + took and at <= end for began, end in spans)]
    quiet = [took for at, took in sends if at < spans[0][0]]
    return {
        "database_mb": round((home / "spool.db").stat().st_size / 1024 / 1024, 1),
        "backup_s": [round(end - began, 2) for began, end in spans],
        "log_mb": round(log_bytes / 1024 / 1024, 1),
        "send_ms_quiet": _spread(quiet),
        "send_ms_during": _spread(during),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    ms = sorted(each * 1000 for each in seconds)
    return {
        "count": len(ms),
        "p50": round(ms[len(ms) // 2], 2),
        "p99": round(ms[len(ms) * 99 // 100], 2),
        "longest": round(ms[-1], 2),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)

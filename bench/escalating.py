"""What a look for messages to escalate costs, with a large archive and a long line for a peer that is gone.

    python -m bench.escalating [ARCHIVED] [QUEUED]

Prints one JSON object, in milliseconds: such a look in an empty home; the first ones after the mail came,
which go through all of it once; those after that; with as many open as the config allows; and with the
peer down. A consumer looks every two seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import fill
from spool import escalating
from spool import home as homes
from spool.api import Spool

LOOKS: Final = 50
CONFIG: Final = f"""
[peers.{fill.GONE}]
agents = ["{fill.GONE}-bo"]

[peers.far]
agents = ["bo"]

[peers.road]
url = "github://owner/repo"

[escalation]
peer = "road"
peer_down_s = 10000
"""


class Looks:
    """Looks at one home, each two seconds after the one before, by a clock of its own."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._now = spool.now()

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def one(self) -> float:
        """A look; how long it took."""
        self._now += escalating.EVERY_S
        began = time.perf_counter()
        escalating.run(self._spool.store, self._spool.config, self._spool.home, now=self._now)
        return (time.perf_counter() - began) * 1000

    def many(self) -> dict[str, float]:
        """Many looks: the median and the longest."""
        took = sorted(self.one() for _ in range(LOOKS))
        return {"p50": round(took[LOOKS // 2], 2), "longest": round(took[-1], 2)}


def main(archived: int, queued: int) -> None:
    """Fill, measure, tell."""
    with tempfile.TemporaryDirectory() as folder:
        home = homes.init(Path(folder) / "home", name="here", agents=["al"]).home
        with (home / "spool.toml").open("a") as file:
            file.write(CONFIG)
        fill.prepare(home, agent="al", peer="far")
        with Spool(home) as spool:
            print(json.dumps(_figures(spool, lambda: fill.grow(home, history=archived, backlog=queued))))


def _figures(spool: Spool, grow: Callable[[], None]) -> dict[str, Any]:
    looks = Looks(spool)
    looks.one()
    told: dict[str, Any] = {"empty": looks.many()}
    grow()
    looks.later(60.0)
    told["first"] = [round(looks.one(), 1) for _ in range(8)]
    told["all looked through"] = looks.many()
    for n in range(60):
        spool.send("bo", subject=f"urgent {n}", priority="P0")
    looks.later(60.0)
    told["opening 50"] = round(looks.one(), 1)
    told["50 open"] = looks.many()
    with spool.store.write(sync=False) as tx:
        for open_one in tx.escalations.open()[10:]:
            row = tx.outbox.exact(open_one.id, open_one.sender)
            assert row is not None
            tx.outbox.bury(row.seq, now=spool.now(), reason="cancelled")
    looks.later(20_000.0)
    looks.one()
    told["peers down"] = looks.many()
    told["open then"] = len(spool.escalated())
    return told


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if len(sys.argv) > 2 else (1_000_000, 100_000)))

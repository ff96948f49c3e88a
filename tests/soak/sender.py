"""A sender: `python -m tests.soak.sender HOME AGENT LEDGER RATE COUNT BEGUN TO…`, until COUNT or SIGTERM.

It keeps a pace: what it could not send while it was down, or the home was full, it sends afterwards. About
half of its messages have an id of their own, and are sent again with it where it is not known whether they
were taken; the others have the id that spool gives, and are not.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from spool.api import Spool
from spool.errors import BadMessage, SpoolError, StoreError
from tests.soak import ledger
from tests.soak.ledger import Ledger

GHOST: Final = "ghost"
LOOK_S: Final = 0.05
AGAIN_S: Final = 0.5
MOST: Final = 120
# Shares of all messages: those that may expire on the way, those for nobody, those that are long.
EXPIRES: Final = 0.01
FOR_NOBODY: Final = 0.003
LONG: Final = 0.003
OWN_ID: Final = 0.5
BATCH: Final = 0.4


class Sender:
    """One life of a sender."""

    def __init__(self, spool: Spool, book: Ledger, targets: list[str]) -> None:
        self._spool = spool
        self._book = book
        self._somebody = [name for name in targets if name != GHOST]
        # Who sits at the relay itself is refused at once: nothing is sent.
        self._nobody = [name for name in targets if name == GHOST] or self._somebody
        self._rng = random.Random()
        self._life = f"{book.who}-{time.time_ns():x}"
        self._count = 0
        self.halted = False

    def halt(self, *_: object) -> None:
        """Send what was begun, and no more."""
        self.halted = True

    def send(self, due: int) -> int:
        """Send one, or a batch where many are due; how many were taken."""
        if due > 1 and self._rng.random() < BATCH:
            return self._many(self._rng.randint(2, min(due, MOST)))
        return self._one()

    def _one(self) -> int:
        given = self._message()
        own = str(given["id"]) if "id" in given else None
        if own is not None:
            self._book.note("trying", [own], to=str(given["to"]))
        while not self.halted:
            try:
                self._book.note("sent", [self._spool.send(**given)], to=str(given["to"]))
                return 1
            except (StoreError, BadMessage) as exc:
                self._trouble(exc)
                # It may have expired while it waited to be sent again.
                if own is None or isinstance(exc, BadMessage):
                    break
        return 0

    def _many(self, count: int) -> int:
        batch = [self._message() for _ in range(count)]
        if own := [str(each["id"]) for each in batch if "id" in each]:
            self._book.note("trying", own)
        try:
            ids = self._spool.send_many(batch)
        except StoreError as exc:
            self._trouble(exc)
            return 0
        for to in {str(each["to"]) for each in batch}:
            mine = [id for id, each in zip(ids, batch, strict=True) if each["to"] == to]
            self._book.note("sent", mine, to=to)
        return count

    def _message(self) -> dict[str, Any]:
        self._count += 1
        rng = self._rng
        size = 60_000 if rng.random() < LONG else rng.randint(0, 1500)
        given: dict[str, Any] = {
            "to": rng.choice(self._nobody if rng.random() < FOR_NOBODY else self._somebody),
            "subject": f"{self._life} {self._count}",
            "body": "all is well " * (size // 12),
            "priority": rng.choice(("P0", "P1", "P2", "P2", "P3")),
        }
        if rng.random() < EXPIRES:
            given["expires"] = _rfc3339(time.time() + rng.uniform(3.0, 20.0))
        if rng.random() < OWN_ID:
            given["id"] = f"{self._life}-{self._count}"
        return given

    def _trouble(self, exc: SpoolError) -> None:
        self._book.say("trouble", f"{exc.kind}: {exc.message}")
        time.sleep(AGAIN_S)


def _rfc3339(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def main(home: str, agent: str, path: str, rate: str, count: str, begun: str, *targets: str) -> None:
    """Keep the pace that was asked for since BEGUN (seconds since the epoch)."""
    book = Ledger(Path(path))
    sent = ledger.sent(Path(path))
    with Spool(home, agent=agent) as spool:
        sender = Sender(spool, book, list(targets))
        signal.signal(signal.SIGTERM, sender.halt)
        while not sender.halted and sent < int(count):
            due = min(int((time.time() - float(begun)) * float(rate)), int(count)) - sent
            if due > 0:
                sent += sender.send(due)
            else:
                time.sleep(LOOK_S)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A receiver: `python -m tests.soak.receiver HOME AGENT LEDGER`, until SIGTERM.

It takes one message after the other. Most it is done with; some it rejects, answers, gives back, or only
reads; and now and then it kills itself with a message in its hands.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Final

from spool.api import Spool
from spool.delivery import Delivery
from spool.errors import BadInput, StoreError
from tests.soak.ledger import Ledger

REJECTS: Final = 0.03
GIVES_BACK: Final = 0.02
ANSWERS: Final = 0.03
DIES: Final = 0.0005
READS_ON: Final = 0.01
AGAIN_S: Final = 0.5


class _Trips(Exception):
    """What a reader's own code may raise with a message in its hands."""


class Receiver:
    """One life of a receiver."""

    def __init__(self, spool: Spool, book: Ledger) -> None:
        self._spool = spool
        self._book = book
        self._rng = random.Random()
        self.halted = False

    def halt(self, *_: object) -> None:
        """End what is in hand, and take no more."""
        self.halted = True

    def take(self) -> None:
        """Take what comes for a second at most, one message after the other."""
        for delivery in self._spool.receive(timeout=1.0):
            self._book.note("took", [delivery.id], more=delivery.sender, until=delivery.row.lease_until)
            try:
                self._work(delivery)
            except _Trips:
                pass
            except BadInput as exc:
                self._book.note("lost", [delivery.id], more=exc.message)
            if self._rng.random() < READS_ON:
                self._read_on()
            if self.halted:
                return

    def _work(self, delivery: Delivery) -> None:
        chance = self._rng.random()
        with delivery:
            if chance < DIES:
                os.kill(os.getpid(), signal.SIGKILL)
            if (chance := self._rng.random()) < GIVES_BACK:
                self._book.note("backing", [delivery.id])
                raise _Trips
            outcome = "rejected" if chance > 1.0 - REJECTS else "done"
            self._book.note("ending", [delivery.id], more=outcome)
            try:
                self._end(delivery, outcome, answers=chance < GIVES_BACK + ANSWERS)
            except StoreError:
                # On its way out the block gives back what is not ended.
                self._book.note("backing", [delivery.id])
                raise
        self._book.note("ended", [delivery.id], more=outcome)

    def _end(self, delivery: Delivery, outcome: str, *, answers: bool) -> None:
        if outcome == "rejected":
            delivery.reject("not for me")
        elif answers:
            id = delivery.reply("heard", subject=f"Re: {delivery.subject}")
            self._book.note("sent", [id], to=delivery.sender)
        else:
            delivery.done()

    def _read_on(self) -> None:
        """Look at what is unread, as `spool read` does, without a lease."""
        rows = self._spool.inbox(unread_only=True, limit=3)
        self._book.note("reading", [row.id for row in rows])
        self._spool.read(rows)


def main(home: str, agent: str, path: str) -> None:
    """Take mail for an agent until told to end."""
    book = Ledger(Path(path))
    with Spool(home, agent=agent) as spool:
        receiver = Receiver(spool, book)
        signal.signal(signal.SIGTERM, receiver.halt)
        while not receiver.halted:
            try:
                receiver.take()
            except StoreError as exc:
                book.say("trouble", f"{exc.kind}: {exc.message}")
                time.sleep(AGAIN_S)


if __name__ == "__main__":
    main(*sys.argv[1:])

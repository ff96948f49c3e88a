"""Runs a soak: mail and faults for as long as asked, then calm, until everything has come to rest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import apsw

from spool.errors import SpoolError
from tests import databases
from tests.soak import evidence, ledger
from tests.soak.chores import Chore, running
from tests.soak.evidence import Logs
from tests.soak.facts import Facts
from tests.soak.faults import Faults
from tests.soak.ground import AGENTS, DIALS, Ground
from tests.soak.ledger import Ledger
from tests.soak.schedule import Schedule, deck
from tests.soak.watching import Watch

TURN_S: Final = 0.05
EASE_S: Final = 4.0
WATCH_S: Final = 30.0
ARCHIVE_S: Final = 45.0
ARCHIVED_AFTER_S: Final = 60.0
TELL_S: Final = 60.0
# So many times longer, or so many seconds, may it go on where the machine is too slow for the pace.
OVERRUN: Final = 1.0
OVERRUN_S: Final = 120.0
PATIENT_S: Final = 5.0
DRAIN_S: Final = 300.0
QUIET_LOOKS: Final = 3


class Soak:
    """One soak on a ground.

    Attributes:
        schedule: which faults hit. defects: what a log or a program calls one.
        eased: how often a peer was resumed by hand, as who logs in so often is made to wait for long.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        seed: int,
        messages: int,
        faults: int,
        seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        self._ground = ground
        self._messages = messages
        self._seconds = seconds
        self._tell = tell
        rng = random.Random(seed)
        without = set() if ground.small else {"disk full", "disk nearly full"}
        cards = deck(rng, faults, seconds, without=without)
        self.schedule = Schedule(Faults(ground, rng), rng, cards, seconds)
        self._watches = [Watch(name, host.home) for name, host in ground.hosts.items()]
        self._logs = Logs(ground)
        self.defects: list[str] = []
        self.eased = 0
        self.archived = 0
        self.missed_looks = 0
        self.took_s = self.drained_s = 0.0

    @property
    def looks(self) -> int:
        """How often the states of all messages were compared with those before."""
        return sum(watch.looks for watch in self._watches)

    def run(self) -> Facts:
        """Run it; what is known at its end."""
        begun = time.monotonic()
        self._ground.start()
        self._strike(begun)
        self.took_s = time.monotonic() - begun
        self.schedule.calm()
        self._drain()
        self.drained_s = time.monotonic() - begun - self.took_s
        return self._gathered()

    # -- faults ---------------------------------------------------------------------------------

    def _strike(self, begun: float) -> None:
        chores = [
            Chore(EASE_S, self._ease),
            Chore(WATCH_S, self._watch),
            Chore(ARCHIVE_S, self._archive),
            Chore(TELL_S, lambda: self._say(begun)),
        ]
        with running(chores):
            while not self._is_over(now := time.monotonic() - begun):
                if (struck := self.schedule.turn(now)) is not None:
                    self._note(f"{now:7.1f} {struck}")
                self._ground.tend()
                time.sleep(TURN_S)

    def _is_over(self, now: float) -> bool:
        late = now >= self._seconds + max(OVERRUN * self._seconds, OVERRUN_S)
        enough = self.schedule.is_over and self.sent() >= self._messages
        return late or (now >= self._seconds and enough)

    def sent(self) -> int:
        """How many messages all ledgers say were sent."""
        return sum(ledger.sent(path) for path in self._ground.ledgers.glob("*.jsonl"))

    def _note(self, what: str) -> None:
        with (self._ground.folder / "faults.txt").open("a") as file:
            file.write(what + "\n")

    def _say(self, begun: float) -> None:
        minutes = (time.monotonic() - begun) / 60
        hit = self.schedule.hit.total()
        self._tell(f"{minutes:.1f} min: {self.sent():,} messages sent, {hit} faults")

    # -- what a person or a timer would do ------------------------------------------------------

    def _ease(self) -> None:
        """Resume peers that are to be reached much later: nobody was meant to wait for that here."""
        self._logs.keep()
        for near, far in DIALS:
            host = self._ground.hosts[near]
            try:
                found = databases.rows(host.home, "SELECT state, retry_at FROM peers WHERE name = ?", far)
                for state, retry_at in found:
                    waits = retry_at is not None and retry_at > time.time() + PATIENT_S
                    if state == "stopped" or (state == "waiting" and waits):
                        with host.api() as spool:
                            self.eased += spool.resume_peer(far)
            except (SpoolError, apsw.Error):
                # The disk is full, or somebody stands still with the lock: later, then.
                continue

    def _watch(self) -> None:
        for watch in self._watches:
            try:
                watch.look()
            except apsw.Error:
                self.missed_looks += 1

    def _archive(self) -> None:
        for host in self._ground.hosts.values():
            try:
                with host.api() as spool:
                    self.archived += spool.archive(older_than_s=ARCHIVED_AFTER_S)
            except SpoolError:
                continue

    # -- rest -----------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Let everybody finish; what a dead receiver still holds is ended by hand."""
        self._ground.end("sender", "box")
        box = self._ground.parts["box"]
        # It writes no more, and goes on looking.
        box.command = [*box.command[:5], "0", *box.command[6:]]
        box.start()
        deadline = time.monotonic() + DRAIN_S
        self._until(self._is_carried, deadline)
        self._ground.end("receiver")
        self._finish()
        self._until(self._is_carried, deadline)
        self._watch()
        self._ground.end("box", "consumer")

    def _until(self, is_so: Callable[[], bool], deadline: float) -> None:
        quiet, ease = 0, Chore(EASE_S, self._ease)
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            self._ground.tend()
            ease.turn()
            quiet = quiet + 1 if is_so() else 0
            time.sleep(0.5)

    def _is_carried(self) -> bool:
        """Whether nothing is on its way, and nothing is left that a receiver may take now."""
        now = time.time()
        for host in self._ground.hosts.values():
            open_ones = "SELECT count(*) FROM inbox WHERE state IN ('unread', 'read') AND lease_until < ?"
            asked = "SELECT count(*) FROM outbox WHERE state IN ('queued', 'sent')"
            if databases.waiting(host.home) or databases.one(host.home, asked):
                return False
            receivers = any(not part.is_over() for part in self._ground.of("receiver"))
            if receivers and databases.one(host.home, open_ones, now):
                return False
        box = evidence.of_box(self._ground)
        return not box.inbox and not box.outbox

    def _finish(self) -> None:
        for name, host in self._ground.hosts.items():
            book = Ledger(self._ground.ledgers / f"{name}-receiver-last.jsonl")
            with host.api(AGENTS[name]) as spool:
                while rows := spool.inbox(limit=500):
                    ids = [row.id for row in rows]
                    book.note("reading", ids)
                    book.note("ending", ids, more="done")
                    book.note("ended", spool.done(ids), more="done")

    # -- what is known --------------------------------------------------------------------------

    def _gathered(self) -> Facts:
        hosts = []
        for name in self._ground.hosts:
            facts, defects = evidence.of_host(self._ground, name, self._logs)
            hosts.append(facts)
            self.defects += [f"{name} {each}" for each in defects]
        for part in self._ground.parts.values():
            self.defects += part.oddities
        return Facts(
            hosts=hosts,
            box=evidence.of_box(self._ground),
            acts=evidence.acts(self._ground),
            steps=[step for watch in self._watches for step in watch.steps],
            deaths={part.name: part.deaths for part in self._ground.parts.values()},
        )

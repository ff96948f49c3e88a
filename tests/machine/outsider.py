"""A peer that is no spool of ours: it brings what it likes, as often as it likes, and takes its mail."""

from __future__ import annotations

from collections.abc import Iterable

from spool.inbox import Arrival
from spool.message import seal
from spool.transports.base import Accepted, Outcome
from spool.transports.frames import Hello
from spool.transports.frames import Key as Asked
from tests.machine.counts import count
from tests.machine.hosts import Host
from tests.machine.looks import look
from tests.machine.shapes import OUTER
from tests.machine.truth import Key, Truth
from tests.machine.watching import WatchedGate

TTL_S = 3 * 86_400.0


class Outsider:
    """Talks to one host over the gate that a link would have."""

    def __init__(self, host: Host, truth: Truth) -> None:
        self._host = host
        self._truth = truth
        self._gate: WatchedGate | None = None
        self.acks: set[tuple[Key, str]] = set()

    @property
    def gate(self) -> WatchedGate:
        """The gate of its link, made anew where the host's program has died."""
        program = self._host.program("one")
        if self._gate is None or self._gate._token != program.token:
            gate = WatchedGate(program, OUTER, self._truth)
            gate.arrived(Hello(host=OUTER), dialled=False)
            self._gate = gate
        return self._gate

    def bring(self, key: Key, to: str, body: str, home: str) -> None:
        """Bring a message; under a key that was used before, with the same body or another one."""
        letter = self._truth.tried(key, "", home, body)
        given = {"from": key.sender, "to": to, "body": body}
        sealed = seal(given, id=key.id, timestamp="2026-01-02T03:04:05Z")
        known = self._stored(key)
        outcome = self.gate.accept([Arrival(sealed.raw, sealed.filled, ttl_s=TTL_S, hops=[])])[0]
        self._check(key, body, known, outcome)
        letter.returned |= isinstance(outcome, Accepted)

    def _stored(self, key: Key) -> str | None:
        """What the host has of it."""
        there = look(self._host)
        row = there.inn.get(key) or there.out.get(key)
        return None if row is None else row.body

    def _check(self, key: Key, body: str, known: str | None, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            assert self._stored(key) == body, f"I3: {key} was accepted, and what is there says something else"
            count("foreign messages accepted")
        if known is not None and known != body:
            assert not isinstance(outcome, Accepted), f"I3: {key} was accepted with two contents"
            count("same id, other content, refused")

    def ask(self, ids: Iterable[str]) -> None:
        """Ask how far messages got, also those that it never brought."""
        self.gate.answer([Asked(sender, id) for id in ids for sender in ("x1", "a1")])

    def take(self) -> None:
        """Take what waits for it, mail and acks, and say so."""
        load = self.gate.load(100)
        told = []
        for parcel in load.parcels:
            key = Key(parcel.sender, parcel.id)
            again = self._truth.first[OUTER, key] > 0
            self._truth.first[OUTER, key] = 1
            told.append((parcel, Accepted(at=1.0, final=True, host=OUTER, again=again)))
        self.acks |= {(Key(each.ack.to, each.ack.re), each.ack.status) for each in load.acks}
        self.gate.settle(told)
        self.gate.drop_acks([each.seq for each in load.acks])

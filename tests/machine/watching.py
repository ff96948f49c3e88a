"""A gate that is watched: what it says and hears is noted, and held against what must be so at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from spool.gate import Gate
from spool.inbox import Arrival
from spool.message import Ack
from spool.outbox import Load
from spool.store.base import Parcel
from spool.transports.base import Accepted, Deferred, Outcome, Refused
from spool.transports.frames import Answer
from spool.transports.frames import Key as Asked
from tests.machine.counts import count
from tests.machine.hosts import Program
from tests.machine.looks import leased, look
from tests.machine.truth import Key, Truth

ANSWERED = ("received", "read", "done", "rejected")


class WatchedGate(Gate):
    """The real gate of one link of one program."""

    def __init__(self, program: Program, peer: str, truth: Truth) -> None:
        super().__init__(
            program.store,
            program.settings,
            peer,
            clock=program.host.clock,
            token=program.token,
            version="0",
        )
        self._host = program.host
        self._truth = truth

    def load(self, limit: int) -> Load:
        """A link that is not the newest leases nothing, and none leases what is leased."""
        messages, acks = leased(self._host, self.peer_name, self._generation)
        load = super().load(limit)
        assert self.current() or not (load.parcels or load.acks), "an older link has leased"
        for parcel in load.parcels:
            key = Key(parcel.sender, parcel.id)
            assert key not in messages, f"I2: {self.host} leased {key} twice"
            count("messages carried")
            count("messages carried again", parcel.attempts > 1)
        for each in load.acks:
            key = Key(each.ack.to, each.ack.re)
            assert each.seq not in acks, f"I2: {self.host} leased an ack of {key} twice"
            self._truth.acks[self.host, key].add((each.seq, each.ack.status))
            count("acks carried")
        return load

    def settle(self, told: Sequence[tuple[Parcel, Outcome]]) -> None:
        """The word of who has lost the lease counts where it is a proof, and changes nothing else."""
        before = look(self._host).out
        lost: list[Key] = []
        for parcel, outcome in told:
            key = Key(parcel.sender, parcel.id)
            if isinstance(outcome, Accepted | Refused):
                self._truth.told[self.host, key] += 1
            if isinstance(outcome, Deferred | Refused) and before[key].lease != parcel.lease:
                lost.append(key)
        super().settle(told)
        count("late words", len(lost))
        after = look(self._host).out
        for key in lost:
            assert before[key] == after[key], f"a late word changed {key}, which another link holds"

    def release(self, load: Load) -> None:
        """An older link gives nothing back that a newer one holds."""
        before = look(self._host).out
        with self._store.read() as tx:
            newest = tx.peers.get(self.peer_name).generation
        _, held_acks = leased(self._host, self.peer_name, newest)
        super().release(load)
        freed = held_acks - leased(self._host, self.peer_name, newest)[1]
        mine = {each.seq for each in load.acks} if newest == self._generation else set()
        assert freed <= mine, f"acks {freed - mine} were given back by who did not hold them"
        for key, row in look(self._host).out.items():
            if row != before.get(key):
                held = {parcel.lease for parcel in load.parcels}
                assert row.lease in held, f"a lease of {key} was given back by who did not hold it"

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """What is accepted is on the disk, and new but once."""
        outcomes = super().accept(arrivals)
        there = look(self._host)
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            key = key_of(arrival.raw)
            if isinstance(outcome, Accepted):
                self._accepted(key, outcome, key in there.inn, key in there.out)
            count(f"outcomes: {type(outcome).__name__.lower()}")
        return outcomes

    def _accepted(self, key: Key, outcome: Accepted, inn: bool, out: bool) -> None:
        assert inn if outcome.final else out, f"I4: {self.host} has accepted {key} and does not have it"
        if outcome.again:
            count("duplicates absorbed")
            return
        self._truth.first[self.host, key] += 1
        assert self._truth.first[self.host, key] == 1, f"I2: {self.host} took {key} for new twice"

    def take_acks(self, acks: Iterable[Ack]) -> None:
        """Each may be passed on once for each time that it was heard."""
        acks = list(acks)
        for ack in acks:
            self._truth.told[self.host, Key(ack.to, ack.re)] += 1
        count("acks heard", len(acks))
        super().take_acks(acks)

    def answer(self, keys: Sequence[Asked]) -> list[Answer]:
        """Nobody is told of a message that it is where it is not."""
        answers = super().answer(keys)
        count("questions answered", len(answers))
        there = look(self._host)
        for told in answers:
            key = Key(told.sender, told.id)
            row = there.out.get(key)
            known = row is not None and row.state in ANSWERED
            if told.status in ANSWERED:
                assert key in there.inn or known, f"I4: {self.host} says {told.status} of {key}, not there"
        return answers


def key_of(raw: bytes) -> Key:
    """Which message these bytes are; the bytes of the machine are always whole."""
    found = msgspec.json.decode(raw)
    return Key(found["from"], found["id"])

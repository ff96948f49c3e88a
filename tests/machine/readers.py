"""The agents of a host that hold a message, and what each of them may still do with it."""

from __future__ import annotations

from dataclasses import dataclass

from spool import inbox
from spool.delivery import Delivery
from spool.errors import BadInput
from tests.machine.counts import count
from tests.machine.hosts import Host
from tests.machine.looks import look
from tests.machine.truth import Key, Truth

LONGEST_S = 3600.0


@dataclass
class Reader:
    """One that holds a message; `until` is when its lease runs out, by the host's clock. `lost` says that
    another one has taken it since."""

    delivery: Delivery
    key: Key
    until: float
    lost: bool = False


class Readers:
    """The readers of one host. When the program that they are part of dies, they are gone."""

    def __init__(self, host: Host, truth: Truth) -> None:
        self._host = host
        self._truth = truth
        self.holding: list[Reader] = []

    def take(self, agent: str) -> None:
        """Lease the next message for an agent."""
        spool, now = self._host.program("desk").spool, self._host.now()
        # Where the program dies on the way, nobody knows which one it was.
        self._truth.touched |= {key for key, there in look(self._host).inn.items() if there.agent == agent}
        row, _ = inbox.take(spool.store, self._host.name, agent, now=now)
        if row is None:
            return
        key = Key(row.sender, row.id)
        for other in self.holding:
            if other.key == key:
                free = not now < other.until <= now + LONGEST_S
                assert free or other.lost, f"I2: two readers hold {key}"
                other.lost = True
        self.holding.append(Reader(Delivery(spool, row), key, now + inbox.LEASE_S))
        count("messages leased by readers")

    def finish(self, reader: Reader, outcome: str) -> None:
        """Say done; one whose lease another has now is told so and changes nothing."""
        self._truth.ended.add(reader.key)
        self.holding.remove(reader)
        before = look(self._host).inn[reader.key]
        try:
            reader.delivery.done(outcome=outcome)
        except BadInput:
            count("readers that came too late")
        after = look(self._host).inn[reader.key]
        if reader.lost:
            assert before == after, f"I2: a reader that had lost {reader.key} ended it"

    def reply(self, reader: Reader, body: str, id: str) -> bool:
        """Answer it, which ends it; False where it came too late, and nothing was sent."""
        before = look(self._host).inn[reader.key]
        try:
            reader.delivery.reply(body, id=id)
        except BadInput:
            count("readers that came too late")
            return False
        count("replies")
        if reader.lost:
            assert before == look(self._host).inn[reader.key], f"I2: a late answer ended {reader.key}"
        return True

    def give_back(self, reader: Reader) -> None:
        """Free the lease, if it is still this reader's."""
        self.holding.remove(reader)
        before = look(self._host).inn[reader.key]
        reader.delivery.give_back()
        after = look(self._host).inn[reader.key]
        if reader.lost:
            assert before == after, f"I2: a reader that had lost {reader.key} gave it back"

    def renew(self, reader: Reader) -> None:
        """Hold on to it."""
        now = self._host.now()
        held = reader.delivery.renew()
        assert not (held and reader.lost), f"I2: a reader that had lost {reader.key} renewed it"
        if held:
            reader.until = now + inbox.LEASE_S

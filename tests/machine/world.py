"""The world: hosts, links, time, and everything that can happen to them. Nothing here is random."""

from __future__ import annotations

from typing import Final

from spool import sweep
from spool.states import State
from tests.machine import checks
from tests.machine.faults import Faults
from tests.machine.hosts import Host
from tests.machine.looks import look
from tests.machine.people import People
from tests.machine.readers import LONGEST_S
from tests.machine.shapes import Shape
from tests.machine.truth import Key

WAITS_S: Final = (0.0, 3.0, 10.0, 61.0, 300.0, 901.0, 1000.0, 3700.0)


class World(Faults, People):
    """All of it. Every public method is one step: what it does, then what must hold."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        for host in self.hosts.values():
            self.sweep(host)

    def sweep(self, host: Host) -> None:
        """One sweep of one host."""
        program = host.program("one")
        self._run(
            program,
            self._forgiving(lambda: sweep.run(program.store, host.config.host, host.home, now=host.now())),
        )
        self._check()

    def archive(self, host: Host, older_than_s: float) -> None:
        """One run of the archive of one host."""
        program = host.program("one")
        self._run(
            program,
            self._forgiving(
                lambda: sweep.archive(
                    program.store, host.config.host, now=host.now(), older_than_s=older_than_s
                )
            ),
        )
        self._check()

    def heal(self) -> None:
        """Mend everything, let it come to rest, and look at what is left."""
        self._set_clocks()
        self.make_room()
        for host in self.hosts.values():
            for program in host.running:
                program.store.fuse = None
        self._relink()
        for n in range(60):
            self._quiet_round()
            if self._rests():
                break
            self.time.at += WAITS_S[min(n, len(WAITS_S) - 1)]
            if n % 8 == 7:
                self._relink()
        self._ask_all()
        checks.at_rest(self.truth, self._seen)
        self._every_id_answers()
        self._all_can_be_taken()

    def _relink(self) -> None:
        for cable in self.cables:
            self._end(cable)
        self.cables = []
        # A link that somebody else seems to hold is his for a while.
        self.time.at += 200.0
        for pair in range(len(self.shape.pairs)):
            self.link(pair, "one", "one")

    def _quiet_round(self) -> None:
        for host in self.hosts.values():
            self.sweep(host)
        for cable in self.cables:
            self.keep(cable, 0, 3600.0)
            self.keep(cable, 1, 3600.0)
        self.outsider_takes()
        while any([self._moved(cable) for cable in self.cables]):
            pass
        self.outsider_takes()

    def _ask_all(self) -> None:
        """Once everything rests, more talk changes nothing."""
        before = self._seen
        self._quiet_round()
        assert before == self._seen, "I6: at rest, and something moved"

    def _rests(self) -> bool:
        return not any(
            now.acks or any(row.due is not None or row.state is State.SENT for row in now.out.values())
            for now in self._seen.values()
        )

    def _every_id_answers(self) -> None:
        for key, letter in self.truth.letters.items():
            if letter.returned and letter.origin:
                spool = self.hosts[letter.origin].program("desk").spool
                with spool.store.read() as tx:
                    row = tx.outbox.exact(key.id, key.sender)
                assert row is not None, f"I5: nobody can say how {key} stands"
                assert row.state is self._seen[letter.origin].out[key].state

    def _all_can_be_taken(self) -> None:
        """No lease is for ever: what is not done comes into a reader's hands, whoever died with it."""
        for readers in self.readers.values():
            readers.holding.clear()
        agents = [(agent, name) for agent, name in self.shape.homes.items() if name in self.hosts]
        # What a clock that was ahead has leased is free at once, or within the longest lease.
        for wait_s in (0.0, LONGEST_S + 1.0):
            self.time.at += wait_s
            for agent, name in agents:
                for _ in self._open(name, agent):
                    self.readers[name].take(agent)
        for agent, name in agents:
            left = self._open(name, agent) - {reader.key for reader in self.readers[name].holding}
            assert not left, f"I1: no reader can take {left} at {name}"

    def _open(self, name: str, agent: str) -> set[Key]:
        inn = look(self.hosts[name]).inn.values()
        return {row.key for row in inn if row.agent == agent and row.state in ("unread", "read")}

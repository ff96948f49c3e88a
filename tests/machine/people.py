"""What agents do, what a person does by hand, and what the outsider brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spool.errors import BadInput, IdTaken, SpoolError, StoreError, StoreFull
from spool.message import format_time
from tests.machine.counts import count
from tests.machine.ground import Ground
from tests.machine.hosts import Host
from tests.machine.shapes import NOWHERE
from tests.machine.truth import Key


class People(Ground):
    """The part of a world that sends and reads."""

    def send(self, sender: str, to: str, id: str, body: str, priority: str, life_s: float | None) -> None:
        """An agent sends; under an id that it has used before, it sends the same or is told so."""
        host = self.hosts[self.shape.homes[sender]]
        key, before = Key(sender, id), self.truth.letters.get(Key(sender, id))
        program = host.program("desk")
        expires = None if life_s is None else format_time(host.now() + life_s)
        home = self.shape.homes.get(to, NOWHERE)
        if before is None or before.home == home:
            letter = self.truth.tried(key, host.name, home, body)
        else:
            return
        known = self._seen[host.name].out.get(key)

        def act() -> None:
            try:
                program.spool.send(
                    to, subject="s", body=body, priority=priority, expires=expires, id=id, agent=sender
                )
            except IdTaken:
                assert known is not None, f"{key} was never sent"
                count("ids refused")
            except StoreFull:
                count("sends refused for want of room")
            except SpoolError as exc:
                assert home == NOWHERE, f"{key}: {exc}"
                count("addresses refused")
            else:
                assert known is None or known.body == body, f"I3: {key} was sent with two contents"
                letter.returned = True
                count("sends", known is None)

        self._run(program, act)
        self._check()

    def take(self, agent: str) -> None:
        """An agent leases its next message."""
        host = self.hosts[self.shape.homes[agent]]
        self._at_desk(host, lambda: self.readers[host.name].take(agent))

    def finish(self, host: Host, n: int, outcome: str) -> None:
        """A reader ends what it holds."""
        readers = self.readers[host.name]
        if readers.holding:
            reader = readers.holding[n % len(readers.holding)]
            self._at_desk(host, lambda: readers.finish(reader, outcome))

    def give_back(self, host: Host, n: int) -> None:
        """A reader gives back what it holds."""
        readers = self.readers[host.name]
        if readers.holding:
            reader = readers.holding[n % len(readers.holding)]
            self._at_desk(host, lambda: readers.give_back(reader))

    def renew(self, host: Host, n: int) -> None:
        """A reader holds on."""
        readers = self.readers[host.name]
        if readers.holding:
            reader = readers.holding[n % len(readers.holding)]
            self._at_desk(host, lambda: readers.renew(reader))

    def reply(self, host: Host, n: int, id: str, body: str) -> None:
        """A reader answers what it holds, which ends it."""
        readers = self.readers[host.name]
        if not readers.holding:
            return
        reader = readers.holding.pop(n % len(readers.holding))
        row = reader.delivery.row
        if Key(row.agent, id) in self.truth.letters:
            return
        letter = self.truth.tried(Key(row.agent, id), host.name, self.shape.homes[row.sender], body)
        self.truth.ended.add(reader.key)

        def act() -> None:
            letter.returned = readers.reply(reader, body, id)

        self._at_desk(host, act)

    def read(self, agent: str) -> None:
        """An agent is shown all of its mail."""
        host = self.hosts[self.shape.homes[agent]]

        def act() -> None:
            spool = host.program("desk").spool
            rows = spool.inbox(agent=agent)
            self.truth.touched |= {Key(row.sender, row.id) for row in rows}
            spool.read(rows)

        self._at_desk(host, act)

    def done(self, host: Host, n: int, outcome: str) -> None:
        """An agent says done to a message that it need not hold."""
        rows = [row for row in self._seen[host.name].inn.values()]
        if not rows:
            return
        row = rows[n % len(rows)]
        self.truth.ended.add(row.key)
        self.truth.touched.add(row.key)

        def act() -> None:
            spool = host.program("desk").spool
            with spool.store.read() as tx:
                found = tx.inbox.exact(row.key.id, row.key.sender)
            assert found is not None
            spool._done([found], outcome=outcome, note=None)

        self._at_desk(host, act)

    def cancel(self, host: Host, n: int) -> None:
        """Somebody takes a message back, if it is still here."""
        self._by_hand(host, n, "cancels", lambda key: host.program("desk").spool.cancel(key.id))

    def retry(self, host: Host, n: int) -> None:
        """Somebody revives a dead message."""

        def act(key: Key) -> None:
            self.truth.revived.add(key)
            self.truth.retried.add(key)
            host.program("desk").spool.retry_dead(key.id)

        self._by_hand(host, n, "retries", act)
        self.truth.revived.clear()

    def _by_hand(self, host: Host, n: int, what: str, act: Callable[[Key], object]) -> None:
        ids = [row.key for row in self._seen[host.name].out.values()]
        keys = [key for key in ids if sum(other.id == key.id for other in ids) == 1]
        if not keys:
            return
        key = keys[n % len(keys)]

        def hand() -> None:
            try:
                act(key)
            except BadInput:
                return
            count(what)

        self._at_desk(host, hand)

    def _at_desk(self, host: Host, act: Callable[[], object]) -> None:
        def safe() -> None:
            try:
                act()
            except StoreError:
                count("desks that failed")

        self._run(host.program("desk"), safe)
        self._check()

    def bring(self, id: str, to: str, body: str, *, times: int) -> None:
        """The outsider brings a message, perhaps again and again."""
        host = self.hosts[self.shape.outer]

        def act() -> None:
            for _ in range(times):
                self.outsider.bring(Key("x1", id), to, body, self.shape.homes[to])

        self._run(host.program("one"), self._forgiving(act))
        self._check()

    def outsider_asks(self, ids: Iterable[str]) -> None:
        """The outsider asks how far messages got."""
        program = self.hosts[self.shape.outer].program("one")
        self._run(program, self._forgiving(lambda: self.outsider.ask(ids)))
        self._check()

    def outsider_takes(self) -> None:
        """The outsider takes what waits for it."""
        self._run(self.hosts[self.shape.outer].program("one"), self._forgiving(self.outsider.take))
        self._check()

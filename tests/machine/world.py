"""The world: hosts, links, time, and everything that can happen to them. Nothing here is random."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Final, TypeVar

from spool import outbox, sweep
from spool.errors import BadInput, IdTaken, LinkError, SpoolError, StoreError, StoreFull
from spool.states import State
from tests.machine import checks
from tests.machine.brittle import Crash, Fuse, Point
from tests.machine.cables import Cable, End
from tests.machine.counts import COUNTS, count
from tests.machine.hosts import Host, Program, Role, Time, new_folder
from tests.machine.looks import look
from tests.machine.outsider import Outsider
from tests.machine.readers import Readers
from tests.machine.shapes import NOWHERE, Shape
from tests.machine.truth import Key, Look, Truth
from spool.transports import frames

T = TypeVar("T")
# A link over which nothing came for longer is dead: what was on its way is lost.
SILENT_S: Final = 60.0
# A clock that is wrong by more is put right before the sweep believes it.
LEAP_S: Final = 3600.0
BELIEVED_S: Final = 500.0
CONSUMERS: Final[tuple[Role, Role]] = ("one", "two")
WAITS_S: Final = (0.0, 3.0, 10.0, 61.0, 300.0, 901.0, 1000.0, 3700.0)


class World:
    """All of it. Every public method is one step: what it does, then what must hold."""

    def __init__(self, shape: Shape) -> None:
        sweep.PAUSE_S = 0.0  # type: ignore[misc]
        outbox._rng.seed(0)
        self.shape = shape
        self.pairs = [set(pair) for pair in shape.pairs]
        self.time = Time()
        self.truth = Truth()
        self._folder = new_folder()
        self.hosts = {name: Host(name, self._folder, text, self.time) for name, text in shape.configs.items()}
        self.readers = {name: Readers(host, self.truth) for name, host in self.hosts.items()}
        self.outsider = Outsider(self.hosts[shape.outer], self.truth)
        self.cables: list[Cable] = []
        self._wrong_since: float | None = None
        self._seen = {name: look(host) for name, host in self.hosts.items()}
        self._commits = dict.fromkeys(self.hosts, -1)
        for host in self.hosts.values():
            self.sweep(host)
        count("worlds")

    def close(self) -> None:
        """Remove it."""
        for host in self.hosts.values():
            host.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- faults -------------------------------------------------------------------------------

    def _run(self, program: Program, act: Callable[[], T]) -> T | None:
        """Let a program do something; where it dies of it, it is gone with its links."""
        try:
            return act()
        except Crash:
            self._gone()
            return None

    def _gone(self) -> None:
        """Whoever has died is gone, and the far ends of its links are left alone with what is on its way."""
        for host in self.hosts.values():
            for program in host.running:
                if program.store.dead:
                    count("crashes")
                    orphans = self._flush(program)
                    self._bury(program)
                    for cable, side in orphans:
                        self.deliver(cable, side, len(cable.ways[side]))

    def _flush(self, program: Program) -> list[tuple[Cable, int]]:
        """What was handed to the writer may have gone out before the reader died, and arrives."""
        found: list[tuple[Cable, int]] = []
        for cable in self.cables:
            for side, end in enumerate(cable.ends):
                if end.program is program and end.alive:
                    cable.ways[side].extend(end.link._control)
                    found.append((cable, side))
        return found

    def _bury(self, program: Program) -> None:
        program.die()
        if program.role == "desk":
            self.readers[program.host.name].holding.clear()
        for cable in self.cables:
            for end in cable.ends:
                if end.program is program:
                    end.alive = False

    def arm(self, host: Host, role: Role, left: int, point: Point) -> None:
        """A program will die, or its disk be full, at its next transaction but `left`."""
        host.program(role).store.fuse = Fuse(left, point)

    def kill(self, host: Host, role: Role) -> None:
        """kill -9, between two steps."""
        count("kills")
        self._bury(host.program(role))
        self._check()

    def cut_power(self, host: Host, lost: int) -> None:
        """The power of a host goes; what was not synced may be lost from the end."""
        count("power cuts")
        for program in host.running:
            self._bury(program)
        host.cut_power(lost)
        self._check(cut=host.name)

    def fill(self, host: Host) -> None:
        """No room is left on its disk, until time passes."""
        count("full disks")
        host.disk.full = True

    def turn_clock(self, host: Host, seconds: float) -> None:
        """Its clock leaps."""
        count("clock leaps")
        host.offset += seconds
        wrong = any(abs(each.offset) > LEAP_S for each in self.hosts.values())
        self._wrong_since = (self._wrong_since or self.time.at) if wrong else None

    def wait(self, seconds: float) -> None:
        """Time passes. Links that stand still for long are dead."""
        if self._wrong_since is not None and self.time.at + seconds - self._wrong_since > BELIEVED_S:
            self._set_clocks()
        self.time.at += seconds
        for host in self.hosts.values():
            host.disk.full = False
        if seconds > SILENT_S:
            for cable in self.cables:
                if any(cable.ways):
                    self._end(cable)
        count("seconds of their time", int(seconds))

    def _set_clocks(self) -> None:
        for host in self.hosts.values():
            host.offset = 0.0
        self._wrong_since = None

    # -- links --------------------------------------------------------------------------------

    def link(self, pair: int, near: Role, far: Role, *, swapped: bool = False) -> None:
        """A new link of a pair of hosts; those that are there are not told."""
        first, second = self.shape.pairs[pair % len(self.shape.pairs)]
        if swapped and all(host.config.peers[other].url for host, other in self._both(first, second)):
            first, second = second, first
        a, b = self.hosts[first].program(near), self.hosts[second].program(far)
        one, two = End(a, second, self.truth, dialled=True), End(b, first, self.truth, dialled=False)
        try:
            # The far side answers a hello: it is the first to know of the link.
            self._run(b, lambda: two.greet(frames.encode(one.gate.hello())))
            if b.alive:
                self._run(a, lambda: one.greet(frames.encode(two.gate.hello())))
        except (LinkError, StoreError):
            count("links refused")
        else:
            count("links")
            self.cables.append(Cable(one, two))
            if not a.alive:
                one.alive = False
            if not b.alive:
                two.alive = False
        self._check()

    def dial_all(self) -> None:
        """Each pair without a link gets one."""
        for n, pair in enumerate(self.shape.pairs):
            if not any(cable.whole and set(cable.pair) == set(pair) for cable in self.cables):
                self.link(n, "one", "one")

    def _both(self, first: str, second: str) -> tuple[tuple[Host, str], tuple[Host, str]]:
        return (self.hosts[first], second), (self.hosts[second], first)

    def pump(self, cable: Cable, side: int) -> None:
        """One end sends what it has to say."""
        self._run(cable.ends[side].program, lambda: cable.pump(side))
        self._check()

    def deliver(self, cable: Cable, side: int, many: int) -> None:
        """Frames arrive."""
        self._run(cable.ends[1 - side].program, lambda: cable.deliver(side, many))
        self._check()

    def flow(self, cable: Cable) -> None:
        """Both ends exchange until they are quiet."""
        try:
            cable.flow()
        except Crash:
            self._gone()
        self._check()

    def _moved(self, cable: Cable) -> bool:
        """Let it flow; whether anything went over it."""
        before = COUNTS["frames sent"]
        self.flow(cable)
        return COUNTS["frames sent"] > before

    def lose(self, cable: Cable, side: int, at: int) -> None:
        """A frame is lost and its link goes on, which no pipe does: the worst that a far side could do."""
        way = cable.ways[side]
        if way:
            del way[at % len(way)]
            count("frames lost")

    def double(self, cable: Cable, side: int, at: int) -> None:
        """A frame comes twice."""
        way = cable.ways[side]
        if way:
            way.append(way[at % len(way)])
            count("frames doubled")

    def swap(self, cable: Cable, side: int, at: int) -> None:
        """The first frame comes behind another one."""
        way = cable.ways[side]
        if len(way) > 1:
            way.insert(1 + at % (len(way) - 1), way.popleft())
            count("frames out of order")

    def turn_aside(self, cable: Cable, side: int) -> None:
        """One end sends, and all of it arrives; what the other one says to it is on its way."""
        self._run(cable.ends[side].program, lambda: cable.pump(side))
        self._run(cable.ends[1 - side].program, lambda: cable.deliver(side, len(cable.ways[side])))
        self._run(cable.ends[1 - side].program, lambda: cable.pump(1 - side))
        self._check()

    def keep(self, cable: Cable, side: int, silent_s: float) -> None:
        """An end does what it does from time to time: it finds out there that a newer one took over."""
        end = cable.ends[side]
        if not end.alive:
            return

        def act() -> None:
            try:
                end.keep(silent_s=silent_s)
            except (LinkError, StoreError):
                count("links that gave way")
                end.end()

        self._run(end.program, act)
        self._check()

    def break_(self, cable: Cable) -> None:
        """The link breaks; both ends notice, and what was on its way is lost."""
        self._end(cable)
        self._check()

    def _end(self, cable: Cable) -> None:
        count("breaks")
        for end, way in zip(cable.ends, cable.ways, strict=True):
            way.clear()
            self._run(end.program, end.end)
        self.cables = [each for each in self.cables if each.alive]

    # -- agents -------------------------------------------------------------------------------

    def send(self, sender: str, to: str, id: str, body: str, priority: str, life_s: float | None) -> None:
        """An agent sends; under an id that it has used before, it sends the same or is told so."""
        host = self.hosts[self.shape.homes[sender]]
        key, before = Key(sender, id), self.truth.letters.get(Key(sender, id))
        program = host.program("desk")
        expires = None if life_s is None else _rfc3339(host.now() + life_s)
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
            reader.delivery.reply(body, id=id)
            letter.returned = True
            count("replies")

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

    def outsider_takes(self) -> None:
        """The outsider takes what waits for it."""
        self._run(self.hosts[self.shape.outer].program("one"), self._forgiving(self.outsider.take))
        self._check()

    def _forgiving(self, act: Callable[[], object]) -> Callable[[], None]:
        def safe() -> None:
            try:
                act()
            except StoreError:
                count("gates that failed")

        return safe

    # -- the house ----------------------------------------------------------------------------

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

    def look_at(self, name: str) -> Look:
        """What a host had on its disk after the last step."""
        return self._seen[name]

    # -- what must hold -----------------------------------------------------------------------

    def _check(self, cut: str | None = None) -> None:
        count("steps")
        now: dict[str, Look] = {}
        for name, host in self.hosts.items():
            same = self._commits[name] == host.disk.commits and cut != name
            now[name] = self._seen[name] if same else look(host)
            self._commits[name] = host.disk.commits
        checks.every_step(self.truth, self._seen, now, cut)
        self._seen = now

    def heal(self) -> None:
        """Mend everything, let it come to rest, and look at what is left."""
        self._set_clocks()
        for host in self.hosts.values():
            host.disk.full = False
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


def _rfc3339(at: float) -> str:
    from spool.message import format_time

    return format_time(at)

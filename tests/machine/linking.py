"""Links: made, broken, and what becomes of the frames on them."""

from __future__ import annotations

from spool.errors import LinkError, StoreError
from spool.outbox import LEASE_S
from spool.transports import frames
from tests.machine.brittle import Crash
from tests.machine.cables import Cable, End
from tests.machine.counts import COUNTS, count
from tests.machine.ground import Ground
from tests.machine.hosts import Host, Role
from tests.machine.looks import left_over


class Linking(Ground):
    """The part of a world that carries."""

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
        else:
            self._nothing_left(cable)
        self._check()

    def _nothing_left(self, cable: Cable) -> None:
        """A link that has come to rest has taken all that it may."""
        for end in cable.ends if cable.whole else ():
            if end.gate.current():
                left = left_over(end.program.host, end.gate.peer_name)
                assert not left, f"I1: {end.program.host.name} does not carry {left} to {end.gate.peer_name}"

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

    def forget(self, cable: Cable) -> None:
        """All that is on its way is lost, and the link goes on until the leases have run out."""
        for way in cable.ways:
            count("frames lost", len(way))
            way.clear()
        self.time.at += LEASE_S + 1.0
        self.flow(cable)

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

"""The state machine: what Hypothesis may do to a world, and how often."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.machine.brittle import Point
from tests.machine.cables import Cable
from tests.machine.hosts import Host, Role
from tests.machine.shapes import SHAPES
from tests.machine.world import World

SMALL: Final = st.integers(0, 5)
SIDES: Final = st.integers(0, 1)
ROLES: Final = st.sampled_from(("one", "one", "two"))
PROGRAMS: Final = st.sampled_from(("one", "desk", "one", "two"))
POINTS: Final = st.sampled_from(("after", "before", "after", "full"))
# Few, so that they are used again.
IDS: Final = [f"m{n}" for n in range(1, 10)]
ID: Final = st.sampled_from(IDS)
BODIES: Final = st.sampled_from(("same", "same", "same", "other"))
TO: Final = st.sampled_from(("b1", "a1", "b1", "a1", "b1", "a1", "b-nobody", "x1"))
PRIORITIES: Final = st.sampled_from(("P2", "P0", "P2", "P3"))
LIVES_S: Final = st.sampled_from((None, None, None, None, 50.0, 5000.0))
LEAPS_S: Final = st.sampled_from((-500 * 86_400.0, -7200.0, -400.0, 400.0, 7200.0, 500 * 86_400.0))
OUTCOMES: Final = st.sampled_from(("done", "rejected"))
ACTS: Final = st.sampled_from(
    ("take", "take", "take", "finish", "finish", "give back", "renew", "reply", "read", "done", "lapse")
)
WAYS: Final = st.sampled_from(("flow", "flow", "aside", "aside", "pump", "deliver", "deliver"))
MISCHIEF: Final = st.sampled_from(("lose", "double", "double", "swap", "swap", "keep", "ask", "forget"))
FAULTS: Final = st.sampled_from(("kill", "power", "power", "clock", "full"))
WAITS_S: Final = st.sampled_from((1.0, 10.0, 70.0, 70.0, 400.0, 4000.0, 90_000.0, 700_000.0))


class Mail(RuleBasedStateMachine):
    """Two or three spools; see the package."""

    world: World

    @initialize(shape=st.sampled_from(("three", "two", "both")))
    def begin(self, shape: str) -> None:
        """The links are up at first, else much is tried on hosts that never met."""
        self.world = World(SHAPES[shape])
        self._fresh = 100
        for pair in range(len(self.world.shape.pairs)):
            self.world.link(pair, "one", "one")

    def teardown(self) -> None:
        """Whatever happened: mended, it comes to rest, and nothing is lost."""
        if hasattr(self, "world"):
            try:
                self.world.heal()
            finally:
                self.world.close()

    def _host(self, n: int) -> Host:
        hosts = list(self.world.hosts.values())
        return hosts[n % len(hosts)]

    def _cable(self, n: int) -> Cable:
        return self.world.cables[n % len(self.world.cables)]

    def _agent(self, n: int) -> str:
        agents = [agent for agent in self.world.shape.homes if agent != "x1"]
        return agents[n % len(agents)]

    def _to(self, sender: str, to: str) -> str:
        """Whom the sender's host can reach: the outsider is known to one host only."""
        known = to != "x1" or self.world.shape.homes[sender] == self.world.shape.outer
        return to if known else "b1"

    def _linked(self) -> bool:
        return bool(self.world.cables)

    # -- agents -------------------------------------------------------------------------------

    @rule(sender=SMALL, to=TO, id=ID, body=BODIES, priority=PRIORITIES, life_s=LIVES_S)
    def send(self, sender: int, to: str, id: str, body: str, priority: str, life_s: float | None) -> None:
        """A message under an id that may have been used."""
        who = self._agent(sender)
        self.world.send(who, self._to(who, to), id, body, priority, life_s)

    @rule(sender=SMALL, to=TO, many=st.integers(1, 3))
    def mail(self, sender: int, to: str, many: int) -> None:
        """A few messages under new ids."""
        who = self._agent(sender)
        for _ in range(many):
            self._fresh += 1
            self.world.send(who, self._to(who, to), f"n{self._fresh}", "new", "P2", None)

    @rule(acts=st.lists(ACTS, min_size=1, max_size=3), agent=SMALL, n=SMALL, id=ID, outcome=OUTCOMES)
    def act(self, acts: list[str], agent: int, n: int, id: str, outcome: str) -> None:
        """An agent does something with its mail."""
        who = self._agent(agent)
        for act in acts:
            self._act(act, who, n, id, outcome)

    def _act(self, act: str, who: str, n: int, id: str, outcome: str) -> None:
        host = self.world.hosts[self.world.shape.homes[who]]
        match act:
            case "take":
                self.world.take(who)
            case "finish":
                self.world.finish(host, n, outcome)
            case "give back":
                self.world.give_back(host, n)
            case "renew":
                self.world.renew(host, n)
            case "reply":
                self.world.reply(host, n, id, "answer")
            case "read":
                self.world.read(who)
            case "done":
                self.world.done(host, n, outcome)
            case "lapse":
                self._lapse(who, host, n)

    def _lapse(self, who: str, host: Host, n: int) -> None:
        """A reader takes too long and another one has its message, when it does something after all."""
        self.world.take(who)
        late = len(self.world.readers[host.name].holding) - 1
        self.world.wait(301.0)
        self.world.take(who)
        if late >= 0:
            for act in (self.world.renew, self.world.give_back)[: n % 3]:
                act(host, late)
            if n % 3 == 0:
                self.world.finish(host, late, "rejected")

    @rule(sender=SMALL, to=st.sampled_from(("b1", "a1")), acts=st.lists(ACTS, min_size=1, max_size=4))
    def day(self, sender: int, to: str, acts: list[str]) -> None:
        """As on any day: mail is sent, carried, and worked on; what comes of it is still to be told."""
        self.mail(sender, to, 2)
        self.carry(False)
        for n, act in enumerate(acts):
            self._fresh += 1
            self._act(act, to, n, f"n{self._fresh}", "done")

    @rule(host=SMALL, n=SMALL, cancel=st.booleans())
    def by_hand(self, host: int, n: int, cancel: bool) -> None:
        """A person takes a message back, or revives a dead one."""
        if cancel:
            self.world.cancel(self._host(host), n)
        else:
            self.world.retry(self._host(host), n)

    @rule(id=ID, to=st.sampled_from(("b1", "a1", "b1")), body=BODIES, times=st.integers(0, 2))
    def outsider(self, id: str, to: str, body: str, times: int) -> None:
        """The outsider brings a message so many times, and takes what is for it."""
        if self.world.shape.outer == "alpha":
            to = "a1"
        if times:
            self.world.bring(id, to, body, times=times)
        else:
            self.world.outsider_takes()
            self.world.outsider_asks(IDS)

    # -- links --------------------------------------------------------------------------------

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, way=WAYS, many=st.integers(1, 4))
    def exchange(self, cable: int, side: int, way: str, many: int) -> None:
        """Frames go over a link."""
        chosen = self._cable(cable)
        match way:
            case "flow":
                self.world.flow(chosen)
            case "aside":
                self.world.turn_aside(chosen, side)
            case "pump":
                self.world.pump(chosen, side)
            case "deliver":
                self.world.deliver(chosen, side, many)

    @rule(asks=st.booleans())
    def carry(self, asks: bool) -> None:
        """What consumers do all day: a pair without a link gets one, and every link carries what there is;
        perhaps each then asks how far its mail got, before the next one has carried it on."""
        if not asks:
            self.world.make_room()
        self.world.dial_all()
        for cable in list(self.world.cables):
            self.world.flow(cable)
            if asks:
                self.world.keep(cable, 0, 0.0)
                self.world.keep(cable, 1, 0.0)
                self.world.flow(cable)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, at=SMALL, what=MISCHIEF, arrives=st.booleans())
    def mischief(self, cable: int, side: int, at: int, what: str, arrives: bool) -> None:
        """Frames are lost, doubled, out of order; or an end looks how it stands."""
        chosen = self._cable(cable)
        if not chosen.ways[side]:
            self.mail(at, "a1" if chosen.ends[side].program.host.name == "beta" else "b1", 1)
            self.world.turn_aside(chosen, 1 - side)
            self.world.pump(chosen, side)
        match what:
            case "lose":
                self.world.lose(chosen, side, at)
            case "double":
                self.world.double(chosen, side, at)
            case "swap":
                self.world.swap(chosen, side, at)
            case "keep" | "ask":
                self.world.keep(chosen, side, 0.0 if what == "ask" else 3600.0)
            case "forget":
                self.world.forget(chosen)
        if arrives:
            self.world.deliver(chosen, side, 100)

    @precondition(_linked)
    @rule(cable=SMALL)
    def break_(self, cable: int) -> None:
        """A link breaks."""
        self.world.break_(self._cable(cable))

    @rule(pair=SMALL, near=ROLES, far=ROLES, swapped=st.booleans())
    def link(self, pair: int, near: Role, far: Role, swapped: bool) -> None:
        """A new link, beside those that there are."""
        self.world.link(pair, near, far, swapped=swapped)

    @precondition(_linked)
    @rule(
        cable=SMALL,
        side=SIDES,
        to=st.sampled_from(("b-nobody", "b1", "a1", "b1", "a1")),
        full=st.booleans(),
        end=st.sampled_from(("answered", "told by it", "broken")),
    )
    def take_over(self, cable: int, side: int, to: str, full: bool, end: str) -> None:
        """What was sent is answered late: another link has taken over before, and perhaps all is told by
        it, up to what the reader did. Or the older one breaks without an answer."""
        old = self._cable(cable)
        self.mail(side, to, 1)
        if full:
            self.world.fill(old.ends[1 - side].program.host)
        if end == "broken":
            self._read_at(old.ends[side].program.host)
        self.world.turn_aside(old, side)
        self.world.link(self.world.pairs.index(set(old.pair)), "two", "two")
        self.world.pump(self.world.cables[-1], side)
        if end == "told by it":
            self._all_but(old)
            self._act("read", to if to in self.world.shape.homes else "b1", 0, "m1", "done")
            self._all_but(old)
        if end == "broken":
            self.world.break_(old)
        else:
            self.world.deliver(old, 1 - side, 100)

    def _read_at(self, host: Host) -> None:
        for agent, home in self.world.shape.homes.items():
            if home == host.name:
                self.world.read(agent)

    def _all_but(self, old: Cable) -> None:
        self.world.make_room()
        for _ in self.world.pairs:
            for cable in list(self.world.cables):
                if cable is not old:
                    self.world.flow(cable)

    # -- faults and the house -----------------------------------------------------------------

    @rule(host=SMALL, role=PROGRAMS, left=st.integers(0, 5), point=POINTS, busy=st.booleans())
    def arm(self, host: int, role: Role, left: int, point: Point, busy: bool) -> None:
        """A program will die at one of its next store steps; perhaps it comes to them at once."""
        self.world.arm(self._host(host), role, left, point)
        if busy:
            self.carry(False)

    @rule(host=SMALL, what=FAULTS, role=PROGRAMS, lost=SMALL, seconds=LEAPS_S)
    def fault(self, host: int, what: str, role: Role, lost: int, seconds: float) -> None:
        """Something goes wrong with a host."""
        chosen = self._host(host)
        match what:
            case "kill":
                self.world.kill(chosen, role)
            case "power":
                self.world.cut_power(chosen, lost)
            case "clock":
                self.world.turn_clock(chosen, seconds)
            case "full":
                self.world.fill(chosen)

    @rule(seconds=WAITS_S)
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.wait(seconds)

    @rule(host=SMALL, older_than_s=st.sampled_from((None, 0.0, 86_400.0)))
    def house(self, host: int, older_than_s: float | None) -> None:
        """A sweep, or a run of the archive."""
        if older_than_s is None:
            self.world.sweep(self._host(host))
        else:
            self.world.archive(self._host(host), older_than_s)

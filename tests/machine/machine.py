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
POINTS: Final = st.sampled_from(("before", "after", "after", "full"))
# Few, so that they are used again.
IDS: Final = st.sampled_from([f"m{n}" for n in range(1, 9)])
BODIES: Final = st.sampled_from(("same", "same", "same", "other"))
PRIORITIES: Final = st.sampled_from(("P0", "P2", "P2", "P3"))
LIVES_S: Final = st.sampled_from((None, None, None, None, 50.0, 5000.0))
LEAPS_S: Final = st.sampled_from((-500 * 86_400.0, -7200.0, -400.0, 400.0, 7200.0, 500 * 86_400.0))


class Mail(RuleBasedStateMachine):
    """Two or three spools; see the package."""

    world: World

    @initialize(shape=st.sampled_from(sorted(SHAPES)))
    def begin(self, shape: str) -> None:
        """The links are up at first, else much is tried on hosts that never met."""
        self.world = World(SHAPES[shape])
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

    def _linked(self) -> bool:
        return bool(self.world.cables)

    # -- agents -------------------------------------------------------------------------------

    @rule(
        sender=SMALL,
        to=st.sampled_from(("b1", "b1", "b1", "a1", "a1", "b-nobody", "x1")),
        id=IDS,
        body=BODIES,
        priority=PRIORITIES,
        life_s=LIVES_S,
    )
    def send(self, sender: int, to: str, id: str, body: str, priority: str, life_s: float | None) -> None:
        who = self._agent(sender)
        if to == "x1" and self.world.shape.homes[who] != self.world.shape.outer:
            # Nobody else knows of the outsider.
            to = "b1"
        self.world.send(who, to, id, body, priority, life_s)

    @rule(agent=SMALL)
    def take(self, agent: int) -> None:
        self.world.take(self._agent(agent))

    @rule(host=SMALL, n=SMALL, outcome=st.sampled_from(("done", "rejected")))
    def finish(self, host: int, n: int, outcome: str) -> None:
        self.world.finish(self._host(host), n, outcome)

    @rule(host=SMALL, n=SMALL)
    def give_back(self, host: int, n: int) -> None:
        self.world.give_back(self._host(host), n)

    @rule(host=SMALL, n=SMALL)
    def renew(self, host: int, n: int) -> None:
        self.world.renew(self._host(host), n)

    @rule(host=SMALL, n=SMALL, id=IDS)
    def reply(self, host: int, n: int, id: str) -> None:
        self.world.reply(self._host(host), n, id, "answer")

    @rule(agent=SMALL)
    def read(self, agent: int) -> None:
        self.world.read(self._agent(agent))

    @rule(host=SMALL, n=SMALL, outcome=st.sampled_from(("done", "rejected")))
    def done(self, host: int, n: int, outcome: str) -> None:
        self.world.done(self._host(host), n, outcome)

    @rule(host=SMALL, n=SMALL)
    def cancel(self, host: int, n: int) -> None:
        self.world.cancel(self._host(host), n)

    @rule(host=SMALL, n=SMALL)
    def retry(self, host: int, n: int) -> None:
        self.world.retry(self._host(host), n)

    @rule(id=IDS, to=st.sampled_from(("a1", "b1", "b1")), body=BODIES, times=st.integers(1, 2))
    def bring(self, id: str, to: str, body: str, times: int) -> None:
        if self.world.shape.outer == "alpha":
            to = "a1"
        self.world.bring(id, to, body, times=times)

    @rule()
    def outsider_takes(self) -> None:
        self.world.outsider_takes()

    # -- links --------------------------------------------------------------------------------

    @precondition(_linked)
    @rule(cable=SMALL)
    def flow(self, cable: int) -> None:
        self.world.flow(self._cable(cable))

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES)
    def pump(self, cable: int, side: int) -> None:
        self.world.pump(self._cable(cable), side)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, many=st.integers(1, 4))
    def deliver(self, cable: int, side: int, many: int) -> None:
        self.world.deliver(self._cable(cable), side, many)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES)
    def answer(self, cable: int, side: int) -> None:
        """One end sends, and all of it arrives; what the other one says to it does not yet."""
        chosen = self._cable(cable)
        self.world.pump(chosen, side)
        self.world.deliver(chosen, side, 100)
        self.world.pump(chosen, 1 - side)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, at=SMALL)
    def lose(self, cable: int, side: int, at: int) -> None:
        self.world.lose(self._cable(cable), side, at)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, at=SMALL)
    def double(self, cable: int, side: int, at: int) -> None:
        self.world.double(self._cable(cable), side, at)

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, at=SMALL)
    def swap(self, cable: int, side: int, at: int) -> None:
        self.world.swap(self._cable(cable), side, at)

    @precondition(_linked)
    @rule(cable=SMALL)
    def break_(self, cable: int) -> None:
        self.world.break_(self._cable(cable))

    @precondition(_linked)
    @rule(cable=SMALL, side=SIDES, silent_s=st.sampled_from((0.0, 3600.0)))
    def keep(self, cable: int, side: int, silent_s: float) -> None:
        self.world.keep(self._cable(cable), side, silent_s)

    @rule(pair=SMALL, near=ROLES, far=ROLES, swapped=st.booleans())
    def link(self, pair: int, near: Role, far: Role, swapped: bool) -> None:
        self.world.link(pair, near, far, swapped=swapped)

    # -- faults and the house -----------------------------------------------------------------

    @rule(host=SMALL, role=st.sampled_from(("desk", "one", "one", "two")), left=SMALL, point=POINTS)
    def arm(self, host: int, role: Role, left: int, point: Point) -> None:
        self.world.arm(self._host(host), role, left, point)

    @rule(host=SMALL, role=st.sampled_from(("desk", "one", "two")))
    def kill(self, host: int, role: Role) -> None:
        self.world.kill(self._host(host), role)

    @rule(host=SMALL, lost=SMALL)
    def cut_power(self, host: int, lost: int) -> None:
        self.world.cut_power(self._host(host), lost)

    @rule(host=SMALL, full=st.booleans())
    def fill(self, host: int, full: bool) -> None:
        self.world.fill(self._host(host), full=full)

    @rule(host=SMALL, seconds=LEAPS_S)
    def turn_clock(self, host: int, seconds: float) -> None:
        self.world.turn_clock(self._host(host), seconds)

    @rule(seconds=st.sampled_from((1.0, 10.0, 70.0, 400.0, 4000.0, 90_000.0, 700_000.0)))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(host=SMALL)
    def sweep(self, host: int) -> None:
        self.world.sweep(self._host(host))

    @rule(host=SMALL, older_than_s=st.sampled_from((0.0, 86_400.0)))
    def archive(self, host: int, older_than_s: float) -> None:
        self.world.archive(self._host(host), older_than_s)

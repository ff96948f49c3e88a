"""A simulated link: two ends, each a real Link over a real Gate, and between them frames on their way."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from spool.errors import LinkError, StoreError
from spool.gate import SILENT_S
from spool.transports import frames
from spool.transports.link import Link
from tests.machine.counts import count
from tests.machine.hosts import Program
from tests.machine.truth import Truth
from tests.machine.watching import WatchedGate

T = TypeVar("T")
# More frames than any exchange of the machine has: a link that talks on and on is a storm.
STORM: Final = 400


class _NoPipe:
    """Nothing is sent through it: what a link has to say is fetched from it."""

    def send(self, frames: bytes) -> None:
        count("byes")

    def receive(self, max_bytes: int) -> bytes:
        raise AssertionError("the machine hands frames over itself")

    def close(self) -> None:
        pass

    def last_words(self) -> str:
        return ""

    def exit_status(self) -> int | None:
        return None


class End:
    """One end: does by hand and in one thread what `Link.run` does in three."""

    def __init__(self, program: Program, peer: str, truth: Truth, *, dialled: bool) -> None:
        self.program = program
        self.dialled = dialled
        self.alive = True
        self.gate = WatchedGate(program, peer, truth)
        self.link = Link(_NoPipe(), self.gate, dialled=dialled)

    def greet(self, hello: bytes) -> None:
        """Take the far hello, and say what a link says first."""
        said = frames.decode(hello)
        assert isinstance(said, frames.Hello)
        self.gate.arrived(said, dialled=self.dialled)
        self.link._ask_where_it_stands(silent_s=0.0)

    def say(self) -> list[bytes]:
        """Every frame that the writer would send now."""
        said: list[bytes] = []
        # Time stands still: who waits a moment for more would wait for ever.
        self.link._linger_until = 0.0
        self.link.poke()
        while self.link._control or self.link._look:
            if packed := self.link._next():
                said += packed.splitlines(keepends=True)
            self.link._linger_until = 0.0
        return said

    def hear(self, lines: list[bytes]) -> None:
        """Take frames as the reader does, all that have come in one go."""
        self.link._take([line[:-1] for line in lines])

    def keep(self, *, silent_s: float = SILENT_S) -> None:
        """What the keeper does from time to time."""
        if not self.gate.current():
            raise LinkError("a newer link took over")
        self.gate.hold(heard=True)
        self.link._ask_where_it_stands(silent_s=silent_s)

    def end(self) -> None:
        """As at the end of `Link.run`: what was not answered is given back."""
        if self.alive:
            self.alive = False
            self.link.end()
            self.link._give_back()
            with contextlib.suppress(StoreError):
                self.gate.left("ended")


class Cable:
    """Two ends and the frames between them, in the order in which they were sent."""

    def __init__(self, near: End, far: End) -> None:
        self.ends = (near, far)
        self.ways: tuple[deque[bytes], deque[bytes]] = (deque(), deque())

    @property
    def alive(self) -> bool:
        """Whether anything can still come of it."""
        return any(end.alive for end in self.ends)

    @property
    def whole(self) -> bool:
        """Whether both ends are there."""
        return all(end.alive for end in self.ends)

    @property
    def pair(self) -> tuple[str, str]:
        """The names of the hosts, that of the one that dialled first."""
        return self.ends[0].program.host.name, self.ends[1].program.host.name

    def pump(self, side: int) -> int:
        """Put on the way what an end has to say; how many frames."""
        end = self.ends[side]
        if not end.alive:
            return 0
        said = guarded(end, end.say) or []
        self.ways[side].extend(said)
        count("frames sent", len(said))
        return len(said)

    def deliver(self, side: int, many: int) -> int:
        """Let the first frames that an end has sent arrive, in one go; how many."""
        way, far = self.ways[side], self.ends[1 - side]
        lines = [way.popleft() for _ in range(min(many, len(way)))]
        if lines and far.alive:
            guarded(far, lambda: far.hear(lines))
        return len(lines)

    def flow(self) -> None:
        """Exchange until both sides are quiet."""
        for _ in range(STORM):
            moved = 0
            for side in (0, 1):
                self.pump(side)
                moved += self.deliver(side, len(self.ways[side]))
            if not moved:
                return
        raise AssertionError("I6: a link that never comes to rest")


def guarded(end: End, act: Callable[[], T]) -> T | None:
    """Let an end do something; a failure that a link would end with ends it."""
    try:
        return act()
    except (LinkError, StoreError):
        count("links that failed")
        end.end()
        return None

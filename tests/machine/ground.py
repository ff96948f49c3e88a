"""The ground of a world: its hosts, its links, its time; programs that die, and what must hold."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from spool import outbox, retry, sweep
from spool.errors import StoreError
from spool.store.base import Parcel
from tests.machine import checks
from tests.machine.brittle import Crash
from tests.machine.cables import Cable
from tests.machine.counts import count
from tests.machine.hosts import Host, Program, Time, new_folder
from tests.machine.looks import look
from tests.machine.outsider import Outsider
from tests.machine.readers import Readers
from tests.machine.shapes import Shape
from tests.machine.truth import Look, Truth

T = TypeVar("T")


class Ground:
    """What every part of a world stands on."""

    def __init__(self, shape: Shape) -> None:
        sweep.PAUSE_S = 0.0  # type: ignore[misc]
        outbox._delay = _delays(random.Random(0))
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
        count("worlds")

    def close(self) -> None:
        """Remove it."""
        for host in self.hosts.values():
            host.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def look_at(self, name: str) -> Look:
        """What a host had on its disk after the last step."""
        return self._seen[name]

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
                        far = cable.ends[1 - side].program
                        self._run(far, partial(cable.deliver, side, len(cable.ways[side])))

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

    def _forgiving(self, act: Callable[[], object]) -> Callable[[], None]:
        def safe() -> None:
            try:
                act()
            except StoreError:
                count("gates that failed")

        return safe

    def _check(self, cut: str | None = None) -> None:
        count("steps")
        now: dict[str, Look] = {}
        for name, host in self.hosts.items():
            same = self._commits[name] == host.disk.commits and cut != name
            now[name] = self._seen[name] if same else look(host)
            self._commits[name] = host.disk.commits
        checks.every_step(self.truth, self._seen, now, cut)
        self._seen = now


class _Delay(Protocol):
    def __call__(self, parcel: Parcel, *, at_least_s: float) -> float: ...


def _delays(rng: random.Random) -> _Delay:
    """How long to wait before another try, the same each time a seed is told again."""

    def delay(parcel: Parcel, *, at_least_s: float) -> float:
        return retry.message_delay(parcel.attempts, rng, at_least_s=at_least_s)

    return delay

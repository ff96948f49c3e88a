"""What goes wrong with hosts, and the time that passes."""

from __future__ import annotations

from typing import Final

from tests.machine.brittle import Fuse, Point
from tests.machine.counts import count
from tests.machine.hosts import Host, Role
from tests.machine.linking import Linking

# A link over which nothing came for longer is dead: what was on its way is lost.
SILENT_S: Final = 60.0
# A clock that is wrong by more is put right before the sweep believes it.
LEAP_S: Final = 3600.0
BELIEVED_S: Final = 500.0


class Faults(Linking):
    """The part of a world that breaks hosts."""

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
        """No room is left on its disk, until somebody makes some or time passes."""
        count("full disks")
        host.disk.full = True

    def make_room(self) -> None:
        """There is room on every disk."""
        for host in self.hosts.values():
            host.disk.full = False

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
        self.make_room()
        if seconds > SILENT_S:
            for cable in self.cables:
                if any(cable.ways):
                    self._end(cable)
        count("seconds of their time", int(seconds))

    def _set_clocks(self) -> None:
        for host in self.hosts.values():
            host.offset = 0.0
        self._wrong_since = None

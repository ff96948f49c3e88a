"""The faults of a soak: what each does, and what puts an end to it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from spool import presence
from tests import databases
from tests.proxy import FaultProxy
from tests.soak.ground import Ground
from tests.victims import session_of, stopped

HUNT_S: Final = 0.3
HOLDER_S: Final = 12.0
LEASE_S: Final = 60.0
KILLED_TOGETHER: Final = ("consumer", "sender", "receiver", "box")


class Kind(NamedTuple):
    """How often a fault comes, of 100, and how many seconds it may last."""

    share: float
    lasts_s: float


KINDS: Final[dict[str, Kind]] = {
    "kill consumer": Kind(15, 0),
    "kill serve": Kind(14, 0),
    "kill sshd session": Kind(11, 0),
    "kill sftp session": Kind(4, 0),
    "kill sender": Kind(6, 0),
    "kill receiver": Kind(6, 0),
    "kill box": Kind(2, 0),
    "cut": Kind(12, 0),
    "reset": Kind(8, 0),
    "strand": Kind(3, 0),
    "stall": Kind(5, 12),
    "delay": Kind(3, 8),
    "throttle": Kind(2, 8),
    "refuse": Kind(2, 6),
    "stop beyond the holder": Kind(2.4, 16),
    "stop beyond the lease": Kind(1.6, 66),
    "disk full": Kind(2, 6),
    "disk nearly full": Kind(1.2, 6),
    "restart of everything": Kind(0.6, 0),
}


class Heal(NamedTuple):
    """What ends a fault, and after how many seconds."""

    after_s: float
    end: Callable[[], None]


class Struck(NamedTuple):
    """A fault that hit; `in_flight` is how much mail was on its way then, where that was looked at."""

    what: str
    heals: tuple[Heal, ...] = ()
    in_flight: int = 0


class Faults:
    """Strikes: `strike` does one fault of a kind, on a victim of its choice."""

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        self._ground = ground
        self._rng = rng
        self._busy: set[object] = set()

    def strike(self, kind: str) -> Struck | None:
        """Do one; None where there is no victim now."""
        match kind:
            case "kill consumer" | "kill sender" | "kill receiver" | "kill box":
                return self._kill_part(kind.removeprefix("kill "))
            case "kill serve":
                return self._kill(self._serve())
            case "kill sshd session":
                serve = self._serve()
                return self._kill(None if serve is None else (serve[0], session_of(serve[1])))
            case "kill sftp session":
                return self._kill_sftp()
            case "stop beyond the holder":
                return self._stop(HOLDER_S + self._rng.uniform(1.0, 4.0))
            case "stop beyond the lease":
                return self._stop(LEASE_S + self._rng.uniform(2.0, 6.0))
            case "disk full":
                return self._fill(left_mb=0.0)
            case "disk nearly full":
                return self._fill(left_mb=self._rng.uniform(1.0, 40.0))
            case "restart of everything":
                return self._kill_everything()
            case _:
                return self._weather(kind)

    # -- deaths ---------------------------------------------------------------------------------

    def _kill_part(self, kind: str) -> Struck | None:
        living = [
            part for part in self._ground.of(kind) if part.pid is not None and part.pid not in self._busy
        ]
        if not living:
            return None
        part = self._rng.choice(living)
        if kind != "consumer":
            part.kill()
            return Struck(part.name)
        struck = self._kill((part.host, part.pid))
        part.kill()
        return struck

    def _kill(self, victim: tuple[str, int | None] | None) -> Struck | None:
        """Stop it, wait for a moment in which mail is on its way there, and kill it where it stands."""
        host, pid = victim or ("", None)
        if pid is None or pid in self._busy:
            return None
        with stopped(pid) as stands:
            if not stands:
                return None
            deadline = time.monotonic() + HUNT_S
            while not (carried := self._in_flight()) and time.monotonic() < deadline:
                time.sleep(0.005)
            os.kill(pid, signal.SIGKILL)
        return Struck(f"{host} {pid}", in_flight=carried)

    def _in_flight(self) -> int:
        with contextlib.suppress(apsw.Error):
            return sum(databases.in_flight(host.home) for host in self._ground.hosts.values())
        return 0

    def _serve(self) -> tuple[str, int] | None:
        found = [
            (name, process.pid)
            for name, host in self._ground.hosts.items()
            for process in presence.living(host.home / "run", "serve")
            if process.pid not in self._busy
        ]
        return self._rng.choice(found) if found else None

    def _kill_sftp(self) -> Struck | None:
        if not self._ground.box_sshd.sessions():
            return None
        self._ground.box_sshd.kill_sessions()
        return Struck("oak box")

    def _kill_everything(self) -> Struck:
        """As if the one machine had been switched off and on, but for its page cache."""
        for part in self._ground.parts.values():
            if part.kind in KILLED_TOGETHER:
                part.kill()
        for sshd in (self._ground.sshd, self._ground.box_sshd):
            sshd.stop()
            sshd.start()
        return Struck("everything")

    # -- processes that stand still -------------------------------------------------------------

    def _stop(self, seconds: float) -> Struck | None:
        consumers = [(part.host, part.pid) for part in self._ground.of("consumer") if part.pid is not None]
        serve = self._serve()
        host, pid = self._rng.choice([*consumers, *([serve] if serve else [])])
        if pid in self._busy or host in self._busy:
            return None
        self._busy |= {pid, host}
        os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            self._busy -= {pid, host}
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        return Struck(f"{host} {pid} for {seconds:.0f} s", (Heal(seconds, go_on),))

    # -- disks ----------------------------------------------------------------------------------

    def _fill(self, left_mb: float) -> Struck | None:
        free = sorted(self._ground.small - self._busy)
        if not free:
            return None
        name = self._rng.choice(free)
        self._busy.add(name)
        ballast = self._ground.hosts[name].home.parent / "ballast"
        fill(ballast, left_bytes=int(left_mb * 1024 * 1024))

        def empty() -> None:
            self._busy.discard(name)
            ballast.unlink()

        return Struck(f"{name}, {left_mb:.0f} MB left", (Heal(self._rng.uniform(2.0, 6.0), empty),))

    # -- the network ----------------------------------------------------------------------------

    def _weather(self, kind: str) -> Struck | None:
        pair = self._rng.choice(sorted(self._ground.proxies))
        proxy = self._ground.proxies[pair]
        if pair in self._busy:
            return None
        heal = self._change(kind, proxy)
        if heal is None:
            return Struck(" to ".join(pair))
        self._busy.add(pair)

        def clear() -> None:
            self._busy.discard(pair)
            heal()

        seconds = self._rng.uniform(0.3, 1.0) * KINDS[kind].lasts_s
        return Struck(" to ".join(pair), (Heal(seconds, clear),))

    def _change(self, kind: str, proxy: FaultProxy) -> Callable[[], None] | None:
        """Change it; what changes it back, None for what is over at once."""
        match kind:
            case "cut":
                proxy.cut_after(self._rng.randint(1, 20_000), self._rng.choice(("up", "down")))
            case "reset":
                proxy.reset()
            case "strand":
                proxy.strand()
            case "stall":
                proxy.stall()
                return proxy.resume
            case "refuse":
                proxy.refuse()
                return proxy.accept
            case "delay":
                proxy.latency_s = self._rng.uniform(0.05, 0.4)
                return lambda: setattr(proxy, "latency_s", 0.0)
            case "throttle":
                proxy.bandwidth_bps = self._rng.uniform(5_000, 50_000)
                return lambda: setattr(proxy, "bandwidth_bps", 0.0)
        return None


def fill(path: Path, *, left_bytes: int) -> None:
    """Fill the file system that a file lies on, down to so many bytes."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        size, most = 0, 1 << 40
        while (step := min(_room(file) - left_bytes, most)) > 0:
            try:
                os.posix_fallocate(file, size, step)
            except OSError as exc:
                if exc.errno != errno.ENOSPC:
                    raise
                # Somebody was faster; what is left is smaller.
                most = step // 2
            else:
                size += step
    finally:
        os.close(file)


def _room(file: int) -> int:
    room = os.fstatvfs(file)
    return room.f_bavail * room.f_frsize

"""Homes that are put back for each kill, and the victims that run in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.hosts import ENV, ROOT
from tests.kills import tracer
from tests.victims import mentioning

# A busy machine is slow; what is not over by then is stuck.
STUCK_S: Final = 240.0
GONE_S: Final = 60.0
LOOK_S: Final = 0.2
CONSUMER: Final = [sys.executable, "-m", "huey.bin.huey_consumer", "workers.app.huey"]
# What a victim compiles on its way would be calls too, some of them in one run and not in the next.
QUIET_ENV: Final = {**ENV, "PYTHONDONTWRITEBYTECODE": "1"}


class Ground:
    """A folder of homes as they stand before a kill, which is put back before each.

    Attributes:
        homes: where they are; no other place is named in them.
    """

    def __init__(self, folder: Path) -> None:
        self.homes = folder / "homes"
        self._kept = folder / "kept"
        self._armed = folder / "armed"
        self._started: list[subprocess.Popen[bytes]] = []
        self._armed.mkdir(parents=True)

    def keep(self) -> None:
        """Let this be how they stand."""
        self.end()
        shutil.copytree(self.homes, self._kept, symlinks=True)

    def restore(self) -> None:
        """Put them back; nobody may be in them."""
        shutil.rmtree(self.homes)
        shutil.copytree(self._kept, self.homes, symlinks=True)

    def victim(self, name: str) -> list[str]:
        """What stands before a command, so that its next run dies where `arm` says."""
        return [sys.executable, "-S", "-m", "tests.kills.tracer", str(self._armed / name)]

    def far_victim(self, name: str) -> list[str]:
        """The same where sshd starts it, which gives it no environment."""
        return ["env", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", *self.victim(name)]

    def arm(self, name: str, kill_at: int) -> Path:
        """Let the next run of that victim die at its k-th call; the folder that tells of it."""
        tracer.arm(self._armed / name, kill_at)
        return self._armed / name

    def start(self, home: Path, *before: str) -> subprocess.Popen[bytes]:
        """Start a consumer, as a victim or not; it is ended with the ground."""
        with (home / "log" / "consumer.out").open("ab") as out:
            started = subprocess.Popen(
                [*before, *CONSUMER],
                env={**QUIET_ENV, "SPOOL_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._started.append(started)
        return started

    def end(self) -> None:
        """End what was started, and wait until nobody is in the homes."""
        for started in self._started:
            end(started)
        self._started.clear()
        deadline = time.monotonic() + GONE_S
        while left := mentioning(str(self.homes)):
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(LOOK_S)


def run(command: list[str], *, env: Mapping[str, str] = QUIET_ENV) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=GONE_S)


def end(started: subprocess.Popen[bytes]) -> None:
    """End a consumer tidily."""
    if started.poll() is None:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(GONE_S)
        except subprocess.TimeoutExpired:
            os.kill(started.pid, signal.SIGKILL)
            started.wait()
            raise


def drive(act: Callable[[], None], is_over: Callable[[], bool], within_s: float = STUCK_S) -> float | None:
    """Let the agents act until it is over; after how many seconds that was, None where it never was."""
    begun = time.monotonic()
    while True:
        act()
        if is_over():
            return time.monotonic() - begun
        if time.monotonic() - begun > within_s:
            return None
        time.sleep(LOOK_S)

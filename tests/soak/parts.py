"""The programs of a soak: each is started, killed, and started again, as a service manager would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Literal

from tests.hosts import ENV

Kind = Literal["consumer", "sender", "receiver", "box"]
END_S: Final = 45.0
TAIL: Final = 1500


class Part:
    """One program, in as many lives as it takes.

    Attributes:
        name: unique, as `ash consumer`.
        host: whose it is.
        deaths: how often it was killed, or killed itself.
        oddities: lives that ended otherwise, with what they said last.
    """

    def __init__(
        self, name: str, kind: Kind, host: str, command: list[str], *, home: Path, out: Path
    ) -> None:
        self.name, self.kind, self.host = name, kind, host
        self.command = command
        self.deaths = 0
        self.oddities: list[str] = []
        self._env = {**ENV, "SPOOL_HOME": str(home)}
        self._out = out / f"{name.replace(' ', '-')}.out"
        self._running: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return None if self._running is None else self._running.pid

    def start(self) -> None:
        """Start it, and again whenever `tend` finds that it has ended."""
        self._wanted = True
        with self._out.open("wb") as out:
            self._running = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def tend(self) -> None:
        """Start it again where it has died."""
        if self._running is not None and self._running.poll() is not None:
            self._bury(self._running.wait())
        if self._running is None and self._wanted:
            self.start()

    def kill(self) -> None:
        """End it by SIGKILL, and let it lie until it is tended."""
        if self._running is not None:
            self._running.kill()
            self._bury(self._running.wait())

    def end(self) -> None:
        """Ask it to end, and start it no more; does not wait."""
        self._wanted = False
        if self._running is not None:
            self._running.terminate()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._running.pid, signal.SIGCONT)

    def ended(self) -> None:
        """Wait until it has ended; one that does not is killed, which is an oddity."""
        if self._running is None:
            return
        try:
            self._bury(self._running.wait(END_S))
        except subprocess.TimeoutExpired:
            self.oddities.append(f"{self.name} did not end within {END_S:.0f} s: {self._tail()}")
            self._running.kill()
            self._running.wait()
            self._running = None

    def is_over(self) -> bool:
        """Whether it has ended and is not to be started again."""
        return self._running is None or (not self._wanted and self._running.poll() is not None)

    def _bury(self, status: int) -> None:
        self._running = None
        if status == -signal.SIGKILL:
            self.deaths += 1
        elif self._wanted and (status != 0 or self.kind == "consumer"):
            at = time.strftime("%H:%M:%S")
            self.oddities.append(f"{at} {self.name} ended with {status}: {self._tail()}")
        elif self._wanted:
            # It has done its work.
            self._wanted = False

    def _tail(self) -> str:
        return self._out.read_text(errors="replace")[-TAIL:].strip()

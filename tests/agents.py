"""Agents as processes of their own: one sends on command, one reads whatever comes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from spool.api import Spool
from tests.hosts import ENV

EACH: Final = "each"  # one send() after the other
MANY: Final = "many"  # one send_many()


class Sender:
    """A process that calls `send` and prints each id when it has returned; started when needed.

    It may be killed at any time. What counts as sent are whole printed lines, of all its lives.
    """

    def __init__(self, home: Path, sender: str, to: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "tests.agents", "send", str(home), sender, to]
        self._folder = folder
        self._folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._printed: list[Path] = []

    def send(self, how: str, count: int) -> None:
        """Ask for `count` messages; does not wait for them."""
        if self._process is None:
            self._printed.append(self._folder / f"{len(self._printed)}.ids")
            with self._printed[-1].open("wb") as out:
                self._process = subprocess.Popen(self._command, env=ENV, stdin=subprocess.PIPE, stdout=out)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{how} {count}\n".encode())
        self._process.stdin.flush()

    def ids(self) -> list[str]:
        """Every id that was printed so far."""
        # A line that a kill cut short was not printed: its end is missing.
        lines = [line for path in self._printed for line in path.read_bytes().split(b"\n")[:-1]]
        return [line.decode() for line in lines]

    def kill(self) -> None:
        """End it by SIGKILL; the next `send` starts another."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def finish(self, within_s: float = 20.0) -> None:
        """Let it do what was asked and end."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                status = self._process.wait(within_s)
            finally:
                self._process.kill()
                self._ended()
            assert status == 0, f"the sender ended with {status}"

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process = None


class Reader:
    """A process that takes every message of an agent, and is done with it at once."""

    def __init__(self, home: Path, agent: str, out: Path) -> None:
        self._out = out
        command = [sys.executable, "-m", "tests.agents", "read", str(home), agent]
        with out.open("wb") as file:
            self._process = subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL, stdout=file)

    def ids(self) -> list[str]:
        """The ids of the messages it was done with."""
        return [line.decode() for line in self._out.read_bytes().split(b"\n")[:-1]]

    def close(self) -> None:
        """End it, as often as one likes."""
        self._process.terminate()
        self._process.wait()


def _send(home: str, sender: str, to: str) -> None:
    with Spool(home, agent=sender) as spool:
        for line in sys.stdin:
            how, count = line.split()
            number = time.monotonic_ns()
            if how == EACH:
                for n in range(int(count)):
                    _say([spool.send(to, subject=f"{number} {n}", body="x" * (n * 37 % 900))])
            else:
                batch = [{"to": to, "subject": f"{number} {n}", "body": "x" * n} for n in range(int(count))]
                _say(spool.send_many(batch))


def _read(home: str, agent: str) -> None:
    with Spool(home, agent=agent) as spool:
        while True:
            for message in spool.receive(timeout=5.0):
                with message:
                    pass
                _say([message.id])


def _say(ids: list[str]) -> None:
    os.write(1, "".join(f"{id}\n" for id in ids).encode())


if __name__ == "__main__":
    {"send": _send, "read": _read}[sys.argv[1]](*sys.argv[2:])

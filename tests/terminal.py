"""A command of spool on a terminal of a given size, as a person would see it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.hosts import CLI, ENV

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LEFT_SCREEN = "\x1b[?1049l"
SHOWN_CURSOR = "\x1b[?25h"


class Terminal:
    """`spool ARGS` with a pseudo-terminal as its input, output and errors."""

    def __init__(self, home: Path, *args: str, columns: int = 80, lines: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._theirs = theirs
        self.before: list[Any] = termios.tcgetattr(theirs)
        self.raw = ""
        env = {key: value for key, value in ENV.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [*CLI, "--home", str(home), *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "xterm-256color"},
            start_new_session=True,
        )

    @property
    def text(self) -> str:
        """All that was written so far, without colours and moves."""
        return _ESCAPE.sub("", self.raw)

    @property
    def pictures(self) -> list[str]:
        """The same, one for each time that the whole screen was drawn."""
        return [_ESCAPE.sub("", each) for each in self.raw.split("\x1b[H")]

    def until(self, words: str, within_s: float = 15.0) -> None:
        """Read until these words have come, after what was awaited before."""
        begun, deadline = len(self.text), time.monotonic() + within_s
        while words not in self.text[begun:]:
            assert time.monotonic() < deadline, f"no {words!r} in {self.text!r}"
            self.read(0.1)

    def read(self, timeout_s: float) -> None:
        """What there is to read, waiting this long for some."""
        if select.select([self._ours], [], [], timeout_s)[0]:
            with contextlib.suppress(OSError):
                self.raw += os.read(self._ours, 65_536).decode("utf-8", "replace")

    def end(self, number: int = signal.SIGINT) -> int:
        """End it by a signal; its exit status, all that it wrote read."""
        self.process.send_signal(number)
        deadline = time.monotonic() + 15
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        for _ in self._rest():
            pass
        return self.process.wait(1)

    def after(self) -> list[Any]:
        """The terminal's settings now."""
        return termios.tcgetattr(self._theirs)

    def _rest(self) -> Iterator[int]:
        while (length := len(self.raw)) is not None:
            self.read(0.05)
            if len(self.raw) == length:
                return
            yield length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

"""Calls on other threads and things that come true soon, for tests; every wait has an end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from spool.transports.base import Pipe
from tests.sshd import processes


class Background:
    """A call on a thread of its own; `raised` waits for it and returns what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        time.sleep(0.2)  # so that it is inside the call

    def raised(self, within_s: float = 5.0) -> BaseException | None:
        """Wait for the call's end; it fails the test not to come back in time."""
        self._thread.join(within_s)
        assert not self._thread.is_alive(), "the call did not come back"
        return self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as exc:
            self._error = exc


def soon(is_so: Callable[[], bool], within_s: float = 3.0) -> bool:
    """Whether it becomes so in time."""
    until = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def raised_while_closing(pipe: Pipe, call: Callable[[], object]) -> BaseException | None:
    """Close the pipe while `call` waits in it; it must come back within two seconds."""
    waiting = Background(call)
    closer = Background(pipe.close)
    error = waiting.raised(within_s=2.0)
    assert closer.raised() is None
    return error


def our_children() -> set[int]:
    """The ids of the child processes of this one."""
    return {pid for pid, parent, _ in processes() if parent == os.getpid()}

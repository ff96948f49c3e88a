"""The time that a hook may take: at its end there is an exception, and a little later no process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Final

# What is kept of the time for writing down that it was not enough.
_LAST_S: Final = 0.5
# Whatever is begun late has this long to end.
_LEAST_S: Final = 0.1


class TooLate(BaseException):
    """The time is up; no `except Exception` takes it for an error of its own."""


class Deadline:
    """Runs from when it is made. Of the main thread only: it is a signal that ends it.

    Args:
        seconds: until the process ends, with exit code 0; TooLate is raised a little before.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds - _LAST_S
        self._before = signal.signal(signal.SIGALRM, self._rang), signal.getitimer(signal.ITIMER_REAL)
        self.go_on()

    def pause(self) -> None:
        """Let the time run out without saying so."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def go_on(self) -> None:
        """Say so again; what is left to be done then has a little time in any case."""
        signal.setitimer(signal.ITIMER_REAL, max(self._at - time.monotonic(), _LEAST_S))

    def end(self) -> None:
        """It counts no more; what was set before it is."""
        self.pause()
        rang, timer = self._before
        signal.signal(signal.SIGALRM, rang)
        signal.setitimer(signal.ITIMER_REAL, *timer)

    def _rang(self, _number: int, _frame: Any) -> None:
        # Not a word more after this.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, _LAST_S)
        raise TooLate

"""What is done every so many seconds beside the faults: it may wait for a lock, and they must not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

TURN_S: Final = 0.2
END_S: Final = 60.0


class Chore:
    """Something that is done every so many seconds."""

    def __init__(self, every_s: float, work: Callable[[], None]) -> None:
        self._every_s, self._work = every_s, work
        self._next_at = time.monotonic() + every_s

    def turn(self) -> None:
        """Do it where its time has come."""
        if time.monotonic() >= self._next_at:
            self._work()
            self._next_at = time.monotonic() + self._every_s


@contextlib.contextmanager
def running(chores: Sequence[Chore]) -> Iterator[None]:
    """Have them done on a thread of their own for the length of the block.

    Raises:
        BaseException: what one of them raised.
    """
    halt, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            while not halt.wait(TURN_S):
                for chore in chores:
                    chore.turn()
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=work, name="chores", daemon=True)
    thread.start()
    try:
        yield
    finally:
        halt.set()
        thread.join(END_S)
    if errors:
        raise errors[0]

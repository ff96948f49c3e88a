"""A limit on waiting without progress, however long the whole may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

TICKS: Final = 10


class Patience:
    """While the block runs, `give_up` is called once when `limit_s` go by without progress.

    It is called on another thread and must end what the block waits for; `late` says that it was.
    """

    def __init__(self, limit_s: float, give_up: Callable[[], None]) -> None:
        self.late = False
        self._tick_s = limit_s / TICKS
        self._give_up = give_up
        self._moved = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)

    def __enter__(self) -> Patience:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def progress(self) -> None:
        """Something came or went: the wait begins anew."""
        self._moved = True

    def _watch(self) -> None:
        idle = 0
        while not self._over.wait(self._tick_s):
            idle = 0 if self._moved else idle + 1
            self._moved = False
            if idle >= TICKS:
                self.late = True
                self._give_up()
                return

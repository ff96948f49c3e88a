"""What was shown counts as read only when the client has it, not when it was looked up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import msgspec

RequestId = str | int
# A request that its client took back is never answered: what waits for its answer is dropped in time.
MOST: Final = 1000


class Reads:
    """What is to be done once the answer to a request was handed over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[RequestId, Callable[[], object]] = {}

    def after(self, request: RequestId, mark: Callable[[], object]) -> None:
        """Call `mark` once the answer to this request was handed over; lost with this process."""
        with self._lock:
            self._waiting.pop(request, None)
            while len(self._waiting) >= MOST:
                self._waiting.pop(next(iter(self._waiting)))
            self._waiting[request] = mark

    def answered(self, request: RequestId) -> Callable[[], object] | None:
        """The answer to a request was handed over: what is to be done now, if anything."""
        with self._lock:
            return self._waiting.pop(request, None)


class _Head(msgspec.Struct):
    id: RequestId | None = None
    method: str | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def answered_in(line: str) -> RequestId | None:
    """Which request a line of the protocol answers; None where it answers none."""
    head = _HEAD.decode(line)
    return head.id if head.method is None else None

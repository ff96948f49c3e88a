"""How much one caller may ask: buckets that fill again, and a room that is shared by all."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

MOST_CALLERS: Final = 4096


class Rate(NamedTuple):
    """So many a second, and so many at once after a pause."""

    a_second: float
    at_once: float


# A peer that posts each message by itself keeps well below this.
PEER: Final = Rate(200.0, 400.0)
# Of requests that were not believed, by address. An honest peer with a wrong secret stops at the first.
FAILURES: Final = Rate(0.2, 10.0)
# Requests that are being read, of all callers together, in bytes.
ROOM_BYTES: Final = 64 * 1024 * 1024
# Of that one address may take up a fourth.
SHARE: Final = 4


class Buckets:
    """Counts what each caller takes; the longest silent is forgotten where there are too many."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take one; 0, or seconds until there is one to take."""
        now = self._monotonic()
        level, at = self._levels.pop(caller, (self._rate.at_once, now))
        level = min(self._rate.at_once, level + (now - at) * self._rate.a_second)
        is_there = level >= 1.0
        self._levels[caller] = (level - 1.0 if is_there else level, now)
        if len(self._levels) > MOST_CALLERS:
            self._levels.popitem(last=False)
        return 0.0 if is_there else (1.0 - level) / self._rate.a_second


class Seen:
    """The ids of signed requests, for as long as their timestamps are believed."""

    MOST: Final = 20_000

    def __init__(self, keep_s: float, monotonic: Callable[[], float]) -> None:
        self._keep_s = keep_s
        self._monotonic = monotonic
        self._ids: OrderedDict[bytes, float] = OrderedDict()

    def is_new(self, peer: str, id: str) -> bool:
        """Whether a peer has not used an id before; from here on it has."""
        now = self._monotonic()
        while self._ids:
            oldest = next(iter(self._ids))
            if len(self._ids) < self.MOST and now - self._ids[oldest] <= self._keep_s:
                break
            del self._ids[oldest]
        # The peer chooses how long an id is.
        key = hashlib.sha256(f"{peer}\n{id}".encode("utf-8", "replace")).digest()
        if key in self._ids:
            return False
        self._ids[key] = now
        return True


class Room:
    """Bytes that are held for requests that are not whole yet; nobody may hold more than a part of them."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._most_each = size // SHARE
        self._held: Counter[str] = Counter()

    def take(self, caller: str, size: int, *, one: int = 0) -> bool:
        """Take so much; False where there is not so much left, and nothing is taken.

        Args:
            one: how much a single request may be; that much each may hold.
        """
        if size > self._left or self._held[caller] + size > max(self._most_each, one):
            return False
        self._left -= size
        self._held[caller] += size
        return True

    def give(self, caller: str, size: int) -> None:
        """Give it back."""
        self._left += size
        self._held[caller] -= size
        if self._held[caller] <= 0:
            del self._held[caller]

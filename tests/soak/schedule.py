"""When what fault comes: a seeded deck, dealt out over the time; and what ends them again."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from tests.soak.faults import KINDS, Faults, Struck

TRIES: Final = 6
# The last share of the time is for what still lasts, and for the mail to follow.
CALM: Final = 0.06
# What lasts longer than this share of the whole is not tried in so short a soak.
LONGEST: Final = 0.5


def deck(rng: random.Random, count: int, seconds: float, *, without: Collection[str]) -> list[str]:
    """So many faults in the shares of `KINDS`, the rare ones too where there are enough, shuffled."""
    kinds = [
        name for name, kind in KINDS.items() if name not in without and kind.lasts_s <= LONGEST * seconds
    ]
    whole = sum(KINDS[name].share for name in kinds)
    cards = [name for name in kinds for _ in range(int(KINDS[name].share / whole * count))]
    cards += [name for name in kinds if name not in cards]
    left = max(0, count - len(cards))
    cards += rng.choices(kinds, [KINDS[name].share for name in kinds], k=left)
    rng.shuffle(cards)
    return cards[:count]


class Schedule:
    """Deals the deck out; `turn` is called often, with the seconds since the begin.

    Attributes:
        hit: faults that hit something, by kind. in_flight: those of them that found mail on its way.
        missed: how often a kind had no victim.
    """

    def __init__(self, faults: Faults, rng: random.Random, cards: list[str], seconds: float) -> None:
        self._faults = faults
        self._rng = rng
        self._cards = cards
        self._every_s = seconds * (1.0 - CALM) / max(1, len(cards))
        self._next_at = self._every_s * rng.random()
        self._heals: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.hit: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether every fault was dealt, and has been ended."""
        return not self._cards and not self._heals

    def turn(self, now: float) -> str | None:
        """End what is due to end, and strike where it is time; what was struck."""
        while self._heals and self._heals[0][0] <= now:
            heapq.heappop(self._heals)[2]()
        if not self._cards or now < self._next_at:
            return None
        # Behind its time, where a look at the hosts took long, it strikes at the next turn again.
        self._next_at += self._every_s * self._rng.uniform(0.5, 1.5)
        return self._strike(now)

    def calm(self) -> None:
        """End everything that lasts, now."""
        self._cards = []
        while self._heals:
            heapq.heappop(self._heals)[2]()

    def _strike(self, now: float) -> str | None:
        for _ in range(TRIES):
            kind = self._cards.pop()
            if (struck := self._faults.strike(kind)) is not None:
                self._count(kind, struck, now)
                return f"{kind}: {struck.what}"
            # Its turn comes later, when there is somebody to hit.
            self.missed[kind] += 1
            self._cards.insert(self._rng.randint(0, len(self._cards)), kind)
        return None

    def _count(self, kind: str, struck: Struck, now: float) -> None:
        self.hit[kind] += 1
        self.in_flight[kind] += struck.in_flight > 0
        for heal in struck.heals:
            heapq.heappush(self._heals, (now + heal.after_s, next(self._number), heal.end))

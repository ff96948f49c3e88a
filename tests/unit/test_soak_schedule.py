"""The soak's schedule: the same seed deals the same faults, none is forgotten, and all of them end."""

from __future__ import annotations

import random
from collections import Counter

from tests.soak.faults import KINDS, Heal, Struck
from tests.soak.schedule import Schedule, deck

HOUR: float = 3600.0


class Hits:
    """Faults that hit nobody at first, and last for three seconds."""

    def __init__(self, *, misses: int = 0) -> None:
        self.left = misses
        self.ended = 0

    def strike(self, kind: str) -> Struck | None:
        """As `Faults` does."""
        if self.left:
            self.left -= 1
            return None
        return Struck(kind, (Heal(3.0, self.end),), in_flight=2)

    def end(self) -> None:
        """What ends one."""
        self.ended += 1


def run(schedule: Schedule, until_s: int) -> None:
    """Let the time pass, a tenth of a second at a turn."""
    for tenth in range(until_s * 10):
        schedule.turn(tenth / 10)


def test_a_seed_deals_the_same_faults_again() -> None:
    """What a soak has found must be to be had again."""
    first, again, other = (deck(random.Random(seed), 200, HOUR, without=()) for seed in (1, 1, 2))

    assert first == again != other


def test_a_long_soak_has_faults_of_every_kind() -> None:
    """In about their shares; the rare ones, too."""
    dealt = Counter(deck(random.Random(1), 500, HOUR, without=()))

    assert dealt.total() == 500
    assert dealt.keys() == KINDS.keys()
    assert dealt["kill consumer"] > 10 * dealt["restart of everything"]


def test_what_lasts_too_long_or_cannot_be_is_not_dealt() -> None:
    """A minute's stop has no place in a soak of a minute, nor a full disk where there is none to fill."""
    dealt = set(deck(random.Random(1), 500, 60.0, without={"disk full"}))

    assert {"stop beyond the lease", "disk full"}.isdisjoint(dealt)


def test_a_fault_without_a_victim_comes_later() -> None:
    """A killed link is not up again at once: what was to hit it is put off, not dropped."""
    hits = Hits(misses=9)
    schedule = Schedule(hits, random.Random(1), ["cut"] * 5, 60.0)  # type: ignore[arg-type]  # what it calls

    run(schedule, 120)

    assert schedule.hit == {"cut": 5} == schedule.in_flight
    assert schedule.missed == {"cut": 9}
    assert schedule.is_over
    assert hits.ended == 5


def test_at_the_end_everything_is_ended() -> None:
    """A soak that is over may leave nobody stopped and no disk full."""
    hits = Hits()
    schedule = Schedule(hits, random.Random(1), ["stall"] * 5, 10.0)  # type: ignore[arg-type]  # what it calls
    run(schedule, 6)

    schedule.calm()

    assert schedule.is_over
    assert hits.ended == schedule.hit.total() > 0

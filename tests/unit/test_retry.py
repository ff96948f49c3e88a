"""When to try again, and when not."""

from __future__ import annotations

import random

import pytest

from spool import errors, retry
from spool.errors import LinkError
from spool.retry import Rule, backoff, message_delay, peer_delay

KINDS = {kind: cls for kind, cls in errors.kinds().items() if issubclass(cls, LinkError)}
STOP = {"host_key_changed", "host_key_unknown", "auth_refused", "not_authorised", "peer_misconfigured"}


def delays(kind: str, attempt: int) -> list[float]:
    """Many draws of one delay."""
    rng = random.Random(1)
    drawn = [peer_delay(KINDS[kind]("x"), attempt, rng) for _ in range(200)]
    assert None not in drawn
    return [delay for delay in drawn if delay is not None]


@pytest.mark.parametrize("kind", sorted(STOP))
@pytest.mark.parametrize("attempt", [1, 50])
def test_some_failures_stop_the_peer(kind: str, attempt: int) -> None:
    """A changed key and a refused login: a host that bans for failed logins must not ban us."""
    assert peer_delay(KINDS[kind]("x"), attempt, random.Random(1)) is None


def test_only_those_stop_it() -> None:
    """Every other failure is tried again for as long as it takes."""
    assert {kind for kind, cls in KINDS.items() if cls.stops} == STOP
    assert set(retry.RULES) <= set(KINDS) - STOP


@pytest.mark.parametrize("kind", sorted(set(KINDS) - STOP))
def test_the_delay_doubles_up_to_its_cap(kind: str) -> None:
    """Between half of it and the whole."""
    rule = retry.RULES.get(kind, retry.DEFAULT)
    for attempt in range(1, 30):
        whole = min(rule.cap_s, rule.first_s * 2 ** (attempt - 1))
        drawn = delays(kind, attempt)
        assert whole / 2 <= min(drawn) < max(drawn) <= whole


def test_a_broken_link_is_dialled_again_soonest() -> None:
    """It was up a moment ago."""
    assert max(delays("link_lost", 1)) <= 0.2
    assert max(delays("link_lost", 1)) < min(delays("cannot_resolve", 1))


def test_two_hosts_do_not_stay_in_step() -> None:
    """After an outage of a host that many dial."""
    assert len({round(delay, 6) for delay in delays("unreachable", 8)}) > 190


def test_the_same_seed_gives_the_same_delays() -> None:
    """A simulation can be run again."""
    one, other = (backoff(Rule(1, 9), 3, random.Random(5)) for _ in range(2))

    assert one == other


@pytest.mark.parametrize("attempt", [0, 1, 1_000, 10**9])
def test_no_number_of_attempts_breaks_it(attempt: int) -> None:
    """A message may be deferred for a week."""
    assert 0 < message_delay(attempt, random.Random(1)) <= retry.MESSAGE.cap_s


def test_a_message_waits_longer_each_time() -> None:
    """Two seconds at first, a quarter of an hour at most."""
    rng = random.Random(1)

    assert 1 <= message_delay(1, rng) <= 2
    assert 450 <= message_delay(20, rng) <= 900

"""When to try again: one rule per kind of failure, exponential backoff with full jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from spool.errors import LinkError

if TYPE_CHECKING:
    import random


class Rule(NamedTuple):
    """Backoff for one kind of failure, in seconds."""

    first_s: float
    cap_s: float


DEFAULT: Final = Rule(1.0, 300.0)
RULES: Final[dict[str, Rule]] = {
    "link_lost": Rule(0.2, 60.0),
    "superseded": Rule(1.0, 10.0),
    "unreachable": Rule(1.0, 300.0),
    "timed_out": Rule(1.0, 300.0),
    "cannot_resolve": Rule(5.0, 300.0),
    "no_spool_there": Rule(5.0, 900.0),
    "far_disk_full": Rule(15.0, 300.0),
    "certificate_refused": Rule(15.0, 900.0),
    "version_skew": Rule(60.0, 3600.0),
    "no_credential": Rule(5.0, 300.0),
    "no_repository": Rule(30.0, 900.0),
}
MESSAGE: Final = Rule(2.0, 900.0)

# Hosts ban whoever logs in again and again. A login counts where it came to nothing, or its link
# ended within `SHORT_S` of being up; one that carried mail was worth it, and counts a sixth. From
# `PATIENCE` on, four an hour are the most. All is forgotten when a link lasts, or no login counted for
# an hour.
SHORT_S: Final = 60.0
BARREN: Final = 6
CARRIED: Final = 1
PATIENCE: Final = 10 * BARREN
FORGOTTEN_S: Final = 3600.0
CAREFUL_S: Final = 900.0
# Failures that are told by who has logged in.
LOGGED_IN: Final = frozenset(
    ("link_lost", "no_spool_there", "no_files_there", "folder_missing", "far_disk_full", "version_skew")
)


class Logins(NamedTuple):
    """What the short-lived logins of a peer count, and when the last was; seconds since the epoch."""

    points: int = 0
    at: float = 0.0

    def more(self, weight: int, now: float) -> Logins:
        """With one that ended now; weight 0 says that its link lasted."""
        if weight == 0:
            return Logins(0, now)
        old = self.points if abs(now - self.at) <= FORGOTTEN_S else 0
        return Logins(min(old + weight, PATIENCE), now)

    def delay(self, rng: random.Random) -> float:
        """Seconds that must pass before the next login, whatever else says that it may be sooner."""
        return CAREFUL_S * rng.uniform(1.0, 1.25) if self.points >= PATIENCE else 0.0


def peer_delay(failure: LinkError, attempt: int, rng: random.Random) -> float | None:
    """Seconds until the next dial, or None where only a person may decide.

    Args:
        failure: what ended the last attempt.
        attempt: failures in a row, 1 for the first.
    """
    if failure.stops:
        return None
    return max(failure.after_s, backoff(RULES.get(failure.kind, DEFAULT), attempt, rng))


def message_delay(attempt: int, rng: random.Random, *, at_least_s: float = 0.0) -> float:
    """Seconds until one deferred message is offered again.

    Args:
        at_least_s: what the other side asked for; it is believed up to the longest of our own delays.
    """
    # What is told many at once must not come back all at once.
    asked_s = min(max(at_least_s, 0.0), MESSAGE.cap_s) * rng.uniform(1.0, 1.25)
    return max(backoff(MESSAGE, attempt, rng), asked_s)


def backoff(rule: Rule, attempt: int, rng: random.Random) -> float:
    """Full jitter above half: between half and the whole of the doubled delay, capped."""
    whole = min(rule.cap_s, rule.first_s * 2.0 ** min(attempt - 1, 20))
    return whole * rng.uniform(0.5, 1.0)

"""`[escalation]` of spool.toml: which messages a person is told of, through which peer, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

_PRIORITY: Final = re.compile(r"P[0-3]")
# A person looks at them, and GitHub lets nobody make many more in an hour.
MOST_OPEN: Final = 200


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[escalation]`. Times in seconds.

    A message of one of `priorities` or `types` is escalated where it was not received `after_s` after it was
    sent; what waits first for a peer that was not reached for `peer_down_s`, 0 for never. `max_open` are open
    at the same time by these rules; what fits beyond that waits its turn.
    """

    peer: str
    priorities: tuple[str, ...] = ("P0",)
    types: tuple[str, ...] = ("blocker",)
    overdue: bool = True
    dead: bool = True
    after_s: float = 10.0
    peer_down_s: float = 900.0
    max_open: int = 50

    @property
    def classes(self) -> list[int]:
        """`priorities` as numbers, 0 the most urgent."""
        return [int(each[1]) for each in self.priorities]


class _Table(msgspec.Struct, frozen=True):
    escalation: Rules


def read(given: dict[str, Any]) -> Rules:
    """The table as toml has it. Raises msgspec.ValidationError, which names the key."""
    return msgspec.convert({"escalation": given}, _Table).escalation


class Road(Protocol):
    """What of a peer decides whether it can be escalated to."""

    @property
    def is_issues(self) -> bool: ...


def problems(rules: Rules, peers: Mapping[str, Road]) -> Iterator[str]:
    """What is wrong with them, one line each."""
    if (road := peers.get(rules.peer)) is None:
        yield f"[escalation] peer: there is no [peers.{rules.peer}]; add that github:// peer, or name another"
    elif not road.is_issues:
        yield (
            f"[escalation] peer: {rules.peer} is no github:// peer: a person reads issues,"
            " which can be corrected and closed; nothing else is escalated to"
        )
    for priority in rules.priorities:
        if not _PRIORITY.fullmatch(priority):
            yield f"[escalation] priorities: {priority!r} is none of P0, P1, P2 and P3"
    for key in ("after_s", "peer_down_s"):
        value: float = getattr(rules, key)
        # Neither nan nor inf is between any two numbers.
        if not 0 <= value <= 1_000_000_000:
            yield f"[escalation] {key}: not a number of seconds, from 0 on"
    if not 1 <= rules.max_open <= MOST_OPEN:
        yield f"[escalation] max_open: from 1 to {MOST_OPEN}"

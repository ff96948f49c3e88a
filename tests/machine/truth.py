"""What really happened, as somebody who sees every host at once would have noted it down."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from spool.states import State


class Key(NamedTuple):
    """Which message."""

    sender: str
    id: str


@dataclass
class Letter:
    """A message that somebody tried to send.

    Attributes:
        origin: the host of its sender; "" for one of the outsider.
        home: the host of the agent it is for.
        bodies: what it said, in each of the tries; the first that was taken counts.
        returned: whether `send` returned, or an outsider was told that it was taken.
    """

    key: Key
    origin: str
    home: str
    bodies: set[str] = field(default_factory=set)
    returned: bool = False


@dataclass
class Truth:
    """Attributes:
    letters: everything that anybody tried to send.
    touched: messages that their agent, or a program that died meanwhile, may have read.
    ended: the same for done and rejected.
    furthest: the furthest state that the inbox of its agent ever had for a message.
    first: how often a host said that a message was new to it.
    told: how often a host was told how far a message got, which it may pass on.
    acks: the different acks that a host made for a message.
    revived: messages that a person revives in this very step.
    retried: all that a person ever revived.
    """

    letters: dict[Key, Letter] = field(default_factory=dict)
    touched: set[Key] = field(default_factory=set)
    ended: set[Key] = field(default_factory=set)
    furthest: dict[Key, str] = field(default_factory=dict)
    first: Counter[tuple[str, Key]] = field(default_factory=Counter)
    told: Counter[tuple[str, Key]] = field(default_factory=Counter)
    acks: defaultdict[tuple[str, Key], set[tuple[int, str]]] = field(default_factory=lambda: defaultdict(set))
    revived: set[Key] = field(default_factory=set)
    retried: set[Key] = field(default_factory=set)

    def tried(self, key: Key, origin: str, home: str, body: str) -> Letter:
        """Somebody is about to send this."""
        letter = self.letters.setdefault(key, Letter(key, origin, home))
        letter.bodies.add(body)
        return letter


class Out(NamedTuple):
    """A row of an outbox or its archive."""

    key: Key
    state: State
    peer: str
    origin: str | None
    due: float | None
    lease: int
    lease_until: float
    expires_at: float
    attempts: int
    reason: str | None
    outcome: str | None
    note: str | None
    body: str
    archived: bool


class In(NamedTuple):
    """A row of an inbox or its archive."""

    key: Key
    state: str
    agent: str
    peer: str | None
    lease: int
    lease_until: float
    attempts: int
    outcome: str | None
    note: str | None
    body: str
    archived: bool


class Look(NamedTuple):
    """What stands on the disk of one host."""

    out: dict[Key, Out]
    inn: dict[Key, In]
    acks: list[tuple[str, Key, str]]

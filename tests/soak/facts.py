"""What is known when a soak is over: rows, log lines, ledgers. The checker sees nothing else."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Key(NamedTuple):
    """Which message."""

    sender: str
    id: str


class Act(msgspec.Struct, frozen=True):
    """A line of a ledger: who did what, or was told what, about which message.

    `what` of senders: `trying`, `sent`, `trouble`. Of receivers: `took`, `ending`, `ended`, `backing`,
    `reading`, `sent`, `lost` (`done` was refused), `trouble`. Of the files peer: `saw`, `acking`, `filed`,
    `twice`, `writing`, `wrote`. `to` is the agent it is for, `more` an outcome or an error, `until` the end
    of the lease under which it was taken; `at` and `until` in seconds since the epoch.
    """

    at: float
    pid: int
    who: str
    what: str
    id: str = ""
    to: str = ""
    more: str = ""
    until: float = 0.0


class Out(NamedTuple):
    """A row of an outbox or its archive; `origin` is None for what was sent on that host."""

    key: Key
    to: str
    state: str
    peer: str
    origin: str | None
    waits: bool
    attempts: int
    reason: str | None
    outcome: str | None
    far_host: str | None
    digest: bytes


class In(NamedTuple):
    """A row of an inbox or its archive."""

    key: Key
    agent: str
    state: str
    attempts: int
    outcome: str | None
    note: str | None
    digest: bytes


class Told(NamedTuple):
    """A row of `events`, in their order: the state that the message had when it happened."""

    key: Key
    state: str
    what: str


class Line(NamedTuple):
    """A line of a structured log about a message, in the order of time."""

    id: str
    verb: str
    pid: int


class Step(NamedTuple):
    """What a look into a running host found to have gone back, or away, since the look before."""

    host: str
    key: Key
    before: str
    after: str


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that one host knows, and what its log says.

    Attributes:
        acks: acks that were not carried to their end: sender, id and status.
        events: how often each event stands in the log.
    """

    name: str
    agents: frozenset[str]
    out: list[Out] = []
    inn: list[In] = []
    acks: list[tuple[Key, str]] = []
    told: list[Told] = []
    lines: list[Line] = []
    events: dict[str, int] = {}
    quarantine: list[str] = []
    integrity: list[str] = []


class BoxFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The files peer: names that are left in its folders, by folder, without `.json`."""

    agent: str
    inbox: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    outbox: frozenset[str] = frozenset()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    hosts: list[HostFacts]
    box: BoxFacts
    acts: list[Act] = []
    steps: list[Step] = []
    deaths: dict[str, int] = {}

"""What stands in a store: the rows that go in and come out, as frozen values."""

# Annotations are not put off here: typing takes three times as long to make a tuple of texts it must read.

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from spool.message import Ack
from spool.states import Held, State

if TYPE_CHECKING:
    from spool.terms import Term

Side = Literal["outbox", "inbox"]
# How a session was told of a message: in its context, as the reason to go on, or to wake it.
How = Literal["told", "continued", "woken"]
# The type of the message by which a host says that it holds an agent of its own in a thread.
HELD_TYPE: Final = "loop-held"


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox or its archive. Times are seconds since the epoch, by this host's
    clock; `_there` by the clock of the host that told it. `origin` is the peer a relayed message
    came from, None for this host's own. `peer` is the next hop, "" for an agent of this host."""

    seq: int
    id: str
    sender: str
    recipient: str
    peer: str
    origin: str | None
    type: str
    priority: int
    state: State
    due: float | None
    lease: int
    lease_until: float
    attempts: int
    reason: str | None
    queued_at: float
    sent_at: float | None
    received_at: float | None
    received_there: float | None
    read_at: float | None
    read_there: float | None
    done_at: float | None
    done_there: float | None
    dead_at: float | None
    far_host: str | None
    outcome: str | None
    note: str | None
    expires_at: float
    deadline_at: float | None
    overdue: bool
    answered: bool
    hops: list[str]
    re: str | None
    thread: str | None
    filled: list[str]
    digest: bytes
    raw: bytes
    archived: bool = False


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the inbox or its archive; `peer` is where it came from, None for this host."""

    seq: int
    id: str
    sender: str
    recipient: str
    agent: str
    peer: str | None
    type: str
    priority: int
    state: Held
    lease: int
    lease_until: float
    attempts: int
    received_at: float
    read_at: float | None
    done_at: float | None
    outcome: str | None
    note: str | None
    deadline_at: float | None
    overdue: bool
    answered: bool
    hops: list[str]
    re: str | None
    thread: str | None
    filled: list[str]
    digest: bytes
    raw: bytes
    archived: bool = False


def written_at(row: Outgoing | Incoming) -> float:
    """When a message was queued here, or came."""
    return row.queued_at if isinstance(row, Outgoing) else row.received_at


def is_held(row: Outgoing) -> bool:
    """Whether a message waits for a person to release it: queued, and due at no time."""
    return row.state is State.QUEUED and row.due is None


class NewOutgoing(NamedTuple):
    """What the outbox needs to know of a message it takes."""

    id: str
    sender: str
    recipient: str
    peer: str
    origin: str | None
    type: str
    priority: int
    queued_at: float
    expires_at: float
    deadline_at: float | None
    hops: str
    re: str | None
    thread: str | None
    filled: str
    digest: bytes
    raw: bytes


class NewIncoming(NamedTuple):
    """What the inbox needs to know of a message it takes."""

    id: str
    sender: str
    recipient: str
    agent: str
    peer: str | None
    type: str
    priority: int
    received_at: float
    deadline_at: float | None
    hops: str
    re: str | None
    thread: str | None
    filled: str
    digest: bytes
    raw: bytes


class Parcel(NamedTuple):
    """A message leased for one try; `lease` must come back with the outcome. `attached` says that
    the next hop has its files."""

    seq: int
    lease: int
    id: str
    sender: str
    recipient: str
    origin: str | None
    type: str
    priority: int
    attempts: int
    queued_at: float
    expires_at: float
    hops: str
    re: str | None
    filled: str
    raw: bytes
    digest: bytes
    state: str
    attached: bool = False


class Shipment(NamedTuple):
    """A file that an outgoing message needs at its next hop; `got` is how much of it is there so far,
    as far as this host wrote it down."""

    sha256: str
    bytes: int
    there: bool
    got: int


class LeasedAck(NamedTuple):
    """An ack leased for one try."""

    seq: int
    lease: int
    ack: Ack


class Seen(NamedTuple):
    """The dedup record of a message: its digest, when it came, whether its agent lives here."""

    digest: bytes
    at: float
    final: bool


class Event(NamedTuple):
    """Something that happened to a message besides its milestones; `state` is what it had then."""

    id: str
    sender: str
    at: float
    host: str | None
    peer: str | None
    state: str
    what: str
    attempt: int | None
    detail: str | None


class Quarantined(NamedTuple):
    """Input that could not be read or trusted; `raw` is what came."""

    n: int
    at: float
    peer: str | None
    name: str | None
    reason: str
    raw: bytes


class Unproven(NamedTuple):
    """A message that was published for a peer, and of which nothing is known since."""

    seq: int
    id: str
    sender: str
    sent_at: float
    expires_at: float


class KeptFile(NamedTuple):
    """A file of a files peer that was taken and could not be removed; `digest` is its SHA-256."""

    name: str
    size: int
    mtime: float
    digest: bytes
    at: float


class Heard(NamedTuple):
    """When an agent was last heard of, by this host's clock, and what it had done: `message`, `read` or
    `done`."""

    agent: str
    at: float
    what: str


class Told(NamedTuple):
    """What an agent's host told of it at `at`, by this host's clock: how many messages are unread there,
    how old the oldest was in seconds, how many sessions live; None where it did not say."""

    agent: str
    unread: int
    oldest_s: float | None
    sessions: int | None
    at: float


class Unread(NamedTuple):
    """How much is unread for an agent of this host, and when the oldest of it came."""

    agent: str
    messages: int
    oldest_at: float


class Hold(NamedTuple):
    """An agent whose further messages in a thread wait for a person: it took `turns` turns there within
    the config's window. `other` is whom the first of them was for."""

    agent: str
    thread: str
    other: str
    turns: int
    since: float


class Asked(NamedTuple):
    """What somebody asks for; None, and no terms, fit everything. Times are when a message was queued
    here or came; `since` is within, `until` is not. A recipient may be named with its host or without."""

    terms: "tuple[Term, ...]" = ()
    sender: str | None = None
    recipient: str | None = None
    since: float | None = None
    until: float | None = None


class Moved(NamedTuple):
    """How many rows went to the archive, and how many ended and stay, since their answer is not here."""

    rows: int
    kept: int


class PeerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a peer between processes; times in seconds since the epoch."""

    name: str
    generation: int = 0
    holder: str | None = None
    holder_until: float = 0.0
    dialled: bool = False
    state: str = "waiting"
    last_contact: float | None = None
    linked_at: float | None = None
    failures: int = 0
    retry_at: float | None = None
    error_kind: str | None = None
    error: str | None = None
    far_host: str | None = None
    far_version: str | None = None
    far_agents: list[str] = []
    far_unread: int | None = None
    far_queued: int | None = None
    clock_offset: float | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A client that reads as one agent; times in seconds since the epoch. `pid` is its process and `born`
    when that started, in the machine's own terms. `told_at` is when it was told of mail last, `wake` how
    it can be woken, as JSON, `wake_text` what it was woken with last."""

    id: str
    agent: str
    client: str | None = None
    pid: int | None = None
    born: str | None = None
    cwd: str = ""
    since: float
    seen_at: float
    busy: bool = False
    prompted_at: float | None = None
    told_at: float | None = None
    wake: str | None = None
    woken_at: float | None = None
    wake_text: str | None = None
    ended_at: float | None = None


class Reason(NamedTuple):
    """Why a message is escalated: the rule, when it first held, and what it says of this message."""

    rule: str
    at: float
    text: str


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a person is told of through `peer`, and how far that got. `shown` are the lines that say
    how the message stands. `posted` is the `revision` that stands there, 0 for none, and what shall stand
    there has changed at `changed_at`; `stands` is how it was left there. `offered` says that one may stand
    there although its `number` is not known, `travels` that the message may be taken out of it."""

    sender: str
    id: str
    peer: str
    state: Literal["open", "resolved"] = "open"
    reasons: list[Reason]
    shown: list[str]
    opened_at: float
    changed_at: float
    resolved_at: float | None = None
    revision: int = 1
    posted: int = 0
    offered: bool = False
    stands: Literal["open", "closed"] | None = None
    number: int | None = None
    url: str | None = None
    error: str | None = None
    queued_at: float
    expires_at: float
    travels: bool = True
    filled: list[str]
    digest: bytes
    raw: bytes


class Found(NamedTuple):
    """Rows of the outbox that a rule fits, and up to where there are no more of them: the next look is for
    what comes behind that."""

    rows: list[Outgoing]
    upto: int


class IssueSpot(NamedTuple):
    """Where a message stands on GitHub, if this host posted it (`ours`) or took it. Without a number it was
    tried at `tried_at`, and may stand there. `comment` is 0 where it is the issue itself."""

    sender: str
    id: str
    ours: bool
    number: int | None
    comment: int
    tried_at: float


class IssueAcks(NamedTuple):
    """The comment on an issue that says how far its messages got: `told` as JSON; without a comment it was
    tried at `tried_at`, and may stand there."""

    number: int
    comment: int | None
    told: str
    tried_at: float


class Quota(NamedTuple):
    """What of a peer waits here, how far it has used up its messages a minute, and when the log was told
    that it is over; times in seconds since the epoch."""

    messages: int = 0
    bytes: int = 0
    paid_until: float = 0.0
    told_at: float | None = None

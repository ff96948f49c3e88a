"""What two spools say over HTTPS: one JSON object asks, one answers. docs/webhook.md lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from spool.message import Ack
from spool.outbox import MAX_NOTE
from spool.store.base import Parcel
from spool.transports import frames
from spool.transports.frames import AgentNow, Answer, Count, Hello, Item, Key, Result

# Below the path of the config.
HELLO: Final = "/hello"
BATCH: Final = "/batch"
POLL: Final = "/poll"
OPENAPI: Final = "/openapi.json"
PEER: Final = "spool-peer"
ID: Final = "webhook-id"
# A long poll is answered after this, mail or none: shorter than what stands between cuts what is silent.
POLL_S: Final = 25.0
# What a request may hold at least; a message of the greatest size, if every character of it is escaped.
LEAST_BYTES: Final = 1024 * 1024
ESCAPED: Final = 6

_Few = msgspec.Meta(max_length=frames.MAX_ITEMS)


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the sender's own host stands: unread there, waiting for the other side, and its agents."""

    unread: Count | None = None
    queued: Count | None = None
    agents: Annotated[list[AgentNow], _Few] | None = None


class Greet(msgspec.Struct, frozen=True, omit_defaults=True):
    """Says who asks. With `probe` nothing is begun, and a session that is open stays."""

    hello: Hello
    probe: bool = False


class Greeting(msgspec.Struct, frozen=True):
    """The answer to hello: who is there; with a `session` the asker may poll for its mail.

    Without one, this host dials the asker by HTTPS itself.
    """

    hello: Hello
    session: str = ""
    poll_s: float = POLL_S


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Messages, acks and questions of the asker."""

    messages: Annotated[list[Item], _Few] = []
    acks: Annotated[list[Ack], _Few] = []
    query: Annotated[list[Key], _Few] = []
    counts: Counts | None = None


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a batch: one result for each message, in order, after their commit, and answers.

    That the acks are on disk is said by the answer being there.
    """

    host: str
    results: list[Result] = []
    answers: list[Answer] = []


class Poll(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asks for mail, and says what became of what the last poll brought: frame `n` of the session."""

    session: str = ""
    n: Count = 0
    results: Annotated[list[Result], _Few] = []
    answers: Annotated[list[Answer], _Few] = []
    wait_s: float = POLL_S


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a poll. What it brings is brought again until a poll says what became of frame `n`."""

    n: Count = 0
    messages: Annotated[list[Item], _Few] = []
    acks: Annotated[list[Ack], _Few] = []
    query: Annotated[list[Key], _Few] = []
    counts: Counts | None = None


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not taken, with `hint` for who sent it."""

    error: str
    hint: str = ""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a plain message or ack: its id, and accepted, deferred or refused."""

    id: str
    r: str
    at: float = 0.0
    final: bool = False
    again: bool = False
    why: str = ""
    after: float = 0.0


encode: Final = msgspec.json.Encoder().encode


def items_of(parcels: Sequence[Parcel], *, now: float) -> list[Item]:
    """Leased messages as they travel."""
    return [frames.item_of(parcel, now) for parcel in parcels]


def short(ack: Ack) -> Ack:
    """An ack as it travels: its note is no longer than the other side keeps."""
    if ack.note is None or len(ack.note) <= MAX_NOTE:
        return ack
    return msgspec.structs.replace(ack, note=ack.note[:MAX_NOTE])


def request_bytes(max_message_bytes: int) -> int:
    """The longest request that a host with this limit for a message reads."""
    return max(LEAST_BYTES, (ESCAPED + 1) * max_message_bytes)

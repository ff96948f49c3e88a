"""The frames of a link: newline-delimited JSON, one object a line. docs/protocol.md lists them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from spool.message import Ack
from spool.store.base import Parcel

VERSION: Final = 1
MAX_FRAME: Final = 8 * 1024 * 1024
FEATURES: Final = ("acks", "query", "echo", "attachments")
# As many as may be unanswered; all of a frame is one transaction, and everybody else waits for it.
MAX_ITEMS: Final = 2048
MAX_PIECE: Final = 128 * 1024
# What a line begins with that bytes follow.
PIECE: Final = b'{"f":"piece",'

_Few = msgspec.Meta(max_length=MAX_ITEMS)
# What every JSON reader and SQLite have room for.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Hello(msgspec.Struct, tag_field="f", tag="hello", omit_defaults=True):
    """The first frame of each side. `v` is the newest protocol it speaks, `least` the oldest;
    `clock` is its time in seconds since the epoch; `dials` says it has a url for the other; `restored`
    names the backup that was put back there last: what it was told since that was made, it may not know."""

    host: str
    v: int = VERSION
    least: int = 1
    spool: str = ""
    agents: list[str] = []
    features: list[str] = []
    clock: float = 0.0
    dials: bool = False
    restored: str = ""


class Item(msgspec.Struct, omit_defaults=True):
    """One message: `m` the JSON itself, or `s` the same as a string where it holds line breaks.

    `x` names the fields its first spool filled in, `t` is what is left of its lifetime in
    seconds, `h` the hosts it passed, `q` when it was queued by its sender's clock, `a` whether the
    files it names were brought before it."""

    t: float
    m: msgspec.Raw = msgspec.Raw(b"null")
    s: str | None = None
    x: list[str] = []
    h: list[str] = []
    q: float | None = None
    a: bool = False


class Messages(msgspec.Struct, tag_field="f", tag="messages"):
    """Messages to take; answered by the results with the same `n`."""

    n: Count
    items: Annotated[list[Item], _Few]


class Result(msgspec.Struct, omit_defaults=True):
    """What came of one item: `r` is accepted, deferred or refused; deferred for `after` seconds at least."""

    r: str
    at: float = 0.0
    final: bool = False
    again: bool = False
    why: str = ""
    after: float = 0.0


class Results(msgspec.Struct, tag_field="f", tag="results", omit_defaults=True):
    """One result for each item of frame `n`, in order; sent after the commit. For acks none:
    that they are on disk is all there is to say."""

    n: Count
    items: Annotated[list[Result], _Few] = []


class Acks(msgspec.Struct, tag_field="f", tag="acks"):
    """How far messages got; answered by results without items."""

    n: Count
    items: Annotated[list[Ack], _Few]


class Key(msgspec.Struct, rename={"sender": "from"}):
    """Which message."""

    sender: str
    id: str


class Query(msgspec.Struct, tag_field="f", tag="query"):
    """How far did these get? Answered by answers with the same `n`."""

    n: Count
    items: Annotated[list[Key], _Few]


class Answer(msgspec.Struct, omit_defaults=True, rename={"sender": "from"}):
    """How far one got: a status as in an ack, or `sent` (here, on its way on) or `unknown`."""

    sender: str
    id: str
    status: str
    at: float | None = None
    host: str | None = None
    outcome: str | None = None
    note: str | None = None


class Answers(msgspec.Struct, tag_field="f", tag="answers"):
    """One answer for each key of query `n`, in order."""

    n: Count
    items: Annotated[list[Answer], _Few]


class AgentNow(msgspec.Struct, omit_defaults=True):
    """How an agent of the sender's own host stands: what is unread for it, how old the oldest of that is
    in seconds, how many sessions of it live, where that is known."""

    name: str
    unread: Count
    oldest_s: float | None = None
    sessions: Count | None = None


class Ping(msgspec.Struct, tag_field="f", tag="ping", omit_defaults=True):
    """Still here. With `echo`, a pong is wanted. Counts and `agents` are of the sender's own host."""

    n: Count
    clock: float
    echo: bool = False
    unread: Count | None = None
    queued: Count | None = None
    agents: Annotated[list[AgentNow], _Few] | None = None


class Pong(msgspec.Struct, tag_field="f", tag="pong"):
    """The answer to ping `n`."""

    n: Count
    clock: float


class Offer(msgspec.Struct, tag_field="f", tag="offer"):
    """A file that a message to come needs; answered by a have. Only with the feature attachments."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Count


class Have(msgspec.Struct, tag_field="f", tag="have", omit_defaults=True):
    """So much of an offered file is here, and goes on to come from there; all of it: it is whole,
    checked and on the disk. `r` is set where it is not taken: `damaged` (it was not what it should
    be: begin anew), `deferred` or `refused`, with `why`."""

    sha256: str
    bytes: Count
    r: str = ""
    why: str = ""


class Piece(msgspec.Struct, tag_field="f", tag="piece"):
    """Bytes of a file from `at`: exactly `n` of them follow the line feed, as they are."""

    sha256: str
    at: Count
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_PIECE)]


class Bye(msgspec.Struct, tag_field="f", tag="bye", omit_defaults=True):
    """The last frame of a side that ends on purpose; `kind` is an error kind, "" for none."""

    kind: str = ""
    why: str = ""


Frame = Hello | Messages | Results | Acks | Query | Answers | Ping | Pong | Offer | Have | Piece | Bye


class _Tag(msgspec.Struct):
    f: str = ""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Frame]] = msgspec.json.Decoder(Frame)
_names: Final = msgspec.json.Decoder(list[str])
_tag: Final = msgspec.json.Decoder(_Tag)
KNOWN: Final = frozenset(
    str(cls.__struct_config__.tag)
    for cls in (Hello, Messages, Results, Acks, Query, Answers, Ping, Pong, Offer, Have, Piece, Bye)
)


class BadFrame(ValueError):
    """A line that is not a frame of this protocol."""


def encode(frame: Frame) -> bytes:
    """One frame with its line feed."""
    return _encoder.encode(frame) + b"\n"


def decode(line: bytes) -> Frame | None:
    """Read one line; None for a frame of a kind this version does not know.

    Raises:
        BadFrame: not JSON, or a known kind with wrong fields.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        try:
            tag = _tag.decode(line).f
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadFrame(f"not a frame: {line[:80]!r}") from exc
        if tag and tag not in KNOWN:
            return None
        raise BadFrame(f"{tag or 'no'} frame: {exc}") from exc


def item_of(parcel: Parcel, now: float) -> Item:
    """One leased message as an item; its bytes arrive as they are."""
    raw = parcel.raw
    breaks = b"\n" in raw or b"\r" in raw
    return Item(
        t=max(0.0, parcel.expires_at - now),
        m=msgspec.Raw(b"null" if breaks else raw),
        s=raw.decode("utf-8") if breaks else None,
        x=_names.decode(parcel.filled),
        h=_names.decode(parcel.hops),
        q=parcel.queued_at,
        a=bool(parcel.attached),
    )


def raw_of(found: Item) -> bytes:
    """The bytes of an item's message."""
    return found.s.encode("utf-8") if found.s is not None else bytes(found.m)

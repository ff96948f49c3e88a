"""The message: its fields, rules and defaults; and the ack that says how far one got."""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from spool import secret_rules, strictjson
from spool.errors import BadMessage, SecretFound, TooLarge

MAX_BYTES: Final = 102_400
LIFETIME_S: Final = 7 * 86_400.0
MAX_HOPS: Final = 8
MAX_ATTACHMENTS: Final = 64

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)",
)

# What a datetime can say; another host's clock may say anything.
_FIRST: Final = -62_135_596_800.0
_LAST: Final = 253_402_300_799.0

Priority = Literal["P0", "P1", "P2", "P3"]


class _Known(msgspec.Struct, rename={"sender": "from"}):
    """The known fields as they may stand in a text, all optional here."""

    id: str | None = None
    timestamp: str | None = None
    sender: str | None = None
    to: str | None = None
    priority: Priority | None = None
    type: str | None = None
    subject: str | None = None
    body: str | None = None
    context: dict[str, Any] | None = None
    citation: str | None = None
    requires_response: bool | None = None
    deadline: str | None = None
    re: str | None = None
    thread: str | None = None
    expires: str | None = None
    attachments: msgspec.Raw = msgspec.Raw()


FIELDS: Final = tuple(_Known.__struct_encode_fields__)
_KNOWN: Final = msgspec.json.Decoder(_Known)
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ATTRIBUTE: Final = {"from": "sender"}
_FIRST_OF_ALL: Final = ("id", "timestamp")
_ENCODE: Final = msgspec.json.Encoder()
# Compiled only when something is wrong.
_AT: Final = r"`\$\.(\w+)"
_EXPECTED: Final = r"Expected `([^`]+)`, got `([^`]+)`"
_WORDS: Final = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class Attachment(msgspec.Struct, frozen=True):
    """A file that travels beside the message: what its sender calls it, and what it is."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


_ATTACHED: Final = msgspec.json.Decoder(
    Annotated[list[Attachment], msgspec.Meta(max_length=MAX_ATTACHMENTS)], strict=True
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it is stored and travels.

    `raw` is the JSON, UTF-8, that every host stores and hands on unchanged; the attributes are
    read from it. `filled` names the fields that its first spool filled in; `digest` is the
    SHA-256 of the rest in RFC 8785 form. `sender` is JSON's `from`. Times are RFC 3339.
    `attachments` is empty as well where a foreign message has something else under that name.
    """

    id: str
    timestamp: str
    sender: str
    to: str
    priority: Priority
    type: str
    subject: str
    body: str
    context: dict[str, Any]
    citation: str
    requires_response: bool
    deadline: str | None
    re: str | None
    thread: str | None
    expires: str | None
    raw: bytes
    filled: tuple[str, ...]
    digest: bytes
    attachments: tuple[Attachment, ...] = ()

    @property
    def extra(self) -> dict[str, msgspec.Raw]:
        """The fields spool does not know, each with the bytes of its value."""
        return {k: v for k, v in _PARTS.decode(self.raw).items() if k not in FIELDS}

    def as_dict(self) -> dict[str, Any]:
        """The whole message as plain values, under its JSON names."""
        whole: dict[str, Any] = msgspec.json.decode(self.raw)
        return whole


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"sender": "from"}):
    """How far message `re` of `to` got, said by `sender`; `at` is in seconds by `host`'s clock."""

    sender: str
    to: str
    re: str
    status: str
    at: float | None = None
    host: str | None = None
    outcome: str | None = None
    note: str | None = None


def seal(
    given: Mapping[str, Any] | bytes,
    *,
    id: str,
    timestamp: str,
    sender: str | None = None,
    max_bytes: int = MAX_BYTES,
    allow_secrets: bool = False,
    thread_of: Callable[[str], str | None] = lambda answered: None,
) -> Message:
    """Make a message of what its origin gave: fill in what is missing, check every rule.

    Args:
        given: JSON names and values, or JSON text as it came (unknown values keep their bytes).
        id, timestamp, sender: used where `given` has none.
        max_bytes: the limit on the encoded message.
        allow_secrets: leave the check for credentials out.
        thread_of: the thread of the message that this one answers, where it is known; used where
            `given` has `re` and no `thread`. Asked for nothing else.

    Raises:
        BadMessage: a field is wrong or missing; `field` names it.
        TooLarge: over `max_bytes`.
        SecretFound: it holds what looks like a credential.
    """
    raw = given if isinstance(given, bytes) else _encode(given)
    if len(raw) > max_bytes:
        raise _too_large(len(raw), max_bytes)
    known = _decode(raw)
    if isinstance(given, bytes):
        # Before anything is filled in: taking the text apart would drop a duplicate key unseen.
        _digest(raw, ())
    defaults: dict[str, Any] = {
        "id": id,
        "timestamp": timestamp,
        "from": sender,
        "priority": "P2",
        "type": "message",
        "subject": "",
        "body": "",
        "citation": f"if://conversation/{known.id or id}",
        "thread": thread_of(known.re) if known.re is not None and known.thread is None else None,
    }
    if not known.subject and not known.body:
        raise BadMessage("subject", "a message needs a subject or a body", hint="give one of them")
    filled = {
        name: value
        for name, value in defaults.items()
        if value is not None and getattr(known, "sender" if name == "from" else name) is None
    }
    if filled:
        raw = _fill(raw, filled) if isinstance(given, bytes) else _encode(_whole(given, filled))
        known = msgspec.structs.replace(known, **{_ATTRIBUTE.get(k, k): v for k, v in filled.items()})
    if len(raw) > max_bytes:
        raise _too_large(len(raw), max_bytes)
    message = _message(known, raw, tuple(filled), _digest_of(given, raw, filled))
    _check(message)
    if not allow_secrets:
        refuse_secrets(message)
    return message


def parse(raw: bytes, *, filled: Collection[str] = (), max_bytes: int = MAX_BYTES) -> Message:
    """Read a whole message that came from elsewhere, checking every rule.

    Raises:
        BadMessage: not strict JSON, or a field is wrong or missing.
        TooLarge: over `max_bytes`.
    """
    if len(raw) > max_bytes:
        raise _too_large(len(raw), max_bytes)
    known = _decode(raw)
    return _read(known, raw, _believed(known, filled))


def _read(known: _Known, raw: bytes, filled: tuple[str, ...]) -> Message:
    message = _message(known, raw, filled, _digest(raw, filled))
    _check(message)
    return message


def _believed(known: _Known, filled: Collection[str]) -> tuple[str, ...]:
    """Those of `filled` that a first spool can have filled in: what does not count in the digest
    must not be able to say anything. So a thread counts, except for the host that filled it in."""
    defaults = {
        "priority": "P2",
        "type": "message",
        "subject": "",
        "body": "",
        "citation": f"if://conversation/{known.id}",
    }
    return tuple(
        name
        for name in dict.fromkeys(filled)
        if name in ("id", "timestamp", "from")
        or (name in defaults and getattr(known, name) == defaults[name])
    )


def load(raw: bytes, *, filled: Collection[str], digest: bytes) -> Message:
    """Read a message back from this host's own store, which checked it when it came."""
    return _message(_KNOWN.decode(raw), raw, tuple(filled), digest)


def refuse_secrets(message: Message) -> None:
    """Raise SecretFound where a text of the message holds what looks like a credential."""
    text = message.raw.decode("utf-8")
    # An escape hides what its reader will see: a \n before a key, a \u0041 within one.
    if "\\" not in text and secret_rules.find(text) is None:
        return
    texts = list(_texts(message.as_dict(), ""))
    if secret_rules.find("\n".join(value for _, value in texts)) is None:
        return
    for place, value in texts:
        if (hit := secret_rules.find(value)) is not None:
            raise SecretFound(
                f"{place}: looks like a credential (rule {hit.rule}, at character {hit.offset})",
                hint="take it out; name the variable or the vault entry that holds it instead",
            )


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text within a value with its place; a name comes before what stands under it."""
    match value:
        case str():
            yield place, value
        case dict():
            for name, inner in value.items():
                yield f"a name in {place or 'the message'}", name
                yield from _texts(inner, f"{place}.{name}" if place else name)
        case list():
            for n, inner in enumerate(value):
                yield from _texts(inner, f"{place}[{n}]")


def parse_time(field: str, value: str) -> float:
    """RFC 3339 to seconds since the epoch.

    Raises:
        BadMessage: not RFC 3339, or without an offset.
    """
    try:
        return _seconds(value)
    except (ValueError, OverflowError) as exc:
        raise BadMessage(
            field,
            f"{value[:40]!r} is not an RFC 3339 time",
            hint="write it like 2025-11-13T11:00:00Z",
        ) from exc


# What is sent together was made at the same time.
@functools.lru_cache(maxsize=64)
def _seconds(value: str) -> float:
    if not _RFC3339.fullmatch(value):
        raise ValueError
    return dt.datetime.fromisoformat(value.upper()).timestamp()


@functools.lru_cache(maxsize=16)
def format_time(seconds: float, *, places: int = 3) -> str:
    """Seconds since the epoch to RFC 3339 in UTC."""
    text = dt.datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), dt.UTC).isoformat(
        timespec="microseconds" if places > 3 else "milliseconds",
    )
    return text.removesuffix("+00:00") + "Z"


def split_address(to: str) -> tuple[str, str | None]:
    """`agent@host` to its parts; the host is None where none is named.

    Raises:
        BadMessage: not an address.
    """
    agent, at, host = to.partition("@")
    if not NAME.fullmatch(agent) or (at and not NAME.fullmatch(host)):
        raise BadMessage("to", f"{to[:80]!r} is not an address", hint="write agent or agent@host")
    return agent, host or None


def _encode(given: Mapping[str, Any]) -> bytes:
    try:
        raw = _ENCODE.encode({k: v for k, v in given.items() if v is not None})
    except (TypeError, UnicodeError, msgspec.MsgspecError, RecursionError) as exc:
        raise BadMessage("message", f"cannot be written as JSON: {exc}") from exc
    # The encoder writes NaN and the infinities as null: what was sent would not be what arrives.
    if b"null" in raw and not _finite(given):
        raise BadMessage("message", "NaN and the infinities cannot be written as JSON")
    return raw


def _finite(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case Mapping():
            return all(map(_finite, value.values()))
        case list() | tuple() | set() | frozenset():
            return all(map(_finite, value))
    return True


def _decode(raw: bytes) -> _Known:
    try:
        return _KNOWN.decode(raw)
    except msgspec.ValidationError as exc:
        at = re.search(_AT, str(exc))
        field = at.group(1) if at else "message"
        problem = in_words(exc)
        if field == "priority":
            problem = "must be P0, P1, P2 or P3"
        raise BadMessage(field, problem) from exc
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise BadMessage("message", f"not JSON: {exc}") from exc
    except RecursionError as exc:
        raise BadMessage("message", f"nested deeper than {strictjson.MAX_DEPTH}") from exc


def in_words(exc: msgspec.ValidationError) -> str:
    """What is wrong with a value, without its place; msgspec's names of types put in plain words."""
    problem = str(exc).split(" - at `$")[0]
    if (types := re.fullmatch(_EXPECTED, problem)) is None:
        return problem
    wanted, got = (_WORDS.get(name.split(" | ")[0], name) for name in types.groups())
    return f"must be {wanted}, is {got}"


def _digest(raw: bytes, leave_out: Collection[str]) -> bytes:
    try:
        return strictjson.digest(raw, leave_out)
    except strictjson.NotStrict as exc:
        raise BadMessage("message", str(exc)) from exc


def _digest_of(given: Mapping[str, Any] | bytes, raw: bytes, filled: Collection[str]) -> bytes:
    """The digest of what was given, of which `raw` was made."""
    if not isinstance(given, bytes):
        parts = {k: v for k, v in given.items() if v is not None}
        # What names and texts are written as can be neither ambiguous nor nested.
        if all(type(v) is type(k) is str and k.isascii() for k, v in parts.items()):
            return strictjson.digest_of_texts(parts)
    return _digest(raw, filled)


def _whole(given: Mapping[str, Any], filled: Mapping[str, Any]) -> dict[str, Any]:
    """In the order that `_fill` has, too."""
    before = {k: v for k, v in filled.items() if k in _FIRST_OF_ALL}
    parts = {k: v for k, v in given.items() if v is not None and k not in filled}
    return {**before, **parts, **{k: v for k, v in filled.items() if k not in before}}


def _fill(raw: bytes, filled: Mapping[str, Any]) -> bytes:
    parts = {k: bytes(v) for k, v in _PARTS.decode(raw).items() if k not in filled}
    before = {k: _ENCODE.encode(v) for k, v in filled.items() if k in _FIRST_OF_ALL}
    after = {k: _ENCODE.encode(v) for k, v in filled.items() if k not in before}
    whole = {**before, **parts, **after}
    return b"{" + b",".join(_ENCODE.encode(k) + b":" + v for k, v in whole.items()) + b"}"


def _message(known: _Known, raw: bytes, filled: tuple[str, ...], digest: bytes) -> Message:
    return Message(
        id=known.id or "",
        timestamp=known.timestamp or "",
        sender=known.sender or "",
        to=known.to or "",
        priority=known.priority or "P2",
        type=known.type or "message",
        subject=known.subject or "",
        body=known.body or "",
        context=known.context or {},
        citation=known.citation or "",
        requires_response=bool(known.requires_response),
        deadline=known.deadline,
        re=known.re,
        thread=known.thread,
        expires=known.expires,
        raw=raw,
        filled=filled,
        digest=digest,
        attachments=_attachments(known.attachments),
    )


def _attachments(raw: msgspec.Raw) -> tuple[Attachment, ...]:
    """What a message names as files that travel with it; nothing where it means something else."""
    if not raw:
        return ()
    try:
        return tuple(_ATTACHED.decode(raw))
    except msgspec.ValidationError:
        return ()


def _check(message: Message) -> None:
    for field, value in (("id", message.id), ("re", message.re), ("thread", message.thread)):
        if value is not None and not ID.fullmatch(value):
            raise BadMessage(
                field,
                f"{value[:80]!r} is not an id",
                hint="an id is 1 to 128 letters, digits, dots, dashes and underscores",
            )
    if not message.sender:
        raise BadMessage("from", "is missing", hint="say who sends it")
    if not NAME.fullmatch(message.sender):
        raise BadMessage("from", f"{message.sender[:80]!r} is not an agent's name")
    if not message.to:
        raise BadMessage("to", "is missing", hint="say who it is for")
    split_address(message.to)
    parse_time("timestamp", message.timestamp)
    if message.deadline is not None:
        parse_time("deadline", message.deadline)
    if message.expires is not None:
        parse_time("expires", message.expires)
    if not message.subject and not message.body:
        raise BadMessage("subject", "a message needs a subject or a body")


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"the message has {size:,} bytes, the limit is {limit:,}")

"""The reader of messages, and of files that scripts leave; what it takes it understands as others do."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import rfc8785

from spool import foreign, jsontext, message, terms
from spool.errors import BadInput, BadMessage, SecretFound, TooLarge
from spool.foreign import FileAck, Found, NotWhole
from spool.message import Message
from tests.fuzz.base import Plain

TIME: Final = "2025-11-13T10:30:45Z"
MAX_BYTES: Final = 16 * 1024
_FILLED: Final = ("id", "from", "priority", "thread", "nonsense")


def target() -> Plain:
    """The value of a text takes some tens of bytes for each of its own, several times over."""
    return Plain(read, most_bytes=MAX_BYTES + 1024, grows=400, fixed=1024 * 1024)


def read(raw: bytes) -> str:
    """From the wire, from an origin, from a file."""
    words = [_wire(raw), _origin(raw), _file(raw)]
    _text(raw)
    return "/".join(words)


def _wire(raw: bytes) -> str:
    try:
        found = message.parse(raw, max_bytes=MAX_BYTES)
    except (BadMessage, TooLarge) as exc:
        return _refused(exc)
    assert found.raw == raw, "another text than what came"
    _is_itself(found)
    # What a peer says was filled in cannot make another message of it.
    other = message.parse(raw, filled=_FILLED, max_bytes=MAX_BYTES)
    assert (other.id, other.sender, other.thread) == (found.id, found.sender, found.thread)
    return "taken"


def _origin(raw: bytes) -> str:
    try:
        found = message.seal(raw, id="made", timestamp=TIME, sender="origin", max_bytes=MAX_BYTES)
    except (BadMessage, TooLarge, SecretFound) as exc:
        return _refused(exc)
    _is_itself(found)
    given, whole = json.loads(raw), found.as_dict()
    assert {k: whole[k] for k in given if k not in found.filled} == {
        k: v for k, v in given.items() if k not in found.filled
    }, "what was given is not what is stored"
    return "taken"


def _file(raw: bytes) -> str:
    file = Found("left.json", raw, 1_763_000_000.0)
    try:
        found = foreign.read(file, max_bytes=MAX_BYTES)
    except NotWhole:
        return "not whole"
    except (BadMessage, TooLarge, SecretFound) as exc:
        _no_beginning_is_whole(raw)
        return _refused(exc)
    _no_beginning_is_whole(raw)
    if isinstance(found, FileAck):
        assert message.ID.fullmatch(found.re)
        return "ack"
    _is_itself(found)
    assert found == foreign.read(file, max_bytes=MAX_BYTES), "another message when it is read again"
    return "taken"


def _no_beginning_is_whole(raw: bytes) -> None:
    """Else a file that still grows would be taken by half."""
    whole = raw.rstrip(b" \t\r\n")
    for size in {len(whole) - 1, len(whole) // 2, len(whole) // 3}:
        try:
            foreign.read(Found("left.json", raw[:size], 0.0), max_bytes=MAX_BYTES)
        except NotWhole:
            continue
        except BadInput as exc:
            raise AssertionError(f"its first {size} bytes are taken for a whole file") from exc
        raise AssertionError(f"its first {size} bytes are a message")


def _is_itself(found: Message) -> None:
    """Written down, read back, passed on: the same; and its digest is what anybody else would make of it."""
    again = message.parse(found.raw, filled=found.filled, max_bytes=MAX_BYTES)
    assert again == found, "another message at the next hop"
    assert message.load(found.raw, filled=found.filled, digest=found.digest) == found
    whole: dict[str, Any] = json.loads(found.raw)
    assert found.as_dict() == whole, "two readers understand it differently"
    said = {name: value for name, value in whole.items() if name not in found.filled}
    assert found.digest == hashlib.sha256(rfc8785.dumps(_doubles(said))).digest(), "another digest"


def _doubles(value: Any) -> Any:
    """Numbers as RFC 8785 counts them."""
    match value:
        case bool():
            return value
        case int() if abs(value) >= 2**53:
            return float(value)
        case dict():
            return {name: _doubles(inner) for name, inner in value.items()}
        case list():
            return [_doubles(inner) for inner in value]
    return value


def _text(raw: bytes) -> None:
    """As words to search for, and as a client's settings: a document or one known error."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return
    try:
        assert terms.parse(text)
    except BadInput as exc:
        assert exc.hint
    try:
        jsontext.parse(text)
    except jsontext.NotJson as exc:
        assert exc.line >= 1 and exc.column >= 1


def _refused(exc: BadMessage | TooLarge | SecretFound) -> str:
    assert exc.message and len(str(exc)) < 1000, "an error that says nothing, or too much"
    return exc.field if isinstance(exc, BadMessage) and exc.field.isascii() else exc.kind

"""A file that a script left, read as a message or an ack; what is missing is filled in from the file."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from spool.errors import BadMessage
from spool.message import ID, Message, format_time, seal

SUFFIX: Final = ".json"
# A longer name would not fit beside what a claim puts before it.
LONGEST_NAME: Final = 150
_STEM: Final = 60
_HASH: Final = 16
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class NotWhole(Exception):
    """Not a whole JSON object: it may still be growing, or it never was one."""


class Found(NamedTuple):
    """A file as it was found: its name, its bytes, when it was last written by the clock there, in
    seconds since the epoch, and its size, where `raw` is only its beginning."""

    name: str
    raw: bytes
    mtime: float
    size: int = 0


class FileAck(NamedTuple):
    """An ack as a script writes it. Who says it and to whom is not believed: only `re` counts."""

    re: str
    status: str
    outcome: str | None = None
    note: str | None = None


def read(found: Found, *, max_bytes: int, copy: int = 0) -> Message | FileAck:
    """Read a file as what it is.

    A message without an id gets one made of the file's name and bytes: the same file, found again,
    is the same message. One without a time gets the file's.

    Args:
        copy: counts the times this very file was written anew on purpose; it changes a made id.

    Raises:
        NotWhole: no JSON object yet.
        BadMessage, TooLarge, SecretFound: it is one, and cannot be taken.
    """
    fields = _fields(found.raw)
    if "re" in fields and "status" in fields and not fields.get("subject") and not fields.get("body"):
        return _ack(fields)
    made = id_of(found, copy=copy)
    return seal(found.raw, id=made, timestamp=format_time(found.mtime), max_bytes=max_bytes)


def id_of(found: Found, *, copy: int = 0) -> str:
    """The id of a file that names none: readable, safe in a shell, and told by its name and bytes."""
    name = short_name(found.name)
    import hashlib

    told = hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0" + found.raw)
    if copy:
        told.update(b"\0%d" % copy)
    stem = _UNSAFE.sub("-", name.removesuffix(SUFFIX))[:_STEM].strip(".-_") or "file"
    return f"{stem}-{told.hexdigest()[:_HASH]}"


def short_name(name: str) -> str:
    """A name that has room for more around it: itself, or what stands for one that is too long."""
    if len(name.encode("utf-8", "surrogateescape")) <= LONGEST_NAME:
        return name
    import hashlib

    told = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"long-{told[:32]}{SUFFIX}"


def plain_name(name: str) -> str:
    """A name that can be kept as text: others choose its bytes, and not all of those are UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError as exc:
        raise NotWhole("JSON, but no object") from exc
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise NotWhole(f"not JSON: {exc}") from exc
    except RecursionError as exc:
        raise NotWhole("nested too deep") from exc


def _ack(fields: dict[str, Any]) -> FileAck:
    texts = {}
    for name in ("re", "status", "outcome", "note"):
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise BadMessage(name, "must be text")
        texts[name] = value
    if not ID.fullmatch(texts["re"] or ""):
        raise BadMessage("re", f"{str(texts['re'])[:80]!r} is not an id")
    return FileAck(texts["re"] or "", texts["status"] or "", texts["outcome"], texts["note"])

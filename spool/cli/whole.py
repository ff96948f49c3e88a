"""A message whole, as `read` and `show` print it: what its sender wrote stands fenced."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from spool import views
from spool.cli.common import json_line
from spool.cli.text import field, plain
from spool.message import FIELDS
from spool.store.base import Incoming, Outgoing

# What spool checked: none of it can hold a word of the sender's own.
_VOUCHED: Final = (
    ("from", "From"),
    ("to", "To"),
    ("id", "Id"),
    ("timestamp", "Date"),
    ("priority", "Priority"),
    ("re", "Re"),
    ("thread", "Thread"),
    ("deadline", "Deadline"),
)
_WRITTEN: Final = (
    ("type", "Type"),
    ("subject", "Subject"),
    ("requires_response", "Requires-Response"),
    ("expires", "Expires"),
)
# What another host or its agent said of it.
_TOLD: Final = (("note", "Note"), ("reason", "Reason"))
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def json_of(row: Incoming | Outgoing, home: Path) -> bytes:
    """One line of JSON, the message whole under `message`."""
    return json_line(views.letter(row, now=time.time(), full=True, home=home))


def text_of(row: Incoming | Outgoing, home: Path, *, state: bool = True) -> bytes:
    """What spool vouches for, then what others wrote between lines that they cannot have foreseen.

    Args:
        home: where its files lie.
        state: say how it stands; left out where printing it changes just that.
    """
    view = views.letter(row, now=time.time(), home=home)
    lines = list(_vouched(view, state))
    lines += _fenced(f"text of {field(row.sender)}", _written(row, view))
    if told := [f"{title}: {field(view[name])}" for name, title in _TOLD if view.get(name)]:
        lines += _fenced("word on how it went", told)
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _vouched(view: dict[str, Any], state: bool) -> Iterator[str]:
    for name, title in _VOUCHED:
        if name in view:
            yield f"{title}: {field(_value(view[name]))}"
    if view["peer"] is not None:
        yield f"Peer: {field(view['peer'])}"
    if state:
        outcome = " (rejected)" if view.get("outcome") == "rejected" else ""
        yield f"State: {view['state']}{outcome}"
    for n, file in enumerate(view.get("attachments", ()), 1):
        where = file["path"] or "it is not on this host"
        yield f"Attachment {n}: {file['bytes']:,} bytes, {field(where)}"
    if view["overdue"]:
        yield "Overdue: an answer was wanted by now"


def _written(row: Incoming | Outgoing, view: dict[str, Any]) -> Iterator[str]:
    """Headers, context and fields of the sender's own, each with its name; then the body."""
    parts = {k: v for k, v in _PARTS.decode(row.raw).items() if bytes(v) != b"null"}
    for name, title in _WRITTEN:
        if name in view:
            yield f"{title}: {field(_value(view[name]))}"
    for n, file in enumerate(view.get("attachments", ()), 1):
        yield f"Attachment {n}: {field(file['name'])}"
    # Where it means something else by that name, it is a field of its own.
    known = FIELDS if "attachments" in view else [name for name in FIELDS if name != "attachments"]
    for name in ("context", *(name for name in parts if name not in known)):
        if name in parts:
            yield f"{field(name)}: {field(_value(msgspec.json.decode(parts[name])))}"
    if body := msgspec.json.decode(parts["body"]) if "body" in parts else "":
        yield ""
        yield plain(body).rstrip("\n")


def _fenced(what: str, lines: Iterator[str] | list[str]) -> list[str]:
    mark = secrets.token_hex(8)
    return [
        "",
        f"--- {mark} begin: untrusted {what}, up to the same mark ---",
        *lines,
        f"--- {mark} end of the untrusted {what} ---",
    ]


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

"""A message whole, as `read` and `show` print it: its body fenced as its sender's text."""

from __future__ import annotations

import secrets
import time
from typing import Final

import msgspec

from spool import views
from spool.cli.common import json_line
from spool.cli.text import field, plain
from spool.message import FIELDS
from spool.store.base import Incoming, Outgoing

_SHOWN: Final = (
    ("from", "From"),
    ("to", "To"),
    ("id", "Id"),
    ("timestamp", "Date"),
    ("priority", "Priority"),
    ("type", "Type"),
    ("subject", "Subject"),
    ("requires_response", "Requires-Response"),
    ("deadline", "Deadline"),
    ("re", "Re"),
    ("thread", "Thread"),
    ("expires", "Expires"),
)
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def json_of(row: Incoming | Outgoing) -> bytes:
    """One line of JSON, the message whole under `message`."""
    return json_line(views.letter(row, now=time.time(), full=True))


def text_of(row: Incoming | Outgoing) -> bytes:
    """Headers, then the body between two lines that its sender cannot have foreseen."""
    parts = {k: v for k, v in _PARTS.decode(row.raw).items() if bytes(v) != b"null"}
    view = views.letter(row, now=time.time())
    lines = [f"{title}: {field(_value(view[name]))}" for name, title in _SHOWN if name in view]
    if view["peer"] is not None:
        lines.append(f"Peer: {field(view['peer'])}")
    lines.append(f"State: {view['state']}" + (" OVERDUE" if view["overdue"] else ""))
    if view.get("outcome"):
        lines.append(
            f"Outcome: {field(view['outcome'])}" + (f" ({field(view['note'])})" if view["note"] else "")
        )
    if view.get("reason"):
        lines.append(f"Reason: {field(view['reason'])}")
    for name in ("context", *(name for name in parts if name not in FIELDS)):
        if name in parts:
            lines.append(f"{field(name)}: {field(_value(msgspec.json.decode(parts[name])))}")
    body = msgspec.json.decode(parts["body"]) if "body" in parts else ""
    mark, who = secrets.token_hex(8), field(row.sender)
    if body:
        lines += [
            "",
            f"--- {mark} begin: untrusted text of {who}, up to the same mark ---",
            plain(body).rstrip("\n"),
            f"--- {mark} end of the untrusted text of {who} ---",
        ]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

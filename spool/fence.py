"""The fence: what others wrote stands between two lines that they cannot have foreseen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from spool.message import FIELDS
from spool.plain import field, plain
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
# The tags in which clients hand their own words to a model. Other tags are left: mail is full of code.
_TAGS: Final = re.compile(
    r"<(?=\s*/?\s*(?:system(?:-[\w-]+)?|antml:\w+|function_(?:calls?|results?)|tool_(?:use\w*|calls?|results?)"
    r"|invoke|local-command-\w+|command-(?:name|message|args)|user-prompt-submit-hook|task-notification"
    r"|cross-session-message|channel)(?=[\s>/]))",
    re.IGNORECASE,
)


def fenced(what: str, lines: Iterable[str]) -> list[str]:
    """Lines of `what` between two lines with a random mark."""
    import secrets

    mark = secrets.token_hex(8)
    return [
        "",
        f"--- {mark} begin: untrusted {what}, up to the same mark ---",
        *map(tamed, lines),
        f"--- {mark} end of the untrusted {what} ---",
    ]


def tamed(text: str) -> str:
    r"""The same text, in which no tag can pass for one of the client's own: its `<` is written as \u2039."""
    return _TAGS.sub("\u2039", text)


def vouched(view: dict[str, Any], state: bool) -> Iterator[str]:
    """What spool knows of a message, a header a line.

    Args:
        view: from `views.letter`.
        state: say how it stands; left out where showing it changes just that.
    """
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


def written(row: Incoming | Outgoing, view: dict[str, Any]) -> Iterator[str]:
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


def told(view: dict[str, Any]) -> list[str]:
    """What others said of how it went, a line each; empty where nobody did."""
    return [f"{title}: {field(view[name])}" for name, title in _TOLD if view.get(name)]


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

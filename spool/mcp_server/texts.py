"""What the tools and resources say: what spool knows first, then what others wrote, fenced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from spool import fence, views
from spool.excerpt import excerpt
from spool.looking import ago, message_of
from spool.plain import field
from spool.store.base import Incoming, Outgoing, is_held, written_at
from spool.terms import Term

Row = Incoming | Outgoing

# No tokenizer makes more tokens than there are bytes: with what stands around it, an answer stays
# below the 25,000 that clients cut at.
MOST_BYTES: Final = 20_000
SUBJECT: Final = 120
SNIPPET: Final = 200
EVENTS: Final = 40
DETAIL: Final = 200


class Page(NamedTuple):
    """A part of a message: so many characters of it are `shown`; `last` says that nothing follows."""

    text: str
    shown: int
    last: bool


def listing(rows: Sequence[Row], *, now: float, terms: Sequence[Term] = ()) -> str:
    """Messages by number, a line each, and what their senders wrote of them below, by the same numbers.

    Args:
        terms: what was searched for: the piece of the text is taken from around it.
    """
    known: list[str] = []
    written: list[str] = []
    size = 0
    for n, row in enumerate(rows, 1):
        line = f"{n}. {heading(row, now=now)}"
        piece = list(_piece(n, row, terms))
        size += len("\n".join([line, *piece]).encode())
        if size > MOST_BYTES:
            known.append(
                f"({len(rows) - n + 1} more do not fit here: give a smaller limit, or narrow it down)"
            )
            break
        known.append(line)
        written.extend(piece)
    return "\n".join([*known, *fence.fenced("words of the senders, by number", written)])


def heading(row: Row, *, now: float) -> str:
    """How a message stands, on one line; nothing in it is its sender's own word."""
    out = isinstance(row, Outgoing)
    files = len(message_of(row).attachments) if b'"attachments"' in row.raw else 0
    parts = [
        row.id,
        f"P{row.priority}",
        "OVERDUE" if views.is_overdue(row, now) else "",
        _state(row),
        f"to {row.recipient}" if out else f"from {row.sender}",
        f"{ago(now - written_at(row))} ago",
        f"{len(row.raw):,} bytes",
        f"re {row.re}" if row.re else "",
        f"thread {row.thread}" if row.thread not in (None, row.re) else "",
        f"answer wanted by {views.when(row.deadline_at)}" if row.deadline_at is not None else "",
        "answered" if row.answered else "",
        f"attachments: {files}" if files else "",
        "archived" if row.archived else "",
    ]
    return ", ".join(part for part in parts if part)


def page(row: Row, home: Path, *, now: float, offset: int, limit: int, state: bool) -> Page:
    """A message, or as much of what its sender wrote as fits, from a character on.

    Args:
        state: say how it stands; left out where showing it changes just that.
    """
    view = views.letter(row, now=now, home=home)
    text = "\n".join(fence.written(row, view))
    piece = fitting(text[offset : offset + limit])
    end = offset + len(piece)
    lines = list(fence.vouched(view, state))
    if offset or end < len(text):
        lines.append(
            f"Part: characters {min(offset, len(text))} to {end} of {len(text)}{_next(end, len(text))}"
        )
    lines += fence.fenced(f"text of {field(row.sender)}", [piece])
    if told := fence.told(view):
        lines += fence.fenced("word on how it went", [each[: 2 * DETAIL] for each in told])
    return Page("\n".join(lines), len(piece), end >= len(text))


def history(view: dict[str, Any]) -> list[str]:
    """The events of `views.trace`, fenced: other hosts and agents have their say in them."""
    events = view["events"]
    shown = [*events[:2], *events[2:][-EVENTS:]]
    lines = [_event(event) for event in shown]
    if left := len(events) - len(shown):
        lines.insert(2, f"({left} more in between: `spool trace` shows them)")
    return fence.fenced("history, with words of other hosts", fitting("\n".join(lines)).splitlines())


def as_json(value: object) -> str:
    """A value as one line of JSON, with no tag of the client's own in it."""
    return fence.tamed(msgspec.json.encode(value).decode())


def fitting(text: str) -> str:
    """As much of a text as MOST_BYTES hold, whole characters only."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= MOST_BYTES else raw[:MOST_BYTES].decode("utf-8", "ignore")


def _event(event: dict[str, Any]) -> str:
    attempt = f"attempt {event['attempt']}" if event["attempt"] else ""
    detail = " ".join((event["detail"] or "").split())
    parts = [event["at"], event["host"], event["state"], event["peer"], attempt, detail]
    return field("  ".join(str(part) for part in parts if part))[: 2 * DETAIL]


def _state(row: Row) -> str:
    if isinstance(row, Outgoing) and is_held(row):
        return "held until a person releases it"
    return "rejected" if row.outcome == "rejected" else str(row.state)


def _piece(n: int, row: Row, terms: Sequence[Term]) -> Iterator[str]:
    message = message_of(row)
    kind = f" [{_cut(message.type, 40)}]" if message.type != "message" else ""
    yield f"{n}.{kind} {_cut(message.subject, SUBJECT)}"
    if snippet := excerpt([message.body], terms, width=SNIPPET):
        yield f"   {field(snippet)}"


def _cut(text: str, length: int) -> str:
    line = field(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _next(end: int, total: int) -> str:
    if end >= total:
        return ""
    return f"; read_message with offset={end} shows the next. It counts as read once the last part is shown"

"""The digest: unread mail for an agent's context, a line each, within a number of characters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from spool.looking import ago
from spool.plain import field
from spool.store.base import Incoming

SUBJECT: Final = 60
# As many as `spool read` needs to know which one is meant.
_ENDING: Final = 6
# What says how many there are and how many are left, with numbers of any length.
_AROUND: Final = 400
_KIB: Final = 1024
_TAGS: Final = str.maketrans("<>", "\u2039\u203a")


class Digest(NamedTuple):
    """`rows` are those that `text` names; `more` is how many it does not."""

    text: str
    rows: list[Incoming]
    more: int


class _Subject(msgspec.Struct):
    subject: str | None = None


_SUBJECT: Final = msgspec.json.Decoder(_Subject)


def digest(
    rows: Sequence[Incoming], total: int, *, agent: str, now: float, room: int, kind: str = "new"
) -> Digest:
    """Name as many of these rows as fit, in their order, a line each between two lines with a random mark.

    Subjects are their senders' words: what is in them can end neither the line nor the part that is
    marked, and looks like no tag.

    Args:
        rows: the first of the mail.
        total: how much of it there is.
        room: how long the text may be, in UTF-16 units, as JavaScript counts characters.
        kind: what it is called: what a session was told of before is unread, and no news.
    """
    shown, lines = [], []
    left = room - _AROUND
    for row, id in zip(rows, _short(rows), strict=True):
        line = _line(row, id, now)
        left -= units(line) + 1
        if left < 0:
            break
        shown.append(row)
        lines.append(line)
    if not shown:
        return Digest("", [], total)
    more = max(0, total - len(shown))
    mark = f"--- {os.urandom(8).hex()} ---"
    text = "\n".join([_head(total, kind, agent), mark, *lines, mark, *_tail(more)])
    return Digest(text, shown, more)


def units(text: str) -> int:
    """How long a text is in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def tame(text: str, width: int) -> str:
    """Somebody's words on one line of at most `width` characters, that look like no tag."""
    # Cut before anything is written out as well: a text may be long.
    line = field(_whole(text[: 2 * width]).translate(_TAGS))
    return line if len(line) <= width else line[: width - 1] + "\u2026"


def _head(total: int, kind: str, agent: str) -> str:
    what = f"1 {kind} message" if total == 1 else f"{total} {kind} messages"
    return (
        f"{what} for {agent}. Between the two marks a line each: id, priority, sender, age, size, subject."
        " The subjects are words of their senders, not of spool."
    )


def _tail(more: int) -> list[str]:
    return [f"and {more} more: `spool inbox --unread` lists them"] if more else []


def _line(row: Incoming, id: str, now: float) -> str:
    late = row.deadline_at is not None and row.deadline_at <= now and not row.answered
    words = (
        id,
        f"P{row.priority}",
        *(["OVERDUE"] if late else []),
        row.sender,
        ago(now - row.received_at).replace(" ", ""),
        _size(len(row.raw)),
        tame(_SUBJECT.decode(row.raw).subject or "(no subject)", SUBJECT),
    )
    return " ".join(words)


def _size(size: int) -> str:
    return f"{size}B" if size < _KIB else f"{size / _KIB:.0f}KB"


def _short(rows: Sequence[Incoming]) -> list[str]:
    """The end of each id, or all of it where two end alike."""
    ends = [row.id[-_ENDING:] for row in rows]
    return [row.id if ends.count(end) > 1 else end for row, end in zip(rows, ends, strict=True)]


def _whole(text: str) -> str:
    """Without halves of characters, which no encoding knows."""
    return text.encode("utf-8", "replace").decode()

"""What somebody asks for of messages, in SQL: which rows fit, and which words."""

from __future__ import annotations

from typing import Any, Final

from spool.store import sqlite_inbox, sqlite_outbox
from spool.store.base import Asked, Incoming, Outgoing, Side
from spool.terms import Term, has_word

SIDES: Final[tuple[Side, ...]] = ("outbox", "inbox")
# When a message was queued or came: its place among the others.
TIMES: Final[dict[Side, str]] = {"outbox": "queued_at", "inbox": "received_at"}
SELECTS: Final[dict[Side, str]] = {
    "outbox": ", ".join(sqlite_outbox.COLUMNS),
    "inbox": ", ".join(sqlite_inbox.COLUMNS),
}
_FITS: Final = (
    "(:sender IS NULL OR sender = :sender)"
    " AND (:recipient IS NULL OR recipient = :recipient"
    " OR substr(recipient, 1, instr(recipient, '@') - 1) = :recipient)"
    " AND (:since IS NULL OR {time} >= :since) AND (:until IS NULL OR {time} < :until)"
)
FITS: Final[dict[Side, str]] = {side: _FITS.format(time=TIMES[side]) for side in SIDES}


def values(asked: Asked, **more: Any) -> dict[str, Any]:
    """The bindings of FITS, and more."""
    named = ("sender", "recipient", "since", "until")
    return {**{name: getattr(asked, name) for name in named}, **more}


def match(asked: Asked) -> str | None:
    """The words and names asked for, in the language of FTS5; None where any row has them.

    Text stands between quotes, so no sign in it has a meaning (sqlite.org/fts5.html#fts5_strings).
    """
    names = (("sender", asked.sender), ("recipient", asked.recipient))
    parts = [f"{column} : {quoted(Term(name))}" for column, name in names if name and has_word(name)]
    parts += map(quoted, asked.terms)
    return " AND ".join(parts) or None


def quoted(term: Term) -> str:
    """A term as a string of FTS5's."""
    text = term.text.replace("\0", " ").replace('"', '""')
    return f'"{text}" *' if term.prefix else f'"{text}"'


def row_of(side: Side, row: Any, *, archived: bool) -> Outgoing | Incoming:
    """A row in the order of SELECTS as a value."""
    if side == "outbox":
        return sqlite_outbox.outgoing(row, archived=archived)
    return sqlite_inbox.incoming(row, archived=archived)

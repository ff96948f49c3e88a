"""What was found, and what is handed out of the archive, as plain dicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from spool import views
from spool.excerpt import excerpt
from spool.history import Record
from spool.looking import message_of
from spool.message import Message
from spool.store.base import Incoming, Outgoing
from spool.terms import Term


def found(row: Outgoing | Incoming, terms: Sequence[Term], *, now: float) -> dict[str, Any]:
    """A message that was searched for: its headers, where it stands, and a piece of its text."""
    return {**past(row, now=now), "excerpt": excerpt_of(message_of(row), terms)}


def past(row: Outgoing | Incoming, *, now: float) -> dict[str, Any]:
    """A message's headers and where it stands."""
    return {**views.letter(row, now=now), "where": where(row), "archived": row.archived}


def where(row: Outgoing | Incoming) -> str:
    """Whether it was sent from here or came."""
    return "outbox" if isinstance(row, Outgoing) else "inbox"


def excerpt_of(message: Message, terms: Sequence[Term]) -> str:
    """A piece of the body; of what else was said in it where the words stand only there."""
    more = [msgspec.json.encode(part).decode() for part in (message.context, message.extra) if part]
    return excerpt([message.body, *more], terms)


def record(kept: Record, *, here: str, now: float) -> dict[str, Any]:
    """An archived message whole, with its history and who acknowledged it."""
    row = kept.row
    return {
        **views.letter(row, now=now, full=True),
        "where": where(row),
        "archived": row.archived,
        "events": views.history(row, kept.told, here),
        "acks": _acks_here(row, here) if isinstance(row, Incoming) else _acks_there(row, here),
    }


def _acks_here(row: Incoming, here: str) -> list[dict[str, Any]]:
    """What the agent of this host said of a message that came."""
    read_at = None if views.implied(row) else row.read_at
    said = [("read", read_at, None), (row.outcome or "done", row.done_at, row.note)]
    return [_ack(status, row.agent, here, at, at, note) for status, at, note in said if at is not None]


def _acks_there(row: Outgoing, here: str) -> list[dict[str, Any]]:
    """What was told of a message that was sent: by its last host, then by the agent it was for."""
    agent = row.recipient.partition("@")[0]
    read_at = None if views.implied(row) else row.read_at
    said = [
        ("received", None, row.received_there, row.received_at, None),
        ("read", agent, row.read_there, read_at, None),
        (row.outcome or "done", agent, row.done_there, row.done_at, row.note),
    ]
    host = row.far_host or (here if row.peer == "" else None)
    return [_ack(status, by, host, at, known, note) for status, by, at, known, note in said if known]


def _ack(
    status: str, by: str | None, host: str | None, at: float | None, known: float, note: str | None
) -> dict[str, Any]:
    """`at` is by the clock of the host that told it, None where it told none; `known_at` by this host's."""
    times = {"at": views.when(at), "known_at": views.when(known)}
    return {"status": status, "by": by, "host": host, **times, "note": note}

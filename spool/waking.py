"""Waking: what an idle session is told so that it looks at its mail, once for each message."""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from spool import log, resting
from spool.attending import ANY, TOLD
from spool.digest import digest, units
from spool.store.base import Session, Store

# As many as a digest can name; the rest is told at the turns of the session, which then works.
_FIRST: Final = 250
_LOGGED: Final = 20


class Wake(NamedTuple):
    """One way to wake a session: `text` is what it is told, `mark` the line of it by which that is known
    again, `seqs` and `ids` the mail that it names."""

    session: Session
    text: str
    mark: str
    seqs: tuple[int, ...]
    ids: tuple[str, ...]


def draft(store: Store, id: str, *, now: float, room: int) -> Wake | None:
    """What to wake a session with; None where there is nothing new for it, or it may not be woken now.

    Args:
        room: how long the text may be, in UTF-16 units.
    """
    with store.read() as tx:
        session = tx.sessions.get(id)
        if session is None or session.ended_at is not None or not resting.may_be_woken(session, now=now):
            return None
        rows = tx.sessions.news(session, ways=ANY, limit=_FIRST)
        total = len(rows) if len(rows) < _FIRST else tx.sessions.count_news(session, ways=ANY)
    # With a number that nobody can guess, so that no other text passes for it.
    mark = f"spool woke this session ({os.urandom(8).hex()}): mail came while it was idle."
    tail = "\n`spool read ID` prints a message and marks it read."
    told = digest(rows, total, agent=session.agent, now=now, room=room - units(mark) - units(tail) - 1)
    if not told.rows:
        return None
    seqs, ids = tuple(row.seq for row in told.rows), tuple(row.id for row in told.rows)
    return Wake(session, f"{mark}\n{told.text}{tail}", mark, seqs, ids)


def claim(store: Store, wake: Wake, *, now: float) -> bool:
    """Have it to oneself: nobody else wakes this session for this mail; False where somebody did, or it
    works by now.

    Lost after this, by a crash or by the other end, the wake-up is not made up for: the mail is unread,
    and the next turn of the session tells of it.
    """
    with store.write(sync=False) as tx:
        session = tx.sessions.get(wake.session.id)
        if session is None or session.ended_at is not None or not resting.may_be_woken(session, now=now):
            return False
        left = {row.seq for row in tx.sessions.news(session, ways=ANY, limit=_FIRST)}
        if left.isdisjoint(wake.seqs):
            return False
        tx.sessions.announce(session.id, wake.seqs, "woken", now=now)
        tx.sessions.update(session.id, woken_at=now, wake_text=wake.mark)
    return True


def is_wanted(store: Store, wake: Wake, *, now: float) -> bool:
    """Whether what was claimed, and did not come through, is worth another try: the session still waits,
    and has mail of this that is unread."""
    with store.read() as tx:
        session = tx.sessions.get(wake.session.id)
        if session is None or session.ended_at is not None or session.wake_text != wake.mark:
            return False
        news = {row.seq for row in tx.sessions.news(session, ways=TOLD, limit=_FIRST)}
    return resting.is_idle(session, now=now) and not news.isdisjoint(wake.seqs)


def woken(wake: Wake, how: str, **more: Any) -> None:
    """Log that a session was woken, as far as the one who did it can know."""
    log.info("session.woken", how=how, **_what(wake), **more)


def failed(wake: Wake, how: str, error: str, **more: Any) -> None:
    """Log that a session could not be woken, and why."""
    log.warning("session.wake_failed", how=how, error=error, **_what(wake), **more)


def _what(wake: Wake) -> dict[str, Any]:
    return {
        "session": wake.session.id,
        "agent": wake.session.agent,
        "ids": wake.ids[:_LOGGED],
        "count": len(wake.ids),
    }

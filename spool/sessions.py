"""Sessions: which of them live, and when one is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from spool import living
from spool.store.base import Session, Store

# A session without a process is taken for live as long as a person may be away from it.
UNSEEN_S: Final = 12 * 3600.0
KEEP_S: Final = 86_400.0
BATCH: Final = 200


def lives(session: Session, *, now: float) -> bool:
    """Whether a session goes on: its process runs, or, where none is known, it was seen of late."""
    if session.ended_at is not None:
        return False
    if session.pid is None or session.born is None:
        return now - session.seen_at < UNSEEN_S
    return living.runs(session.pid, session.born)


def same_process(one: Session, other: Session) -> bool:
    """Whether both are of one process, as far as that is known of both."""
    return one.pid is not None and one.born is not None and (one.pid, one.born) == (other.pid, other.born)


def same_reader(one: Session, other: Session) -> bool:
    """Whether two sessions are one: hooks and MCP server of a client are started by one process."""
    return one.id == other.id or same_process(one, other)


def readers(found: Iterable[Session]) -> list[Session]:
    """Of several sessions that are one reader, the first; in their order."""
    one_each: dict[object, Session] = {}
    for session in found:
        whole = session.pid is not None and session.born is not None
        one_each.setdefault((session.pid, session.born) if whole else session.id, session)
    return list(one_each.values())


def count(opened: Iterable[Session], *, now: float) -> dict[str, int]:
    """How many readers each agent has that live; several sessions of one process are one."""
    readers: dict[str, set[object]] = {}
    for session in opened:
        if lives(session, now=now):
            one = session.id if session.pid is None else (session.pid, session.born)
            readers.setdefault(session.agent, set()).add(one)
    return {agent: len(found) for agent, found in readers.items()}


def forget_old(store: Store, *, now: float) -> int:
    """Remove sessions that ended, or whose process is gone, and that nobody saw for a day; how many."""
    with store.read() as tx:
        old = tx.sessions.unseen(before=now - KEEP_S, limit=BATCH)
    gone = [session.id for session in old if not lives(session, now=now)]
    if gone:
        with store.write(sync=False) as tx:
            tx.sessions.forget(gone)
    return len(gone)

"""A glance at a session and its news, for hooks that run at every turn of it: apsw and nothing else.

Importing the store takes longer than such a hook may take where there is nothing to tell.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, NamedTuple, Self

import apsw

from spool.store.schema import SCHEMA

# Unread by agent ?1, at least as urgent as ?3, and session ?2 was not told of it in one of the ways.
NEWS: Final = (
    "FROM inbox INDEXED BY inbox_open WHERE agent = ?1 AND state IN ('unread', 'read')"
    " AND state = 'unread' AND priority <= ?3"
    " AND NOT EXISTS (SELECT 1 FROM announced"
    "  WHERE session = ?2 AND announced.inbox = inbox.seq AND how IN ({ways}))"
)
# The least urgent of those that may keep a session from stopping.
URGENT: Final = 1
# That a session is there is written down no more often.
SEEN_EVERY_S: Final = 60.0
_TOLD: Final = NEWS.format(ways="'continued', 'told'")
_ANY: Final = NEWS.format(ways="'continued', 'told', 'woken'")
_CONTINUED: Final = NEWS.format(ways="'continued'")
_WAIT_MS: Final = 1000


class Seen(NamedTuple):
    """How a session stands: `news` is the most urgent priority of what it was not told of, `pressing` of
    what it did not go on for; None without any. Times in seconds since the epoch."""

    seen_at: float
    told_at: float | None
    busy: bool
    wake_text: str | None
    news: int | None
    pressing: int | None


class Rest(NamedTuple):
    """How a session rests: its process, whether it works, when it was seen and woken last, and whether there
    is news that it was told of in no way at all. Times in seconds since the epoch."""

    pid: int | None
    born: str | None
    busy: bool
    seen_at: float
    woken_at: float | None
    news: bool


class Glance:
    """One look, in a transaction that may write; as a context, it is committed at the end, unsynced.

    Args:
        path: of spool.db.
        session: an open session or not.

    Raises:
        apsw.Error: the database is not there, busy, of another version.
    """

    def __init__(self, path: str, session: str) -> None:
        self._session = session
        self._db = apsw.Connection(path, apsw.SQLITE_OPEN_READWRITE)
        self._db.set_busy_timeout(_WAIT_MS)
        # The last to close would write the log back into the file, synced.
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db.execute("PRAGMA synchronous=NORMAL")

    def __enter__(self) -> Self:
        self._db.execute("BEGIN")
        if self._db.execute("PRAGMA user_version").get != SCHEMA:
            self._db.close(True)
            raise apsw.Error("another version of spool made this database")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        self._db.close()

    def seen(self) -> Seen | None:
        """How the session stands; None where it is not open."""
        row = self._db.execute(
            "SELECT agent, seen_at, told_at, busy, wake_text FROM sessions WHERE id = ? AND ended_at IS NULL",
            (self._session,),
        ).fetchone()
        if row is None:
            return None
        agent, seen_at, told_at, busy, wake_text = row
        news = self._most_urgent(_TOLD, agent, 3)
        return Seen(
            seen_at, told_at, bool(busy), wake_text, news, self._most_urgent(_CONTINUED, agent, URGENT)
        )

    def rest(self) -> Rest | None:
        """How the session rests; None where it is not open."""
        row = self._db.execute(
            "SELECT agent, pid, born, busy, seen_at, woken_at FROM sessions"
            " WHERE id = ? AND ended_at IS NULL",
            (self._session,),
        ).fetchone()
        if row is None:
            return None
        agent, pid, born, busy, seen_at, woken_at = row
        news = self._most_urgent(_ANY, agent, 3) is not None
        return Rest(pid, born, bool(busy), seen_at, woken_at, news)

    def note(self, *, now: float, busy: bool, prompted: bool) -> None:
        """It is there, and works or waits; `prompted`: its person has just written to it."""
        self._db.execute(
            "UPDATE sessions SET seen_at = ?1, busy = ?2, prompted_at = iif(?3, ?1, prompted_at)"
            " WHERE id = ?4",
            (now, busy, prompted, self._session),
        )

    def leave(self, *, now: float) -> None:
        """It has ended."""
        self._db.execute(
            "UPDATE sessions SET seen_at = ?1, ended_at = ?1, busy = 0, wake = NULL WHERE id = ?2",
            (now, self._session),
        )

    def _most_urgent(self, news: str, agent: str, least: int) -> int | None:
        found = self._db.execute(
            f"SELECT priority {news} ORDER BY priority LIMIT 1", (agent, self._session, least)
        ).get
        assert found is None or isinstance(found, int)
        return found

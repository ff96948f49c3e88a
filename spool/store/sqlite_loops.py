"""Turns in threads, and what is held since an agent took too many, in SQLite."""

from __future__ import annotations

from typing import Final

from spool.store import sqlite_outbox
from spool.store.base import HELD_TYPE, Hold, Outgoing
from spool.store.sqlite_rows import Db

_OUT: Final = ", ".join(sqlite_outbox.COLUMNS)
_HELD: Final = "outbox INDEXED BY outbox_held WHERE state = 'queued' AND due IS NULL"

_THREAD: Final = " UNION ALL ".join(
    f"SELECT ifnull(thread, id) FROM {table} WHERE id = ?1"
    for table in ("inbox", "outbox", "inbox_archive", "outbox_archive")
)

# Short statements, of which two do mostly: SQLite takes three times as long over one that says it all.
_LAST: Final = "SELECT max(came) FROM turns WHERE agent = ? AND thread = ?"
_IN_THREAD: Final = """
SELECT seq, type FROM inbox INDEXED BY inbox_thread
WHERE thread = ? AND agent = ? AND seq > ? ORDER BY seq DESC LIMIT 2"""
_BY_ID: Final = " UNION ALL ".join(
    f"SELECT seq, type FROM {table} WHERE id IN (?1, ?2) AND agent = ?3 AND seq > ?4"
    for table in ("inbox", "inbox_archive")
)


class SqliteLoops:
    """See `LoopRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def thread_of(self, id: str) -> str | None:
        row = self._db.execute(f"{_THREAD} LIMIT 1", (id,)).fetchone()
        return row[0] if row else None

    def came(self, agent: str, thread: str, *, re: str | None) -> int | None:
        (last,) = self._db.execute(_LAST, (agent, thread)).fetchone()
        found = self._db.execute(_IN_THREAD, (thread, agent, last or 0)).fetchall()
        if not found and (last is None or re is not None):
            found = self._db.execute(_BY_ID, (thread, re or thread, agent, last or 0)).fetchall()
        if not found or (len(found) == 1 and found[0][1] == HELD_TYPE):
            return None
        return int(max(seq for seq, _ in found))

    def turn(self, agent: str, thread: str, *, came: int, now: float, forget_before: float) -> None:
        self._db.execute(
            "DELETE FROM turns WHERE agent = ? AND thread = ? AND at < ?", (agent, thread, forget_before)
        )
        self._db.execute(
            "INSERT INTO turns (agent, thread, came, at) VALUES (?, ?, ?, ?)", (agent, thread, came, now)
        )

    def turns(self, agent: str, thread: str, *, since: float, until: float) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM turns WHERE agent = ? AND thread = ? AND at > ? AND at <= ?",
            (agent, thread, since, until),
        ).fetchone()
        return int(row[0])

    def hold(self, hold: Hold) -> None:
        self._db.execute(
            "INSERT INTO holds (agent, thread, other, turns, since) VALUES (?, ?, ?, ?, ?)", hold
        )

    def standing(self, agent: str, thread: str) -> Hold | None:
        row = self._db.execute(
            "SELECT agent, thread, other, turns, since FROM holds WHERE agent = ? AND thread = ?",
            (agent, thread),
        ).fetchone()
        return Hold(*row) if row else None

    def holds(self) -> list[Hold]:
        rows = self._db.execute(
            "SELECT agent, thread, other, turns, since FROM holds ORDER BY since, thread, agent"
        ).fetchall()
        return [Hold(*row) for row in rows]

    def end(self, agent: str, thread: str) -> bool:
        self._db.execute("DELETE FROM holds WHERE agent = ? AND thread = ?", (agent, thread))
        ended = self._db.changes() > 0
        # Not removed: what they answered has been answered, and makes no turn again.
        self._db.execute("UPDATE turns SET at = 0 WHERE agent = ? AND thread = ?", (agent, thread))
        return ended

    def keep(self, seq: int, *, reason: str) -> None:
        self._db.execute(
            "UPDATE outbox SET due = NULL, reason = ? WHERE seq = ? AND state = 'queued'", (reason, seq)
        )

    def carry(self, seq: int, *, now: float) -> None:
        self._db.execute(
            "UPDATE outbox SET due = ?, reason = NULL WHERE seq = ? AND state = 'queued' AND due IS NULL",
            (now, seq),
        )

    def held(self, agent: str, thread: str) -> list[Outgoing]:
        rows = self._db.execute(
            f"SELECT {_OUT} FROM {_HELD} AND sender = ? AND thread = ? ORDER BY seq", (agent, thread)
        ).fetchall()
        return [sqlite_outbox.outgoing(row) for row in rows]

    def count(self) -> int:
        row = self._db.execute(f"SELECT count(*) FROM {_HELD}").fetchone()
        return int(row[0])

    def forget(self, *, before: float) -> int:
        self._db.execute("DELETE FROM turns WHERE at < ?", (before,))
        return self._db.changes()

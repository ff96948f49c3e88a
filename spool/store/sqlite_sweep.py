"""What the sweep and the archive look for, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spool.store import sqlite_inbox, sqlite_outbox
from spool.store.base import Incoming, Moved, Outgoing
from spool.store.sqlite_archive import SqliteMoves
from spool.store.sqlite_rows import Db

# A lease or a due time further ahead was written by a clock that has jumped since.
LONGEST_LEASE_S: Final = 3600.0
# A sent message is given up a day past its lifetime, if the next hop was asked since and had a minute
# to say better: that hop ends it at its own lifetime, and its word may be on its way.
SILENCE_S: Final = 86_400.0
ANSWER_S: Final = 60.0
_LEASED: Final = ("outbox", "inbox", "acks")
_STUCK: Final = "SELECT count(*) AS n FROM {} WHERE lease_until > ?1"
# One class for each `after_s` waited, counted from the class the sender asked for.
_CLASS: Final = "max(0, priority - CAST((?1 - queued_at) / ?2 AS INTEGER))"
_AGED: Final = f"due IS NOT NULL AND class > 0 AND queued_at <= ?1 - ?2 AND class > {_CLASS}"
_OUT: Final = ", ".join(sqlite_outbox.COLUMNS)
_IN: Final = ", ".join(sqlite_inbox.COLUMNS)


class SqliteSweepings:
    """See `Sweepings`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection
        self._moves = SqliteMoves(connection)

    def expired(self, *, now: float, limit: int) -> list[Outgoing]:
        rows = self._db.execute(
            f"SELECT {_OUT} FROM outbox WHERE due IS NOT NULL AND expires_at <= ?1"
            f" AND (lease_until <= ?1 OR lease_until > ?1 + ?3) ORDER BY expires_at LIMIT ?2",
            (now, limit, LONGEST_LEASE_S),
        ).fetchall()
        silent = self._db.execute(
            f"SELECT {_OUT} FROM outbox INDEXED BY outbox_open WHERE state = 'sent' AND due IS NULL"
            " AND expires_at <= ?1 - ?3 AND asked_at >= expires_at AND asked_at <= ?1 - ?4 LIMIT ?2",
            (now, limit, SILENCE_S, ANSWER_S),
        ).fetchall()
        held = self._db.execute(
            f"SELECT {_OUT} FROM outbox INDEXED BY outbox_held WHERE state = 'queued' AND due IS NULL"
            " AND expires_at <= ? LIMIT ?",
            (now, limit),
        ).fetchall()
        return [sqlite_outbox.outgoing(row) for row in (*rows, *silent, *held)]

    def overdue(self, *, now: float) -> tuple[list[Outgoing], list[Incoming]]:
        late = "deadline_at IS NOT NULL AND overdue = 0 AND answered = 0 AND deadline_at <= ?"
        out = self._db.execute(
            f"UPDATE outbox SET overdue = 1 WHERE {late} AND state NOT IN ('done', 'dead') RETURNING {_OUT}",
            (now,),
        ).fetchall()
        inn = self._db.execute(
            f"UPDATE inbox SET overdue = 1 WHERE {late} AND state IN ('unread', 'read') RETURNING {_IN}",
            (now,),
        ).fetchall()
        return [sqlite_outbox.outgoing(row) for row in out], [sqlite_inbox.incoming(row) for row in inn]

    def aged(self, *, now: float, after_s: float) -> list[int]:
        found = self._db.execute(f"SELECT seq FROM outbox WHERE {_AGED}", (now, after_s)).fetchall()
        return [seq for (seq,) in found]

    def promote(self, seqs: Sequence[int], *, now: float, after_s: float) -> int:
        before = self._db.total_changes()
        self._db.executemany(
            f"UPDATE outbox SET class = {_CLASS} WHERE {_AGED} AND seq = ?3",
            [(now, after_s, seq) for seq in seqs],
        )
        return self._db.total_changes() - before

    def due(self, peer: str, *, now: float) -> bool:
        free = (
            "(lease_until <= ?2 OR lease_until > ?2 + ?3"
            " OR lease >> 32 <> (SELECT generation FROM peers WHERE name = ?1))"
        )
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_due WHERE peer = ?1"
            f"  AND due IS NOT NULL AND (due <= ?2 OR due > ?2 + ?3) AND expires_at > ?2 AND {free}"
            "  AND NOT EXISTS (SELECT 1 FROM attached INDEXED BY attached_missing"
            "   WHERE attached.outbox = outbox.seq AND there = 0))"
            f" OR EXISTS (SELECT 1 FROM acks WHERE peer = ?1 AND {free})",
            (peer, now, LONGEST_LEASE_S),
        ).fetchone()
        return bool(row and row[0])

    def due_peers(self, *, now: float) -> list[str]:
        linked = self._db.execute("SELECT name FROM peers WHERE state = 'linked'").fetchall()
        return [name for (name,) in linked if self.due(name, now=now)]

    def stuck(self, *, now: float) -> int:
        (count,) = self._db.execute(
            "SELECT sum(n) FROM (" + " UNION ALL ".join(_STUCK.format(table) for table in _LEASED) + ")",
            (now + LONGEST_LEASE_S,),
        ).fetchone()
        return int(count)

    def free_stuck(self, *, now: float) -> None:
        for table in _LEASED:
            self._db.execute(
                f"UPDATE {table} SET lease_until = 0 WHERE lease_until > ?", (now + LONGEST_LEASE_S,)
            )

    def archived(self) -> int:
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM outbox_archive) + (SELECT count(*) FROM inbox_archive)"
        ).fetchone()
        return int(row[0])

    def silent(self, peer: str, *, before: float, now: float, limit: int) -> list[Outgoing]:
        rows = self._db.execute(
            "UPDATE outbox SET asked_at = ?1 WHERE seq IN (SELECT seq FROM outbox WHERE peer = ?2"
            " AND state = 'sent' AND due IS NULL AND sent_at <= ?3 AND ifnull(asked_at, 0) <= ?3"
            f" ORDER BY sent_at LIMIT ?4) RETURNING {_OUT}",
            (now, peer, before, limit),
        ).fetchall()
        return [sqlite_outbox.outgoing(row) for row in rows]

    def archive(self, *, before: float, stale_before: float, limit: int) -> Moved:
        return self._moves.move(before=before, stale_before=stale_before, limit=limit)

    def tidy(self) -> bool:
        return self._moves.tidy()

    def forget_seen(self, *, before: float, limit: int) -> int:
        self._db.execute(
            "DELETE FROM seen WHERE (sender, id) IN (SELECT sender, id FROM seen WHERE at < ? LIMIT ?)",
            (before, limit),
        )
        return self._db.changes()

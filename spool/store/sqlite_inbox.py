"""The inbox in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from spool.states import Held
from spool.store.base import Exists, Incoming, NewIncoming, Unread
from spool.store.sqlite_rows import Db

COLUMNS: Final = Incoming.__struct_fields__[:-1]
_SELECT: Final = ", ".join(COLUMNS)
_LIST: Final = msgspec.json.Decoder(list[str])


class SqliteInbox:
    """See `InboxRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def put(self, row: NewIncoming) -> int:
        found = self._db.execute(
            "INSERT INTO inbox (id, sender, recipient, agent, peer, type, priority, received_at,"
            " deadline_at, hops, re, thread, filled, digest, raw, state)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 'unread'"
            " WHERE NOT EXISTS (SELECT 1 FROM inbox_archive WHERE id = ?1 AND sender = ?2)"
            " ON CONFLICT DO NOTHING RETURNING seq",
            row,
        ).fetchone()
        if found is None:
            raise Exists(row.id)
        return int(found[0])

    def take(self, agent: str, *, now: float, until: float, lease: int) -> Incoming | None:
        found = self._db.execute(
            "UPDATE inbox SET lease = ?1, lease_until = ?2, attempts = attempts + 1 WHERE seq = ("
            " SELECT seq FROM inbox WHERE agent = ?3 AND state IN ('unread', 'read')"
            " AND (lease_until <= ?4 OR lease_until > ?4 + 3600) ORDER BY priority, seq LIMIT 1)"
            f" RETURNING {_SELECT}",
            (lease, until, agent, now),
        ).fetchall()
        return incoming(found[0]) if found else None

    def renew(self, seq: int, lease: int, *, until: float) -> bool:
        self._db.execute(
            "UPDATE inbox SET lease_until = ? WHERE seq = ? AND lease = ? AND lease_until > 0",
            (until, seq, lease),
        )
        return self._db.changes() > 0

    def give_back(self, seq: int, lease: int) -> bool:
        self._db.execute(
            "UPDATE inbox SET lease_until = 0 WHERE seq = ? AND lease = ? AND lease_until > 0", (seq, lease)
        )
        return self._db.changes() > 0

    def mark_read(self, seq: int, *, now: float) -> bool:
        self._db.execute(
            "UPDATE inbox SET state = 'read', read_at = ? WHERE seq = ? AND state = 'unread'", (now, seq)
        )
        return self._db.changes() > 0

    def finish(
        self, seq: int, *, now: float, outcome: str, note: str | None, lease: int | None = None
    ) -> bool:
        self._db.execute(
            "UPDATE inbox SET state = 'done', done_at = ?1, read_at = ifnull(read_at, ?1), outcome = ?2,"
            " note = ?3, lease_until = 0 WHERE seq = ?4 AND state IN ('unread', 'read')"
            " AND (?5 IS NULL OR (lease = ?5 AND lease_until > 0))",
            (now, outcome, note, seq, lease),
        )
        return self._db.changes() > 0

    def answered(self, id: str, agent: str) -> None:
        self._db.execute(
            "UPDATE inbox SET answered = 1, overdue = 0, kept = 0 WHERE id = ? AND agent = ?", (id, agent)
        )

    def exact(self, id: str, sender: str) -> Incoming | None:
        found = self._rows("WHERE id = ? AND sender = ?", (id, sender))
        return found[0] if found else None

    def find(self, prefix: str, *, agent: str | None = None, limit: int = 5) -> list[Incoming]:
        return self._rows(
            "WHERE id >= ?1 AND id < ?1 || x'f48fbfbf' AND (?2 IS NULL OR agent = ?2) ORDER BY id LIMIT ?3",
            (prefix, agent, limit),
        )

    def ending(self, suffix: str, *, agent: str | None = None, limit: int = 5) -> list[Incoming]:
        # Not LIKE: an id may hold the _ that stands for any letter there.
        return self._rows(
            "WHERE substr(id, -length(?1)) = ?1 AND (?2 IS NULL OR agent = ?2) ORDER BY seq DESC LIMIT ?3",
            (suffix, agent, limit),
            tables=("inbox",),
        )

    def open(
        self,
        agent: str | None,
        *,
        unread_only: bool = False,
        sender: str | None = None,
        re: str | None = None,
        thread: str | None = None,
        since: float | None = None,
        priority: int | None = None,
        limit: int = 1000,
    ) -> list[Incoming]:
        return self._rows(
            "WHERE (?1 IS NULL OR agent = ?1) AND state IN ('unread', 'read')"
            " AND (state = 'unread' OR NOT ?2) AND (?3 IS NULL OR sender = ?3) AND (?4 IS NULL OR re = ?4)"
            " AND (?5 IS NULL OR thread = ?5) AND (?6 IS NULL OR received_at >= ?6)"
            " AND (?7 IS NULL OR priority <= ?7) ORDER BY overdue DESC, priority, seq LIMIT ?8",
            (agent, unread_only, sender, re, thread, since, priority, limit),
            tables=("inbox",),
        )

    def answers(self, id: str, agent: str) -> list[Incoming]:
        found = self._rows("WHERE re = ? AND agent = ?", (id, agent))
        return sorted(found, key=lambda row: row.seq)

    def counts(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT state, count(*) FROM inbox GROUP BY state").fetchall())

    def unread(self, agent: str) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM inbox WHERE agent = ? AND state = 'unread'", (agent,)
        ).fetchone()
        return int(row[0])

    def newest(self) -> int:
        return int(self._db.execute("SELECT ifnull(max(seq), 0) FROM inbox").fetchone()[0])

    def unread_beyond(self, seq: int, agent: str, *, limit: int) -> list[Incoming]:
        return self._rows(
            "INDEXED BY inbox_unread WHERE agent = ? AND state = 'unread' AND seq > ? ORDER BY seq LIMIT ?",
            (agent, seq, limit),
            tables=("inbox",),
        )

    def late(self, *, now: float) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM inbox WHERE deadline_at <= ? AND answered = 0"
            " AND state IN ('unread', 'read')",
            (now,),
        ).fetchone()
        return int(row[0])

    def oldest_unread(self) -> float | None:
        row = self._db.execute("SELECT min(received_at) FROM inbox WHERE state = 'unread'").fetchone()
        return row[0] if row else None

    def unread_each(self, agent: str | None = None) -> list[Unread]:
        rows = self._db.execute(
            "SELECT agent, count(*), min(received_at) FROM inbox INDEXED BY inbox_unread"
            f" WHERE state = 'unread'{'' if agent is None else ' AND agent = ?'} GROUP BY agent",
            () if agent is None else (agent,),
        ).fetchall()
        return [Unread(*row) for row in rows]

    def _rows(
        self,
        where: str,
        values: tuple[Any, ...],
        *,
        tables: tuple[str, ...] = ("inbox", "inbox_archive"),
    ) -> list[Incoming]:
        return [
            incoming(row, archived=table != "inbox")
            for table in tables
            for row in self._db.execute(f"SELECT {_SELECT} FROM {table} {where}", values).fetchall()
        ]


def incoming(row: Sequence[Any], *, archived: bool = False) -> Incoming:
    """A row in the order of COLUMNS as a value."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["state"] = Held(values["state"])
    values["overdue"] = bool(values["overdue"])
    values["answered"] = bool(values["answered"])
    values["hops"] = _LIST.decode(values["hops"])
    values["filled"] = _LIST.decode(values["filled"])
    return Incoming(**values, archived=archived)

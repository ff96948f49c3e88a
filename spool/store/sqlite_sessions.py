"""Sessions in SQLite: who reads here, and what each was told of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from spool.store import sqlite_inbox
from spool.store.base import How, Incoming, Session
from spool.store.glance import NEWS
from spool.store.sqlite_rows import Db

COLUMNS: Final = Session.__struct_fields__
_SELECT: Final = ", ".join(COLUMNS)
_INBOX: Final = ", ".join(sqlite_inbox.COLUMNS)


class SqliteSessions:
    """See `SessionRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def put(self, session: Session) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        self._db.execute(
            f"INSERT OR REPLACE INTO sessions ({_SELECT}) VALUES ({marks})",
            tuple(getattr(session, name) for name in COLUMNS),
        )

    def update(self, id: str, **values: Any) -> bool:
        unknown = set(values) - set(COLUMNS)
        if unknown:
            raise ValueError(f"a session has no {', '.join(sorted(unknown))}")
        setting = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE sessions SET {setting} WHERE id = ?", (*values.values(), id))
        return self._db.changes() > 0

    def get(self, id: str) -> Session | None:
        found = self._rows("WHERE id = ?", (id,))
        return found[0] if found else None

    def open(self, agent: str | None = None) -> list[Session]:
        if agent is None:
            return self._rows("WHERE ended_at IS NULL ORDER BY since, id", ())
        return self._rows("WHERE ended_at IS NULL AND agent = ? ORDER BY since, id", (agent,))

    def of_pid(self, pid: int) -> list[Session]:
        return self._rows("WHERE ended_at IS NULL AND pid = ? ORDER BY since DESC, id", (pid,))

    def unseen(self, *, before: float, limit: int) -> list[Session]:
        return self._rows("WHERE seen_at <= ? ORDER BY seen_at LIMIT ?", (before, limit))

    def news(
        self, session: Session, *, ways: Collection[How], priority: int = 3, limit: int
    ) -> list[Incoming]:
        rows = self._db.execute(
            f"SELECT {_INBOX} {_news(ways)} ORDER BY priority, seq LIMIT ?4",
            (session.agent, session.id, priority, limit),
        ).fetchall()
        return [sqlite_inbox.incoming(row) for row in rows]

    def count_news(self, session: Session, *, ways: Collection[How], priority: int = 3) -> int:
        row = self._db.execute(
            f"SELECT count(*) {_news(ways)}", (session.agent, session.id, priority)
        ).fetchone()
        return int(row[0])

    def announce(self, id: str, seqs: Iterable[int], how: How, *, now: float) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO announced (session, inbox, how, at) VALUES (?, ?, ?, ?)",
            [(id, seq, how, now) for seq in seqs],
        )

    def hear(self, id: str, *, woken_at: float, now: float) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO announced (session, inbox, how, at) SELECT session, inbox, 'told', ?"
            " FROM announced WHERE session = ? AND how = 'woken' AND at = ?",
            (now, id, woken_at),
        )

    def announce_up_to(self, session: Session, seq: int, *, now: float) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO announced (session, inbox, how, at) SELECT ?, seq, 'told', ?"
            " FROM inbox WHERE agent = ? AND state = 'unread' AND seq <= ?",
            (session.id, now, session.agent, seq),
        )

    def forget_told(self, id: str) -> None:
        self._db.execute("DELETE FROM announced WHERE session = ? AND how <> 'continued'", (id,))

    def forget(self, ids: Sequence[str]) -> None:
        self._db.executemany("DELETE FROM sessions WHERE id = ?", [(id,) for id in ids])
        # What is archived is never news again.
        self._db.execute(
            "DELETE FROM announced WHERE session NOT IN (SELECT id FROM sessions)"
            " OR NOT EXISTS (SELECT 1 FROM inbox WHERE seq = announced.inbox)"
        )

    def _rows(self, where: str, values: tuple[Any, ...]) -> list[Session]:
        found = self._db.execute(f"SELECT {_SELECT} FROM sessions {where}", values).fetchall()
        return [_session(row) for row in found]


def _news(ways: Collection[How]) -> str:
    return NEWS.format(ways=", ".join(f"'{how}'" for how in sorted(ways)))


def _session(row: Sequence[Any]) -> Session:
    values = dict(zip(COLUMNS, row, strict=True))
    return Session(**{**values, "busy": bool(values["busy"])})

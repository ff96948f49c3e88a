"""Dedup records, events, quarantine, push tasks and single facts, in SQLite."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from spool.store.base import Event, Quarantined, Seen
from spool.store.sqlite_rows import Db

QUEUE: Final = "spool"
PUSH: Final = "workers.tasks.push"
# Of one peer; what is beyond is refused and logged, and its bytes are not kept.
QUARANTINE_ROWS: Final = 500


def push_task(peer: str) -> bytes:
    """The push task of a peer as Huey's serializer writes it; the same bytes each time.

    The fields are those of huey.registry.Message, in order; tests/contract holds it against Huey.
    """
    task: tuple[Any, ...] = (f"push:{peer}", PUSH, None, 0, 0, None, (peer,), {}, *((None,) * 6), 0)
    return msgspec.json.encode(task)


class SqliteLedger:
    """See `Ledger`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def seen(self, sender: str, id: str) -> Seen | None:
        row = self._db.execute(
            "SELECT digest, at, final FROM seen WHERE sender = ? AND id = ?", (sender, id)
        ).fetchone()
        return Seen(row[0], row[1], bool(row[2])) if row else None

    def remember(self, sender: str, id: str, record: Seen) -> None:
        self._db.execute(
            "INSERT INTO seen (sender, id, digest, at, final) VALUES (?, ?, ?, ?, ?)",
            (sender, id, record.digest, record.at, record.final),
        )

    def event(self, event: Event) -> None:
        self._db.execute(
            "INSERT INTO events (id, sender, at, host, peer, state, what, attempt, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            event,
        )

    def events(self, id: str, sender: str) -> list[Event]:
        rows = self._db.execute(
            "SELECT id, sender, at, host, peer, state, what, attempt, detail FROM events"
            " WHERE id = ? AND sender = ? ORDER BY n",
            (id, sender),
        ).fetchall()
        return [Event(*row) for row in rows]

    def quarantine(self, *, at: float, peer: str | None, name: str | None, reason: str, raw: bytes) -> bool:
        import hashlib

        digest = hashlib.sha256(raw).digest()
        self._db.execute(
            "INSERT INTO quarantine (at, peer, name, reason, digest, raw) SELECT ?1, ?2, ?3, ?4, ?5, ?6"
            " WHERE ?2 IS NULL OR (SELECT count(*) FROM quarantine WHERE ifnull(peer, '') = ?2) < ?7"
            " ON CONFLICT DO NOTHING",
            (at, peer, name, reason, digest, raw, QUARANTINE_ROWS),
        )
        if self._db.changes() > 0:
            return True
        found = self._db.execute(
            "SELECT 1 FROM quarantine WHERE ifnull(peer, '') = ifnull(?, '') AND digest = ? AND reason = ?",
            (peer, digest, reason),
        )
        return found.fetchone() is not None

    def quarantined(self, n: int | None = None) -> list[Quarantined]:
        rows = self._db.execute(
            "SELECT n, at, peer, name, reason, raw FROM quarantine WHERE ?1 IS NULL OR n = ?1 ORDER BY n",
            (n,),
        ).fetchall()
        return [Quarantined(*row) for row in rows]

    def count_quarantined(self) -> int:
        row = self._db.execute("SELECT count(*) FROM quarantine").fetchone()
        return int(row[0])

    def drop_quarantined(self, n: int) -> bool:
        self._db.execute("DELETE FROM quarantine WHERE n = ?", (n,))
        return self._db.changes() > 0

    def ring(self, peer: str) -> bool:
        self._db.execute(
            "INSERT INTO task (queue, data, priority) VALUES (?, ?, 1) ON CONFLICT DO NOTHING",
            (QUEUE, push_task(peer)),
        )
        return self._db.changes() > 0

    def has_task(self, peer: str) -> bool:
        found = self._db.execute("SELECT 1 FROM task WHERE queue = ? AND data = ?", (QUEUE, push_task(peer)))
        return found.fetchone() is not None

    def rung(self, peer: str) -> bool:
        self._db.execute("DELETE FROM task WHERE queue = ? AND data = ?", (QUEUE, push_task(peer)))
        return self._db.changes() > 0

    def fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_fact(self, name: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (name, value),
        )

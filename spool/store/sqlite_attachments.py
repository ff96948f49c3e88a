"""Which messages need which files, and what of them lies in the home, in SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from spool.message import Attachment
from spool.store import sqlite_outbox
from spool.store.base import Outgoing, Shipment
from spool.store.sqlite_rows import Db

# A due time further ahead was written by a clock that has jumped since.
_LONGEST_S: Final = 3600.0
# From the few files that are missing to their messages, not through everything that waits.
_DUE: Final = """
SELECT a.sha256, max(a.bytes) FROM attached AS a INDEXED BY attached_peer
CROSS JOIN outbox AS o ON o.seq = a.outbox
WHERE a.peer = ?1 AND a.there = 0 AND o.due IS NOT NULL
  AND (o.due <= ?2 OR o.due > ?2 + ?3) AND o.expires_at > ?2
GROUP BY a.sha256 ORDER BY min(o.class), min(o.place) LIMIT ?4"""

_WAITING: Final = """
SELECT {columns} FROM outbox WHERE due IS NOT NULL AND seq IN
  (SELECT outbox FROM attached WHERE peer = ? AND sha256 = ? AND there = 0)""".format(
    columns=", ".join(sqlite_outbox.COLUMNS)
)

# What was sent to an agent of this host stands in the inbox alone.
_SHOWN: Final = """
SELECT EXISTS (SELECT 1 FROM enclosed AS e JOIN inbox AS i ON i.seq = e.inbox
               WHERE e.sha256 = ?1 AND (i.agent = ?2 OR (i.sender = ?2 AND i.peer IS NULL)))
    OR EXISTS (SELECT 1 FROM attached AS a JOIN outbox AS o ON o.seq = a.outbox
               WHERE a.sha256 = ?1 AND o.sender = ?2 AND o.origin IS NULL)"""

# Whole files and those on their way are told apart by the length of their names.
_UNNEEDED: Final = """
SELECT name FROM attachments AS f
WHERE (length(name) <> 64 AND at <= ?2) OR (length(name) = 64 AND at <= ?1
  AND NOT EXISTS (SELECT 1 FROM attached AS a JOIN outbox AS o ON o.seq = a.outbox
                  WHERE a.sha256 = f.name AND (o.state IN ('queued', 'sent') OR o.due IS NOT NULL))
  AND NOT EXISTS (SELECT 1 FROM enclosed AS e JOIN inbox AS i ON i.seq = e.inbox WHERE e.sha256 = f.name))
LIMIT ?3"""


# What must be here for mail that is still to go, or still to be dealt with.
NEEDED: Final = """
SELECT a.sha256 FROM attached AS a JOIN outbox AS o ON o.seq = a.outbox
WHERE o.state IN ('queued', 'sent') OR o.due IS NOT NULL
UNION SELECT e.sha256 FROM enclosed AS e JOIN inbox AS i ON i.seq = e.inbox ORDER BY 1"""


class SqliteAttachments:
    """See `AttachmentRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def attach(self, seq: int, peer: str, files: Sequence[Attachment]) -> None:
        # Nearly every message has none.
        if not files:
            return
        self._db.executemany(
            "INSERT INTO attached (outbox, sha256, bytes, peer) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(seq, file.sha256, file.bytes, peer) for file in files],
        )

    def enclose(self, seq: int, files: Sequence[Attachment]) -> None:
        if not files:
            return
        self._db.executemany(
            "INSERT INTO enclosed (inbox, sha256) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(seq, file.sha256) for file in files],
        )

    def attached(self, seq: int) -> list[Shipment]:
        rows = self._db.execute(
            "SELECT sha256, bytes, there, got FROM attached WHERE outbox = ? ORDER BY sha256", (seq,)
        ).fetchall()
        return [Shipment(sha256, size, bool(there), got) for sha256, size, there, got in rows]

    def due(self, peer: str, *, now: float, limit: int) -> list[Shipment]:
        rows = self._db.execute(_DUE, (peer, now, _LONGEST_S, limit)).fetchall()
        return [Shipment(sha256, size, False, 0) for sha256, size in rows]

    def waiting(self, peer: str, sha256: str) -> list[Outgoing]:
        rows = self._db.execute(_WAITING, (peer, sha256)).fetchall()
        return [sqlite_outbox.outgoing(row) for row in rows]

    def arrived(self, peer: str, sha256: str) -> None:
        self._db.execute(
            "UPDATE attached SET there = 1, got = bytes WHERE peer = ? AND sha256 = ? AND there = 0",
            (peer, sha256),
        )

    def got(self, peer: str, sha256: str, size: int) -> None:
        self._db.execute(
            "UPDATE attached SET got = min(?, bytes) WHERE peer = ? AND sha256 = ? AND there = 0",
            (size, peer, sha256),
        )

    def damaged(self, peer: str, sha256: str) -> int:
        rows = self._db.execute(
            "UPDATE attached SET wrong = wrong + 1, got = 0 WHERE peer = ? AND sha256 = ? AND there = 0"
            " RETURNING wrong",
            (peer, sha256),
        ).fetchall()
        return max((wrong for (wrong,) in rows), default=0)

    def lost(self, seqs: Iterable[int]) -> None:
        self._db.executemany(
            "UPDATE attached SET there = 0, got = 0, wrong = 0 WHERE outbox = ?", [(seq,) for seq in seqs]
        )

    def used(self, peer: str | None = None, *, least: int = 0) -> int:
        row = self._db.execute(
            "SELECT ifnull(sum(max(bytes, ?1)), 0) FROM attachments WHERE ?2 IS NULL OR peer = ?2",
            (least, peer),
        ).fetchone()
        return int(row[0])

    def reserved(self, name: str) -> int | None:
        row = self._db.execute("SELECT bytes FROM attachments WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def reserve(self, name: str, *, peer: str, size: int, now: float) -> None:
        self._db.execute(
            "INSERT INTO attachments (name, peer, bytes, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET bytes = excluded.bytes, at = excluded.at",
            (name, peer, size, now),
        )

    def wanted(self, name: str, *, now: float) -> None:
        self._db.execute("UPDATE attachments SET at = ? WHERE name = ?", (now, name))

    def wanted_all(self, *, now: float) -> None:
        self._db.execute("UPDATE attachments SET at = ? WHERE length(name) = 64 AND at < ?", (now, now))

    def free(self, name: str) -> None:
        self._db.execute("DELETE FROM attachments WHERE name = ?", (name,))

    def names(self) -> set[str]:
        return {name for (name,) in self._db.execute("SELECT name FROM attachments").fetchall()}

    def shown_to(self, sha256: str, agent: str) -> bool:
        return bool(self._db.execute(_SHOWN, (sha256, agent)).fetchone()[0])

    def unneeded(self, *, whole_before: float, part_before: float, limit: int) -> list[str]:
        rows = self._db.execute(_UNNEEDED, (whole_before, part_before, limit)).fetchall()
        return [name for (name,) in rows]

    def forget(self) -> None:
        self._db.execute("DELETE FROM attached WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE seq = outbox)")
        self._db.execute("DELETE FROM enclosed WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE seq = inbox)")

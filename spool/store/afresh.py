"""A database that was put back from a backup: what it must not believe, and not give again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from spool.store.sqlite import connect, translated

# More than a host counts up between a backup and its restore: what others, or an old process, still
# remember of the numbers that were given meanwhile fits none that is given from here on.
JUMP: Final = 1_000_000
# Names this restore; peers hear of it and look whether mail of theirs is still here.
RESTORED: Final = "restored"
_COUNTED: Final = ("outbox", "inbox", "acks")

_EVENT: Final = """
INSERT INTO events (id, sender, at, host, peer, state, what, attempt, detail)
  SELECT id, sender, ?1, ?2, NULL, state, 'restored', NULL, ?3 FROM outbox WHERE state NOT IN ('done', 'dead')
  UNION ALL
  SELECT id, sender, ?1, ?2, NULL, 'received', 'restored', NULL, ?3 FROM inbox
    WHERE state IN ('unread', 'read')
    AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.id = inbox.id AND o.sender = inbox.sender)"""


class Counts(NamedTuple):
    """What stands in a database that was put back."""

    queued: int
    on_its_way: int
    unread: int
    read: int


def begin(path: Path, *, now: float, host: str, token: str, told: str, files: Collection[str]) -> Counts:
    """Make a restored spool.db fit to live on, in one synced transaction, and leave it as one file.

    Args:
        token: of this restore, never used before.
        told: for the history of each message that is live.
        files: the attachments that are here whole.
    """
    with translated(path):
        connection = connect(path, synchronous="FULL")
        try:
            with connection:
                _count_on(connection)
                _let_go(connection)
                _count_files(connection, files)
                connection.execute(_EVENT, (now, host, told))
                connection.execute(
                    "INSERT INTO facts (name, value) VALUES (?, ?)"
                    " ON CONFLICT DO UPDATE SET value = excluded.value",
                    (RESTORED, token),
                )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return _counts(connection)
        finally:
            connection.close()


def _count_on(db: apsw.Connection) -> None:
    for table in _COUNTED:
        found = db.execute("SELECT 1 FROM sqlite_sequence WHERE name = ?", (table,)).get
        if found is None:
            # Nothing was ever put there, as far as the backup knows.
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, 0)", (table,))
        db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (JUMP, table))
    db.execute("UPDATE peers SET generation = generation + ?", (JUMP,))


def _let_go(db: apsw.Connection) -> None:
    """Whoever held a link or a message held it in another life of this home."""
    for table in _COUNTED:
        db.execute(f"UPDATE {table} SET lease = 0, lease_until = 0 WHERE lease <> 0 OR lease_until <> 0")
    db.execute("UPDATE outbox SET asked_at = NULL WHERE asked_at IS NOT NULL")
    db.execute(
        "UPDATE peers SET holder = NULL, holder_until = 0, retry_at = NULL,"
        " state = CASE state WHEN 'stopped' THEN state ELSE 'waiting' END"
    )


def _count_files(db: apsw.Connection, files: Collection[str]) -> None:
    """Parts do not travel, and files that no live message needed did not either."""
    known = [name for (name,) in db.execute("SELECT name FROM attachments").fetchall()]
    db.executemany("DELETE FROM attachments WHERE name = ?", [(name,) for name in known if name not in files])


def _counts(db: apsw.Connection) -> Counts:
    row = db.execute(
        "SELECT (SELECT count(*) FROM outbox WHERE state = 'queued'),"
        " (SELECT count(*) FROM outbox WHERE state IN ('sent', 'received', 'read')"
        " AND peer <> ''),"
        " (SELECT count(*) FROM inbox WHERE state = 'unread'),"
        " (SELECT count(*) FROM inbox WHERE state = 'read')"
    ).fetchone()
    assert row is not None
    return Counts(*(int(value) for value in row))

"""Moving what is past into the archive of the same file, with its words."""

from __future__ import annotations

from typing import Final

from spool.store.base import Moved, Side
from spool.store.sqlite_asked import SIDES
from spool.store.sqlite_live import COLUMNS
from spool.store.sqlite_rows import Db

# Of the index, rewritten at once at the most; more than a batch of the archive adds to it.
_PAGES: Final = 32
# The answer it asked for has not come, and may still do so.
_WANTS: Final = (
    "(answered = 0 AND outcome IS NOT 'rejected' AND (deadline_at IS NOT NULL"
    " OR iif(json_valid(CAST(raw AS TEXT)), CAST(raw AS TEXT) ->> '$.requires_response', 0) IS 1))"
)
# What is relayed is answered past this host, unseen.
_ASKED: Final = f"(origin IS NULL AND {_WANTS})"
# The second is for what nobody ever says done to. Rows stand in the order in which they were queued, so
# only the oldest are looked at: an index on a state that every message passes would cost each of them.
_PAST: Final[dict[Side, tuple[str, ...]]] = {
    "outbox": (
        f"SELECT seq, state <> 'dead' AND {_ASKED} FROM outbox"
        " WHERE ended_at IS NOT NULL AND ended_at <= :before AND kept = 0 LIMIT :limit",
        "SELECT seq, 0 FROM outbox"
        " WHERE seq < ifnull((SELECT seq FROM outbox WHERE queued_at > :stale ORDER BY seq LIMIT 1), 1 << 62)"
        " AND state IN ('received', 'read') AND received_at <= :stale AND ended_at IS NULL"
        f" AND NOT {_ASKED} LIMIT :limit",
    ),
    "inbox": (
        f"SELECT seq, state <> 'dead' AND {_WANTS} FROM inbox"
        " WHERE state IN ('done', 'dead') AND done_at <= :before AND kept = 0 LIMIT :limit",
    ),
}


class SqliteMoves:
    """What moves rows: with all the columns they have, so that one a migration adds is moved too."""

    def __init__(self, connection: Db) -> None:
        self._db = connection
        self._columns: dict[Side, str] = {}

    def move(self, *, before: float, stale_before: float, limit: int) -> Moved:
        """See `Sweepings.archive`."""
        values = {"before": before, "stale": stale_before, "limit": limit}
        moves = [self._move(side, values) for side in SIDES]
        return Moved(sum(each.rows for each in moves), sum(each.kept for each in moves))

    def _move(self, side: Side, values: dict[str, float]) -> Moved:
        found = [row for sql in _PAST[side] for row in self._db.execute(sql, values).fetchall()]
        kept = [(seq,) for seq, wants in found if wants]
        # In the order of their seq: the index takes what goes up without writing itself out.
        past = sorted((seq,) for seq, wants in found if not wants)
        columns = self._all_columns(side)
        for statement, seqs in (
            (f"UPDATE {side} SET kept = 1 WHERE seq = ?", kept),
            (f"INSERT INTO {side}_archive ({columns}) SELECT {columns} FROM {side} WHERE seq = ?", past),
            (
                f"INSERT INTO {side}_words (rowid, {COLUMNS}) SELECT seq, {COLUMNS} FROM searchable"
                f" WHERE place = '{side}_archive' AND seq = ?",
                past,
            ),
            (f"DELETE FROM {side} WHERE seq = ?", past),
        ):
            self._db.executemany(statement, seqs)
        return Moved(len(past), len(kept))

    def tidy(self) -> bool:
        """See `Sweepings.tidy`."""
        before = self._db.total_changes()
        for side in SIDES:
            # sqlite.org/fts5.html#the_merge_command: a single change means that nothing was left.
            self._db.execute(f"INSERT INTO {side}_words ({side}_words, rank) VALUES ('merge', ?)", (_PAGES,))
        return self._db.total_changes() - before > len(SIDES)

    def _all_columns(self, side: Side) -> str:
        if side not in self._columns:
            rows = self._db.execute("SELECT name FROM pragma_table_info(?)", (side,)).fetchall()
            self._columns[side] = ", ".join(name for (name,) in rows)
        return self._columns[side]

"""What was said here, in SQLite: by its words, the newest first, or all of the archive in order."""

from __future__ import annotations

from spool.store import sqlite_live
from spool.store.base import Asked, Incoming, Outgoing, Side, written_at
from spool.store.sqlite_asked import FITS, SELECTS, SIDES, TIMES, match, row_of, values
from spool.store.sqlite_rows import Db, Rows


class SqliteHistory:
    """See `History`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def search(self, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
        live = [row for side in SIDES for row in sqlite_live.search(self._db, side, asked, limit=limit)]
        found = live + self.archived(asked, limit=limit)
        return sorted(found, key=written_at, reverse=True)[:limit]

    def archived(self, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
        found = [row for side in SIDES for row in self._newest(side, asked, limit)]
        return sorted(found, key=written_at, reverse=True)[:limit]

    def thread(self, id: str, *, agent: str, limit: int) -> list[Outgoing | Incoming]:
        found: list[Outgoing | Incoming] = []
        for side, table in [(each, name) for each in SIDES for name in (each, f"{each}_archive")]:
            whose = "sender" if side == "outbox" else "agent"
            rows = self._db.execute(
                f"SELECT {SELECTS[side]} FROM {table} WHERE seq IN (SELECT seq FROM {table} WHERE thread = ?1"
                f" UNION SELECT seq FROM {table} WHERE id = ?1) AND {whose} = ?2 ORDER BY seq DESC LIMIT ?3",
                (id, agent, limit),
            ).fetchall()
            found.extend(row_of(side, row, archived=table != side) for row in rows)
        return sorted(found, key=written_at, reverse=True)[:limit]

    def page(self, side: Side, asked: Asked, *, after: int, limit: int) -> list[Outgoing | Incoming]:
        first, beyond = self._span(side, asked)
        rows = self._db.execute(
            f"SELECT {SELECTS[side]} FROM {side}_archive WHERE seq > :after AND seq >= :first"
            f" AND seq < :beyond AND {FITS[side]} ORDER BY seq LIMIT :limit",
            values(asked, after=after, first=first, beyond=beyond, limit=limit),
        ).fetchall()
        return [row_of(side, row, archived=True) for row in rows]

    def _newest(self, side: Side, asked: Asked, limit: int) -> list[Outgoing | Incoming]:
        found: list[Outgoing | Incoming] = []
        # Read one by one: a common word is in a million rows, and the first few will do.
        for (seq,) in self._seqs(side, asked):
            row = self._db.execute(
                f"SELECT {SELECTS[side]} FROM {side}_archive WHERE seq = :seq AND {FITS[side]}",
                values(asked, seq=seq),
            ).fetchone()
            if row is not None:
                found.append(row_of(side, row, archived=True))
            if len(found) == limit:
                break
        return found

    def _seqs(self, side: Side, asked: Asked) -> Rows:
        span = self._span(side, asked)
        if (words := match(asked)) is None:
            return self._db.execute(
                f"SELECT seq FROM {side}_archive WHERE seq >= ? AND seq < ? ORDER BY seq DESC", span
            )
        return self._db.execute(
            f"SELECT rowid FROM {side}_words WHERE {side}_words MATCH ?3 AND rowid >= ?1 AND rowid < ?2"
            " ORDER BY rowid DESC",
            (*span, words),
        )

    def _span(self, side: Side, asked: Asked) -> tuple[int, int]:
        """From which seq on, and before which, rows of the time asked for stand."""
        table = f"{side}_archive"
        # Not both in one SELECT: SQLite takes an end from the index only where nothing else is asked.
        ends = f"SELECT ifnull((SELECT min(seq) FROM {table}), 0), ifnull((SELECT max(seq) FROM {table}), 0)"
        first, last = self._db.execute(ends).fetchone()
        beyond = last + 1
        if asked.until is not None:
            beyond = self._edge(side, asked.until, first, beyond)
        if asked.since is not None:
            first = self._edge(side, asked.since, first, beyond)
        return first, beyond

    def _edge(self, side: Side, at: float, low: int, high: int) -> int:
        """The first seq at a time or later: rows stand in the order of time, so half is left each step."""
        sql = f"SELECT seq, {TIMES[side]} FROM {side}_archive WHERE seq >= ? ORDER BY seq LIMIT 1"
        while low < high:
            middle = (low + high) // 2
            found = self._db.execute(sql, (middle,)).fetchone()
            if found is None or found[1] >= at:
                high = middle
            else:
                low = found[0] + 1
        return low

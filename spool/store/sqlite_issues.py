"""Where messages stand on GitHub, in SQLite."""

from __future__ import annotations

from typing import Final

from spool.store.base import IssueAcks, IssueSpot
from spool.store.sqlite_rows import Db

_SPOT: Final = "SELECT sender, id, ours, number, comment, tried_at FROM issues"


class SqliteIssues:
    """See `IssueRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def find(self, place: str, sender: str, id: str) -> IssueSpot | None:
        return self._one("place = ? AND sender = ? AND id = ?", (place, sender, id))

    def named(self, place: str, id: str) -> IssueSpot | None:
        return self._one("place = ? AND id = ? AND number IS NOT NULL ORDER BY tried_at", (place, id))

    def at(self, place: str, number: int, comment: int = 0) -> IssueSpot | None:
        return self._one("place = ? AND number = ? AND comment = ?", (place, number, comment))

    def put(self, place: str, spot: IssueSpot) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO issues (place, sender, id, ours, number, comment, tried_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (place, spot.sender, spot.id, int(spot.ours), spot.number, spot.comment, spot.tried_at),
        )

    def drop(self, place: str, sender: str, id: str) -> None:
        self._db.execute("DELETE FROM issues WHERE place = ? AND sender = ? AND id = ?", (place, sender, id))

    def text(self, place: str, spot: str) -> bytes | None:
        row = self._db.execute(
            "SELECT digest FROM issue_texts WHERE place = ? AND spot = ?", (place, spot)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def set_text(self, place: str, spot: str, digest: bytes, *, now: float) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO issue_texts (place, spot, digest, at) VALUES (?, ?, ?, ?)",
            (place, spot, digest, now),
        )

    def told(self, place: str, number: int) -> IssueAcks | None:
        row = self._db.execute(
            "SELECT number, comment, told, tried_at FROM issue_acks WHERE place = ? AND number = ?",
            (place, number),
        ).fetchone()
        return None if row is None else IssueAcks(*row)

    def tell(self, place: str, acks: IssueAcks) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO issue_acks (place, number, comment, told, tried_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (place, *acks),
        )

    def forget(self, place: str, *, before: float) -> None:
        for table, at in (("issues", "tried_at"), ("issue_texts", "at"), ("issue_acks", "tried_at")):
            self._db.execute(f"DELETE FROM {table} WHERE place = ? AND {at} < ?", (place, before))

    def _one(self, where: str, values: tuple[str | int, ...]) -> IssueSpot | None:
        row = self._db.execute(f"{_SPOT} WHERE {where} LIMIT 1", values).fetchone()
        return None if row is None else IssueSpot(row[0], row[1], bool(row[2]), *row[3:])

"""What of each peer waits here, in SQLite; triggers of the schema count out what goes."""

from __future__ import annotations

from typing import Final

from spool.store.base import Quota
from spool.store.sqlite_rows import Db

_SELECT: Final = f"SELECT peer, {', '.join(Quota._fields)} FROM quotas"


class SqliteQuotas:
    """See `QuotaRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def get(self, peer: str) -> Quota:
        row = self._db.execute(f"{_SELECT} WHERE peer = ?", (peer,)).fetchone()
        return Quota() if row is None else Quota(*row[1:])

    def all(self) -> dict[str, Quota]:
        return {row[0]: Quota(*row[1:]) for row in self._db.execute(_SELECT).fetchall()}

    def add(self, peer: str, *, messages: int, bytes: int, paid_until: float) -> None:
        self._db.execute(
            "INSERT INTO quotas (peer, messages, bytes, paid_until) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (peer) DO UPDATE SET messages = messages + excluded.messages,"
            " bytes = bytes + excluded.bytes, paid_until = excluded.paid_until",
            (peer, messages, bytes, paid_until),
        )

    def tell(self, peer: str, *, now: float) -> None:
        self._db.execute(
            "INSERT INTO quotas (peer, told_at) VALUES (?, ?)"
            " ON CONFLICT (peer) DO UPDATE SET told_at = excluded.told_at",
            (peer, now),
        )

"""When agents were last heard of, and what their hosts told of them, in SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from spool.store.base import Heard, Told
from spool.store.sqlite_rows import Db

# Within a second nothing is written: a host that talks all the time costs a look for each batch.
_HEAR: Final = (
    "INSERT INTO heard (peer, agent, at, what) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET at = excluded.at, what = excluded.what WHERE abs(excluded.at - at) >= 1.0"
)
_OF_ONE: Final = "WHERE peer = ?1 AND (?2 IS NULL OR agent = ?2) ORDER BY agent"


class SqlitePresence:
    """See `PresenceRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def hear(self, peer: str, agents: Iterable[str], what: str, *, now: float) -> None:
        for agent in agents:
            self._db.execute(_HEAR, (peer, agent, now, what))

    def heard(self, peer: str, agent: str | None = None) -> list[Heard]:
        rows = self._db.execute(f"SELECT agent, at, what FROM heard {_OF_ONE}", (peer, agent)).fetchall()
        return [Heard(*row) for row in rows]

    def tell(self, peer: str, told: Sequence[Told]) -> None:
        self._db.execute("DELETE FROM told WHERE peer = ?", (peer,))
        self._db.executemany(
            "INSERT OR REPLACE INTO told (peer, agent, unread, oldest_s, sessions, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(peer, *each) for each in told],
        )

    def told(self, peer: str, agent: str | None = None) -> list[Told]:
        rows = self._db.execute(
            f"SELECT agent, unread, oldest_s, sessions, at FROM told {_OF_ONE}", (peer, agent)
        ).fetchall()
        return [Told(*row) for row in rows]

    def forget(self, peer: str) -> None:
        for table in ("heard", "told"):
            self._db.execute(f"DELETE FROM {table} WHERE peer = ?", (peer,))

    def trim(self, *, keep: int) -> None:
        self._db.execute(
            "DELETE FROM heard WHERE (peer, agent) IN (SELECT peer, agent FROM ("
            " SELECT peer, agent, row_number() OVER (PARTITION BY peer ORDER BY at DESC) AS place FROM heard)"
            " WHERE place > ?)",
            (keep,),
        )

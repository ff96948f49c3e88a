"""What is known of the peers, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from spool.store.base import PeerRow
from spool.store.sqlite_rows import Db

COLUMNS: Final = PeerRow.__struct_fields__
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM peers"
_LIST: Final = msgspec.json.Decoder(list[str])


class SqlitePeers:
    """See `PeerRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def get(self, name: str) -> PeerRow:
        rows = self._db.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchall()
        return _peer(rows[0]) if rows else PeerRow(name=name)

    def all(self) -> dict[str, PeerRow]:
        return {row[0]: _peer(row) for row in self._db.execute(_SELECT).fetchall()}

    def update(self, name: str, **values: Any) -> None:
        unknown = values.keys() - set(COLUMNS)
        if unknown or not values:
            raise ValueError(f"no such columns of a peer: {sorted(unknown)}")
        if "far_agents" in values:
            values["far_agents"] = msgspec.json.encode(values["far_agents"]).decode()
        self._db.execute("INSERT INTO peers (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
        columns = ", ".join(f"{column} = ?" for column in values)
        self._db.execute(f"UPDATE peers SET {columns} WHERE name = ?", (*values.values(), name))

    def raise_generation(self, name: str) -> int:
        rows = self._db.execute(
            "INSERT INTO peers (name, generation) VALUES (?, 1)"
            " ON CONFLICT DO UPDATE SET generation = generation + 1 RETURNING generation",
            (name,),
        ).fetchall()
        return int(rows[0][0])

    def forget(self, name: str) -> None:
        self._db.execute("DELETE FROM peers WHERE name = ?", (name,))


def _peer(row: Sequence[Any]) -> PeerRow:
    values = dict(zip(COLUMNS, row, strict=True))
    values["dialled"] = bool(values["dialled"])
    values["far_agents"] = _LIST.decode(values["far_agents"])
    return PeerRow(**values)

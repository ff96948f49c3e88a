"""What is known of the folders of files peers, in SQLite."""

from __future__ import annotations

import os
from collections.abc import Iterable

from spool.store.base import KeptFile
from spool.store.sqlite_rows import Db


class SqliteKeptFiles:
    """See `KeptFiles`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def put(self, peer: str, file: KeptFile) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO kept_files (peer, name, size, mtime, digest, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (peer, os.fsencode(file.name), file.size, file.mtime, file.digest, file.at),
        )

    def of(self, peer: str) -> list[KeptFile]:
        rows = self._db.execute(
            "SELECT name, size, mtime, digest, at FROM kept_files WHERE peer = ? ORDER BY name", (peer,)
        ).fetchall()
        return [KeptFile(os.fsdecode(row[0]), *row[1:]) for row in rows]

    def drop(self, peer: str, names: Iterable[str]) -> None:
        self._db.executemany(
            "DELETE FROM kept_files WHERE peer = ? AND name = ?",
            [(peer, os.fsencode(name)) for name in names],
        )

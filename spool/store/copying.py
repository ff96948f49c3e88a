"""A copy of a database that is in use: of one moment, whole, and looked through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from spool.errors import StoreCorrupt
from spool.store.sqlite import BUSY_S, translated
from spool.store.sqlite_attachments import NEEDED

# Some megabytes: often enough to tell how far it is.
STEP: Final = 1024
# A file that is damaged throughout need not say so more often.
MOST: Final = 100


def copy(path: Path, to: Path, *, tell: Callable[[int, int], object] = lambda done, whole: None) -> None:
    """Copy a spool.db as it stands at one moment; who writes to it meanwhile does not wait.

    Args:
        to: where there is no file yet. It is one file then, not synced.
        tell: called with the bytes done so far and in all.

    Raises:
        StoreError: it could not be read, or not be written there.
    """
    with translated(path), _look(path) as source, contextlib.closing(apsw.Connection(str(to))) as made:
        made.execute("PRAGMA synchronous=OFF")
        # Held from here on: a copy made in steps would begin anew after each commit of others.
        source.execute("BEGIN")
        page = int(_one(source, "PRAGMA page_size"))
        _one(source, "SELECT count(*) FROM sqlite_schema")
        with translated(to), made.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(STEP)
                tell((backup.page_count - backup.remaining) * page, backup.page_count * page)
        with translated(to):
            made.execute("PRAGMA journal_mode=DELETE")


def damage(path: Path) -> list[str]:
    """What SQLite finds wrong with a database, indices and words included; reads all of it."""
    try:
        with translated(path), _look(path) as connection:
            found = connection.execute(f"PRAGMA integrity_check({MOST})").fetchall()
    except StoreCorrupt as exc:
        return [exc.message]
    return [" ".join(str(text).split()) for (text,) in found if text != "ok"]


def needed_files(path: Path) -> list[str]:
    """The SHA-256 of each file that a live message of a database needs here."""
    with translated(path), _look(path) as connection:
        return [str(name) for (name,) in connection.execute(NEEDED).fetchall()]


@contextlib.contextmanager
def _look(path: Path) -> Iterator[apsw.Connection]:
    with contextlib.closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.set_busy_timeout(int(BUSY_S * 1000))
        yield connection


def _one(connection: apsw.Connection, sql: str) -> Any:
    return connection.execute(sql).get

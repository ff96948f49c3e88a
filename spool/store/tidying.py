"""What can be put in order in a spool.db without touching what it says: its log, its indices, its words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from spool.errors import StoreCorrupt
from spool.store.copying import MOST
from spool.store.sqlite import connect, translated
from spool.store.sqlite_asked import SIDES
from spool.store.sqlite_live import COLUMNS
from spool.store.write_ahead import WriteAhead

# What SQLite's check says of an index that does not fit its table, see integrity_check in pragma.html.
_INDEX: Final = re.compile(r"(?:row \d+ missing from|wrong # of entries in|non-unique entry in) index (\w+)")
_TREE: Final = re.compile(r"Tree (\d+) .*")
# Whatever FTS5 says of its own tables: nothing in them is said there alone.
_WORDS: Final = re.compile(r".*(?:FTS5|fts5).*\b((?:outbox|inbox)_words)\b.*")


class Mendable(NamedTuple):
    """What is damaged and can be made again from what is not: indices, and tables of words, by name."""

    indices: list[str]
    words: list[str]


def mendable(path: Path, damage: Sequence[str]) -> Mendable | None:
    """What to make again where that is all of the damage; None where there is other damage, or none."""
    with translated(path), contextlib.closing(connect(path, synchronous="FULL")) as connection:
        roots = dict(connection.execute("SELECT rootpage, name FROM sqlite_schema WHERE type = 'index'"))
    indices: set[str] = set()
    words: set[str] = set()
    for line in damage:
        if found := _INDEX.fullmatch(line):
            indices.add(found.group(1))
        elif (found := _TREE.fullmatch(line)) and int(found.group(1)) in roots:
            indices.add(str(roots[int(found.group(1))]))
        elif found := _WORDS.fullmatch(line):
            words.add(found.group(1))
        else:
            return None
    return Mendable(sorted(indices), sorted(words)) if indices or words else None


def checkpoint(path: Path, *, patience_s: float) -> bool:
    """Write the log back and empty it; False where a reader was in the way for so long."""
    with translated(path), contextlib.closing(connect(path, synchronous="FULL")) as connection:
        connection.set_busy_timeout(int(patience_s * 1000))
        return WriteAhead(path).empty(connection)


def reindex(path: Path, names: Sequence[str]) -> None:
    """Make indices again; where the file is not whole then, nothing is changed. Raises StoreError."""
    with _checked(path) as connection:
        for name in names:
            connection.execute(f'REINDEX "{name}"')


def rebuild_words(path: Path, tables: Sequence[str]) -> None:
    """Index the archive anew, as the migration that made the tables did. Raises StoreError."""
    with _checked(path) as connection:
        for side in SIDES:
            if (table := f"{side}_words") in tables:
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
                connection.execute(
                    f"INSERT INTO {table} (rowid, {COLUMNS}) SELECT seq, {COLUMNS} FROM searchable"
                    f" WHERE place = '{side}_archive' ORDER BY seq"
                )


@contextlib.contextmanager
def _checked(path: Path) -> Iterator[apsw.Connection]:
    """A transaction that is undone where the file is not whole at its end."""
    with translated(path), contextlib.closing(connect(path, synchronous="FULL")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            yield connection
            found = connection.execute(f"PRAGMA integrity_check({MOST})").fetchall()
            if found != [("ok",)]:
                raise StoreCorrupt(f"{path}: {' '.join(str(found[0][0]).split())}")
        connection.execute("COMMIT")

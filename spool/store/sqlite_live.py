"""Searching what is not archived yet: the rows are read, and their words are looked up in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import apsw

from spool.store.base import Asked, Incoming, Outgoing, Side
from spool.store.sqlite_asked import FITS, SELECTS, match, row_of, values
from spool.store.sqlite_rows import Db
from spool.terms import words

COLUMNS: Final = "subject, body, sender, recipient, type, more"
# As the words of the archive: what is found does not change when a message moves there.
WORDS: Final = (
    f"CREATE VIRTUAL TABLE words USING fts5({COLUMNS},"
    " content='', columnsize=0, tokenize='unicode61 remove_diacritics 2')"
)
_FIRST: Final = 100
_MOST: Final = 3000
_TEXT: Final = f"SELECT seq, {COLUMNS} FROM searchable WHERE place = ? AND seq = ?"


def search(db: Db, side: Side, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
    """The newest live rows of one side that fit."""
    found: list[Outgoing | Incoming] = []
    below, count = 1 << 62, _FIRST
    page = (
        f"SELECT seq, raw, sender || ' ' || recipient || ' ' || type FROM {side}"
        f" WHERE seq < :below AND {FITS[side]} ORDER BY seq DESC LIMIT :count"
    )
    while len(found) < limit:
        rows = db.execute(page, values(asked, below=below, count=count)).fetchall()
        if not rows:
            break
        below, count = rows[-1][0], min(4 * count, _MOST)
        likely = [seq for seq, raw, more in rows if _may_fit(asked, raw, more)]
        found.extend(_row(db, side, seq) for seq in _fitting(db, side, asked, likely)[: limit - len(found)])
    return found


def _may_fit(asked: Asked, raw: bytes, more: str) -> bool:
    """False where a row has not all the words for sure: most need no further look then."""
    if not raw.isascii() or b"\\u" in raw or not more.isascii():
        return True
    text = (raw.decode("ascii") + " " + more).lower()
    every = (word.lower() for term in asked.terms for word in words(term.text) if word.isascii())
    return all(word in text for word in every)


def _fitting(db: Db, side: Side, asked: Asked, seqs: Iterable[int]) -> list[int]:
    """Those of the rows that have the words, the newest first."""
    memory = apsw.Connection(":memory:")
    try:
        memory.execute(WORDS)
        memory.executemany(
            f"INSERT INTO words (rowid, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [db.execute(_TEXT, (side, seq)).fetchone() for seq in sorted(seqs)],
        )
        query = match(asked)
        if query is None:
            return sorted(seqs, reverse=True)
        every = memory.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC", (query,))
        return [seq for (seq,) in every]
    finally:
        memory.close()


def _row(db: Db, side: Side, seq: int) -> Any:
    row = db.execute(f"SELECT {SELECTS[side]} FROM {side} WHERE seq = ?", (seq,)).fetchone()
    return row_of(side, row, archived=False)

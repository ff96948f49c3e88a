"""Searching what is not archived yet: the rows are read, and their words are looked up in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_MOST: Final = 1000
_TEXT: Final = f"SELECT seq, {COLUMNS} FROM searchable WHERE place = ? AND seq = ?"


def search(db: Db, side: Side, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
    """The newest live rows of one side that fit."""
    found: list[Outgoing | Incoming] = []
    for seqs in _likely(db, side, asked):
        found.extend(_row(db, side, seq) for seq in _fitting(db, side, asked, seqs)[: limit - len(found)])
        if len(found) == limit:
            break
    return found


def _likely(db: Db, side: Side, asked: Asked) -> Iterator[list[int]]:
    """Rows that may fit, the newest first, a few at a time and then more."""
    plain_words, count, seqs = _plain_words(asked), _FIRST, []
    every = db.execute(
        f"SELECT seq, raw, sender || ' ' || recipient || ' ' || type FROM {side}"
        f" WHERE {FITS[side]} ORDER BY seq DESC",
        values(asked),
    )
    for seq, raw, more in every:
        if _may_fit(plain_words, raw, more):
            seqs.append(seq)
        if len(seqs) == count:
            yield seqs
            count, seqs = min(4 * count, _MOST), []
    if seqs:
        yield seqs


def _plain_words(asked: Asked) -> list[bytes]:
    """Those of the words asked for that a text in ASCII must have as they are, but for their case."""
    every = (word for term in asked.terms for word in words(term.text))
    return [word.lower().encode() for word in every if word.isascii()]


def _may_fit(plain_words: list[bytes], raw: bytes, more: str) -> bool:
    """False where a row has not all the words for sure: most need no further look then."""
    # Accents, and letters that are written as \u0041, do not stand there as they are looked for.
    if not raw.isascii() or b"\\u" in raw or not more.isascii():
        return True
    text, names = raw.lower(), more.lower().encode()
    return all(word in text or word in names for word in plain_words)


def _fitting(db: Db, side: Side, asked: Asked, seqs: Sequence[int]) -> list[int]:
    """Those of the rows that have the words, the newest first."""
    memory = apsw.Connection(":memory:")
    try:
        memory.execute(WORDS)
        memory.executemany(
            f"INSERT INTO words (rowid, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (db.execute(_TEXT, (side, seq)).fetchone() for seq in sorted(seqs)),
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

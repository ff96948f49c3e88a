"""A spool.db of the first schema, with mail alive and archived, opened by the spool of today."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from spool.errors import StoreOlder
from spool.store import sqlite, sqlite_live
from spool.store.base import Asked
from spool.store.sqlite import SCHEMA, SqliteStore, create
from spool.terms import parse
from tests import databases
from tests.rows import row

FIRST = "0001_init.sql"


@pytest.fixture
def oldest_home(tmp_path: Path) -> Path:
    """A home as version 1 of the schema left it: rows alive, and rows in an archive without words."""
    place = tmp_path / "home"
    (place / "run").mkdir(mode=0o700, parents=True)
    place.chmod(0o700)
    connection = apsw.Connection(str(place / sqlite.FILE))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute((sqlite._SQL / FIRST).read_text() + "PRAGMA user_version=1;")
    for n, (table, when) in enumerate((("outbox", "due = NULL, ended_at"), ("inbox", "done_at")) * 20):
        connection.execute(_OLD[table], (f"m{n}", 100.0 + n, json.dumps(_old_message(n)).encode()))
        if n < 30:
            connection.execute(f"UPDATE {table} SET state = 'done', {when} = 200.0 WHERE id = 'm{n}'")
            connection.execute(f"INSERT INTO {table}_archive SELECT * FROM {table} WHERE id = 'm{n}'")
            connection.execute(f"DELETE FROM {table} WHERE id = 'm{n}'")
    connection.close()
    return place


_OLD = {
    "outbox": "INSERT INTO outbox (id, sender, recipient, peer, type, priority, class, place, state, due,"
    " queued_at, expires_at, filled, digest, raw)"
    " VALUES (?1, 'me', 'you', 'p', 'message', 2, 2, 1, 'queued', ?2, ?2, 1e12, '[]', x'00', ?3)",
    "inbox": "INSERT INTO inbox (id, sender, recipient, agent, peer, type, priority, state, received_at,"
    " filled, digest, raw) VALUES (?1, 'you', 'me', 'me', 'p', 'message', 2, 'unread', ?2, '[]', x'00', ?3)",
}


def _old_message(n: int) -> dict[str, object]:
    return {"subject": f"number{n}", "body": "old\nwords", "context": {"k": "inner"}}


def test_the_oldest_file_is_migrated_with_all_it_holds(oldest_home: Path) -> None:
    """Live and archived rows of version 1: none is lost or changed, and what had been archived before
    there were words is found by them."""
    before = _rows(oldest_home)
    store = SqliteStore(oldest_home)

    def found(words: str, **more: Any) -> list[str]:
        with store.read() as tx:
            return [each.id for each in tx.history.search(Asked(parse(words), **more), limit=99)]

    assert version(oldest_home) == SCHEMA and _rows(oldest_home) == before
    assert found("inner words") == [f"m{n}" for n in reversed(range(40))]
    assert found("number7") == ["m7"] and found("number35") == ["m35"]
    assert found("old", sender="me", since=110.0, until=115.0) == ["m14", "m12", "m10"]
    with store.write(sync=False) as tx:
        tx.outbox.bury(tx.outbox.find("m30")[0].seq, now=300.0, reason="why")
        assert tx.sweepings.archive(before=300.0, stale_before=0.0, limit=9).rows == 1
    assert found("number30") == ["m30"] and row(store, "m30").archived
    store.close()


def version(home: Path) -> int:
    return int(databases.one(home, "PRAGMA user_version"))


def _rows(home: Path) -> dict[str, list[Any]]:
    """Every message row with the columns that version 1 had."""
    connection = apsw.Connection(str(home / sqlite.FILE))
    found = {}
    for table, columns in (("outbox", _columns("outbox")), ("inbox", _columns("inbox"))):
        for name in (table, f"{table}_archive"):
            rows = connection.execute(f"SELECT {columns} FROM {name} ORDER BY seq").fetchall()
            found[name] = rows
    connection.close()
    assert [len(rows) for rows in found.values()] == [5, 15, 5, 15]
    return found


def _columns(table: str) -> str:
    first = apsw.Connection(":memory:")
    first.execute((sqlite._SQL / FIRST).read_text())
    names = [name for (name,) in first.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    first.close()
    return ", ".join(names)


def test_a_migration_with_words_waits_for_the_others(oldest_home: Path) -> None:
    """An older spool that runs there would archive without words; nothing is changed meanwhile."""
    other = os.open(oldest_home / "run" / "home.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_SH)
    with pytest.raises(StoreOlder, match="run `spool down` first"):
        SqliteStore(oldest_home)
    assert version(oldest_home) == 1
    os.close(other)
    SqliteStore(oldest_home).close()
    assert version(oldest_home) == SCHEMA


def test_live_words_are_taken_apart_as_archived_ones(tmp_path: Path) -> None:
    """What is found must not change when a message moves to the archive."""
    create(tmp_path)
    declared = databases.rows(tmp_path, "SELECT sql FROM sqlite_schema WHERE name LIKE '%_words'")
    alike = {
        " ".join(sql.replace("outbox_words", "words").replace("inbox_words", "words").split())
        for (sql,) in declared
    }
    assert alike == {" ".join(sqlite_live.WORDS.split())}

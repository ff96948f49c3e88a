"""How SQLite goes about it: daily work never reads the archive from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.states import State
from spool.store.base import Asked
from spool.store.sqlite import SqliteStore, create
from spool.terms import parse
from tests.rows import new_incoming, new_outgoing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """One archived message on each side."""
    tmp_path.chmod(0o700)
    create(tmp_path)
    made = SqliteStore(tmp_path)
    with made.write(sync=False) as tx:
        tx.outbox.bury(tx.outbox.put(new_outgoing()), now=1.0, reason="why")
        tx.inbox.finish(tx.inbox.put(new_incoming()), now=1.0, outcome="done", note=None)
        assert tx.sweepings.archive(before=2.0, stale_before=0.0, limit=9).rows == 2
    yield made
    made.close()


def work(store: SqliteStore) -> None:
    """What a day brings: sending, receiving, acks, looking something up, searching, archiving."""
    with store.write(sync=False) as tx:
        tx.outbox.put(new_outgoing("m2"))
        tx.inbox.put(new_incoming("m2", re="m1"))
        tx.outbox.finish("m1", "me", outcome="done", note=None)
        tx.outbox.answered("m1", "me", by="you", peer="p")
        tx.outbox.advance_archived("m1", "me", State.DONE, now=3.0, there=None, host=None)
        tx.inbox.answered("m1", "me")
        tx.outbox.exact("m1", "me")
        tx.inbox.exact("m1", "you")
        tx.outbox.find("m1")
        tx.inbox.find("m1")
        tx.inbox.find("m1", agent="me")
        tx.inbox.answers("m1", "me")
        tx.loops.came("me", "m1", re="m1")
        tx.loops.thread_of("m1")
        tx.inbox.open("me")
        for asked in (Asked(parse("text*")), Asked(sender="me", since=0.5, until=9.0), Asked()):
            tx.history.search(asked, limit=5)
            tx.history.archived(asked, limit=5)
            tx.history.page("inbox", asked, after=0, limit=5)
        tx.history.thread("m1", agent="me", limit=5)
        tx.sweepings.archive(before=2.0, stale_before=0.0, limit=9)


def test_no_daily_statement_scans_the_archive(store: SqliteStore) -> None:
    """Each finds its rows by an index; what goes through in order of `seq` stops when it has enough."""
    connection = store._connection("loose")[0]
    said: dict[str, Any] = {}

    def note(_cursor: Any, sql: str, bindings: Any) -> bool:
        said.setdefault(sql, bindings)
        return True

    connection.exec_trace = note
    work(store)
    connection.exec_trace = None
    asked = {sql: values for sql, values in said.items() if "_archive" in sql and "pragma" not in sql}
    assert len(asked) >= 15

    scans = []
    for sql, values in asked.items():
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values):
            if step.startswith("SCAN") and "_archive" in step and "USING INDEX" not in step:
                scans.append((step, sql))
    assert scans == []


def test_the_archive_run_looks_at_little(store: SqliteStore) -> None:
    """What it moves is found by when it ended, however much is alive."""
    from spool.store.sqlite_archive import _PAST

    values = {"before": 1.0, "stale": 1.0, "limit": 9}
    connection = store._connection("read")[0]
    steps = [
        step
        for statements in _PAST.values()
        for sql in statements
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    ]
    assert "SEARCH outbox USING INDEX outbox_ended (ended_at>? AND ended_at<?)" in steps
    assert "SEARCH inbox USING INDEX inbox_done (done_at<?)" in steps
    assert "SEARCH outbox USING INTEGER PRIMARY KEY (rowid<?)" in steps

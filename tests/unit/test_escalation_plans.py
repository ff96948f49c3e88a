"""How SQLite goes about a look for what fits the rules: however much is queued, it reads little of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import sweep
from spool.api import Spool
from tests.desk import Turned
from tests.escalating import escalating_host, look, notices


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with something for every rule."""
    with escalating_host(tmp_path, now) as made:
        look(made, now)
        made.send("cloud-1", subject="s", priority="P0")
        made.send("cloud-1", subject="s", deadline="1970-01-12T13:47:00Z")
        made.send("desk-1", subject="s")
        yield made


def asked(spool: Spool, now: Turned) -> dict[str, Any]:
    """Each statement of one look and its values."""
    said: dict[str, Any] = {}

    def note(_cursor: Any, sql: str, bindings: Any) -> bool:
        said.setdefault(sql, bindings)
        return True

    connections = [spool.store._connection(kind)[0] for kind in ("full", "loose", "read")]
    for connection in connections:
        connection.exec_trace = note
    found = look(spool, now, after_s=1000.0)
    notices(spool, now)
    for connection in connections:
        connection.exec_trace = None
    assert len(found) == 3
    return said


def test_no_statement_of_a_look_scans_the_messages(spool: Spool, now: Turned) -> None:
    """Each finds its rows by an index, or goes on behind where the last look ended."""
    now.at += 100.0
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    said = {sql: values for sql, values in asked(spool, now).items() if "SELECT" in sql or "UPDATE" in sql}
    assert sum("outbox" in sql for sql in said) >= 6 and any("events" in sql for sql in said)

    connection = spool.store._connection("read")[0]
    steps = [
        (step, sql)
        for sql, values in said.items()
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    ]
    # The index of what is late and nobody was told of has nothing else in it.
    scans = [
        (step, sql)
        for step, sql in steps
        if step.startswith(("SCAN outbox", "SCAN events", "SCAN inbox")) and "outbox_late" not in step
    ]
    assert scans == []


def test_the_second_look_begins_where_the_first_one_ended(spool: Spool, now: Turned) -> None:
    """So each message is looked at once, whatever waits."""
    look(spool, now, after_s=20.0)
    with spool.store.read() as tx:
        before = tx.ledger.fact("escalated_sent")
    assert before is not None and int(before) == 3
    spool.send("cloud-1", subject="s")
    look(spool, now, after_s=20.0)
    with spool.store.read() as tx:
        assert tx.ledger.fact("escalated_sent") == "4"

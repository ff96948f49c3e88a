"""The states, their moves, and the database that knows the same list."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.states import (
    HELD_MOVES,
    MOVES,
    ORDER,
    PROOFS,
    Held,
    IllegalMove,
    State,
    check,
    from_ack,
    sources,
)
from spool.store import sqlite

LEGAL = {
    ("queued", "sent"),
    ("queued", "received"),
    ("queued", "read"),
    ("queued", "done"),
    ("queued", "dead"),
    ("sent", "received"),
    ("sent", "read"),
    ("sent", "done"),
    ("sent", "dead"),
    ("received", "read"),
    ("received", "done"),
    ("received", "dead"),
    ("read", "done"),
    ("read", "dead"),
    ("dead", "queued"),
    ("dead", "received"),
    ("dead", "read"),
    ("dead", "done"),
}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The schema as spool makes it, read by another SQLite after spool has closed it."""
    tmp_path.chmod(0o700)
    sqlite.create(tmp_path)
    connection = sqlite3.connect(tmp_path / sqlite.FILE, isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.parametrize("old", list(State))
@pytest.mark.parametrize("new", list(State))
def test_only_the_moves_of_the_table_are_legal(old: State, new: State) -> None:
    """Written out here a second time, so that a change of the table is a change of the promise."""
    if (old, new) in LEGAL:
        assert check(old, new) is new
    else:
        with pytest.raises(IllegalMove, match=f"{old} -> {new}"):
            check(old, new)


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_counts_on_everything_that_is_not_further(proof: State) -> None:
    """Also on a dead message: what is proven has happened."""
    behind = {state for state in State if ORDER[state] < ORDER[proof]} | {State.DEAD}

    assert set(sources(proof)) == behind


def test_done_is_the_end() -> None:
    """On both sides; dead is one on the receiver's only."""
    assert not MOVES[State.DONE]
    assert not HELD_MOVES[Held.DONE] and not HELD_MOVES[Held.DEAD]


def test_only_the_dead_go_back() -> None:
    """And only to the start: a person's retry."""
    back = {
        (old, new)
        for old, news in MOVES.items()
        for new in news
        if ORDER[new] < ORDER[old] and old is not State.DEAD
    }

    assert back == set()
    assert sources(State.QUEUED) == (State.DEAD,)


def test_what_is_read_was_unread() -> None:
    """At the receiver every move goes forward."""
    assert {(str(o), str(n)) for o, news in HELD_MOVES.items() for n in news} == {
        ("unread", "read"),
        ("unread", "done"),
        ("unread", "dead"),
        ("read", "done"),
        ("read", "dead"),
    }


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        ("received", (State.RECEIVED, None)),
        ("read", (State.READ, None)),
        ("done", (State.DONE, "done")),
        ("processed", (State.DONE, "done")),
        ("rejected", (State.DONE, "rejected")),
        ("dead", (State.DEAD, None)),
        ("queued", None),
        ("sent", None),
        ("Received", None),
        ("", None),
    ],
)
def test_what_an_ack_means(status: str, meant: object) -> None:
    """An unknown word means nothing; a far host cannot put a message back."""
    assert from_ack(status) == meant


@pytest.mark.parametrize(("table", "states"), [("outbox", State), ("inbox", Held)])
def test_the_database_has_the_same_list(
    db: sqlite3.Connection, table: str, states: type[State] | type[Held]
) -> None:
    """Read from sqlite_master, not from the file that made it."""
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    found = re.search(r"CHECK \(state IN \(([^)]*)\)\)", sql)

    assert found and [name.strip().strip("'") for name in found[1].split(",")] == [str(s) for s in states]


OUT = {
    "id": "m",
    "sender": "a",
    "recipient": "b",
    "peer": "p",
    "type": "t",
    "priority": 2,
    "class": 2,
    "place": 1,
    "state": "queued",
    "due": 1.0,
    "queued_at": 1.0,
    "expires_at": 9.0,
    "filled": "[]",
    "digest": b"d",
    "raw": b"{}",
}
IN = {
    "id": "m",
    "sender": "a",
    "recipient": "b",
    "agent": "b",
    "type": "t",
    "priority": 2,
    "state": "unread",
    "received_at": 1.0,
    "filled": "[]",
    "digest": b"d",
    "raw": b"{}",
}


def insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def test_a_legal_row_is_taken(db: sqlite3.Connection) -> None:
    """Else the refusals below would prove nothing."""
    insert(db, "outbox", OUT)
    insert(db, "inbox", IN)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("outbox", {"state": "lost"}),
        ("outbox", {"state": "unread"}),
        ("outbox", {"state": None}),
        ("outbox", {"priority": 4}),
        ("outbox", {"priority": -1}),
        ("outbox", {"class": 4}),
        ("outbox", {"state": "done", "due": 1.0}),
        ("outbox", {"state": "dead", "due": 1.0, "reason": "r"}),
        ("outbox", {"state": "dead", "due": None}),
        ("outbox", {"raw": "text"}),
        ("outbox", {"queued_at": "now"}),
        ("outbox", {"digest": None}),
        ("inbox", {"state": "queued"}),
        ("inbox", {"priority": 9}),
        ("inbox", {"agent": None}),
        ("inbox", {"raw": None}),
    ],
)
def test_an_illegal_row_is_refused(db: sqlite3.Connection, table: str, change: dict[str, object]) -> None:
    """By the database itself, whoever writes."""
    with pytest.raises(sqlite3.IntegrityError):
        insert(db, table, {**(OUT if table == "outbox" else IN), **change})


@pytest.mark.parametrize("table", ["outbox", "inbox"])
def test_a_key_stands_once(db: sqlite3.Connection, table: str) -> None:
    """Sender and id together; the same id of another sender is another message."""
    row = OUT if table == "outbox" else IN
    insert(db, table, row)
    insert(db, table, {**row, "sender": "c"})

    with pytest.raises(sqlite3.IntegrityError):
        insert(db, table, row)


@pytest.mark.parametrize("state", ["linked", "dialling", "waiting", "stopped"])
def test_states_of_a_peer(db: sqlite3.Connection, state: str) -> None:
    """What status prints, and nothing else."""
    db.execute("INSERT INTO peers (name, state) VALUES ('p', ?)", (state,))
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO peers (name, state) VALUES ('q', 'broken')")


@pytest.mark.parametrize("table", ["outbox", "inbox"])
def test_a_row_number_is_never_given_twice(db: sqlite3.Connection, table: str) -> None:
    """A late word about a row that is gone must not find a newer one in its place."""
    row = OUT if table == "outbox" else IN
    insert(db, table, row)
    (first,) = db.execute(f"SELECT seq FROM {table}").fetchone()
    db.execute(f"DELETE FROM {table}")
    insert(db, table, {**row, "id": "n"})

    assert db.execute(f"SELECT seq FROM {table}").fetchone() > (first,)


def test_the_archive_has_the_columns_of_the_live_table(db: sqlite3.Connection) -> None:
    """Rows are moved there as they are."""
    for table in ("outbox", "inbox"):
        live, past = (
            [column[1] for column in db.execute(f"PRAGMA table_info({name})")]
            for name in (table, f"{table}_archive")
        )
        assert live == past

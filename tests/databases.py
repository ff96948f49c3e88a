"""What a spool.db holds, by SQL and not by spool: a look from outside, and a whole copy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

# Leased, under the link that is up: a lease that a dead link left behind is not in flight.
_CARRIED = "lease_until > ? AND lease >> 32 = (SELECT generation FROM peers WHERE name = peer)"


@contextlib.contextmanager
def look(home: Path) -> Iterator[apsw.Connection]:
    """A read-only connection, for a moment."""
    connection = apsw.Connection(str(home / "spool.db"), apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    try:
        yield connection
    finally:
        connection.close()


def rows(home: Path, sql: str, *values: Any) -> list[Any]:
    """What a query finds."""
    with look(home) as connection:
        return connection.execute(sql, values).fetchall()


def one(home: Path, sql: str, *values: Any) -> Any:
    """The first value of the first row that a query finds; None where it finds none."""
    found = rows(home, sql, *values)
    return found[0][0] if found else None


def in_flight(home: Path) -> int:
    """How many messages and acks of this host are leased by its link now and not answered."""
    now = time.time()
    messages = f"SELECT count(*) FROM outbox WHERE due IS NOT NULL AND {_CARRIED}"
    acks = f"SELECT count(*) FROM acks WHERE {_CARRIED}"
    with look(home) as connection:
        return sum(int(connection.execute(sql, (now,)).get) for sql in (messages, acks))


def waiting(home: Path) -> int:
    """How many messages and acks are still to be carried."""
    return int(
        one(home, "SELECT (SELECT count(*) FROM outbox WHERE due IS NOT NULL) + (SELECT count(*) FROM acks)")
    )


def holder(home: Path, peer: str) -> tuple[str, int] | None:
    """The role and process id that hold the link to a peer; None where it is not linked."""
    token = one(home, "SELECT holder FROM peers WHERE name = ? AND state = 'linked'", peer)
    if token is None:
        return None
    role, pid, _ = token.split("-")
    return role, int(pid)


def copy(home: Path, to: Path) -> apsw.Connection:
    """Copy the database as it stands, by SQLite's own backup; a connection to the copy."""
    made = apsw.Connection(str(to))
    with look(home) as source, made.backup("main", source, "main") as backup:
        backup.step()
    return made

"""A home that has had a lot of mail: one message of each kind by the store's own code, then copies of it.

A copy has an id, a hash and a dedup record of its own. What it has not are words in the archive's index,
which only a search reads and `python -m bench.archive` fills and measures.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from bench import mail
from spool import Spool, State, inbox, outbox
from spool.message import Message, seal
from spool.store import tidying
from spool.store.base import Seen, Tx
from spool.store.sqlite import FILE, SqliteStore

GONE: Final = "gone"
PATIENCE_S: Final = 30.0
_STEP: Final = 50_000
_COUNTER: Final = (
    "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < :rows)"
)
_NUMBER: Final = "(:base + n)"
# Older than any id that is made now, as what is old has been.
_ID: Final = f"printf('msg-01900000-0000-7000-8000-%012x', {_NUMBER})"
# The columns in which copies differ from what they were made of.
_OWN: Final = {
    "seq": _NUMBER,
    "place": _NUMBER,
    "id": _ID,
    "digest": f"CAST(printf('%032x', {_NUMBER}) AS BLOB)",
    "raw": f"CAST(replace(CAST(:raw AS TEXT), :id, {_ID}) AS BLOB)",
}


def prepare(home: Path, *, agent: str, peer: str) -> None:
    """One ended message each way in the archive, and one that waits for a peer that never comes.

    The home has the agent, and the peers, the one called GONE with an agent `gone-bo`; nothing carries it.
    """
    now, other = time.time(), "bo" if agent == "al" else "al"
    with Spool(home) as spool:
        mail.send(spool, f"{GONE}-bo")
    with contextlib.closing(SqliteStore(home)) as store, store.write(sync=False) as tx:
        _sent(tx, _sealed(agent, other), peer, now)
        _came(tx, _sealed(other, agent), peer, now)
        moved = tx.sweepings.archive(before=now + 1, stale_before=0.0, limit=10)
        assert moved.rows == 2, f"{moved.rows} rows were moved to the archive, not one each way"


def _sealed(sender: str, to: str) -> Message:
    draft = {"from": sender, "to": to, "subject": "bench", "body": mail.BODY}
    return seal(draft, id=f"msg-first-of-{sender}", timestamp="2025-11-13T10:30:45Z")


def _sent(tx: Tx, message: Message, peer: str, now: float) -> None:
    seq = tx.outbox.put(outbox.row_of(message, peer=peer, origin=None, now=now))
    tx.outbox.advance(seq, message.id, State.DONE, now=now, there=now, host=peer)
    tx.outbox.finish(message.id, message.sender, outcome="done", note=None)


def _came(tx: Tx, message: Message, peer: str, now: float) -> None:
    seq = tx.inbox.put(inbox.row_of(message, agent=message.to, peer=peer, now=now))
    tx.ledger.remember(message.sender, message.id, Seen(message.digest, now, True))
    tx.inbox.finish(seq, now=now, outcome="done", note=None)


def grow(home: Path, *, history: int, backlog: int) -> None:
    """Add so many archived messages, half of them sent and half received, and so many that wait."""
    with _connection(home) as connection:
        _copies(connection, "outbox_archive", history // 2)
        _copies(connection, "inbox_archive", history - history // 2)
        _copies(connection, "outbox", backlog, where=f"WHERE peer = '{GONE}'")
    tidying.checkpoint(home / FILE, patience_s=PATIENCE_S)


@contextlib.contextmanager
def _connection(home: Path) -> Iterator[apsw.Connection]:
    made = apsw.Connection(str(home / FILE))
    try:
        made.execute("PRAGMA synchronous = OFF")
        yield made
    finally:
        made.close()


def _copies(connection: apsw.Connection, table: str, count: int, *, where: str = "") -> None:
    columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    look = f"SELECT {', '.join(columns)} FROM {table} {where} ORDER BY seq LIMIT 1"
    found = connection.execute(look).fetchone()
    assert found is not None, f"{table}: there is no row to copy"
    row = dict(zip(columns, found, strict=True))
    values = ", ".join(_OWN.get(name, f":{name}") for name in columns)
    insert = f"INSERT INTO {table} ({', '.join(columns)}) {_COUNTER} SELECT {values} FROM counter"
    for done in range(0, count, _STEP):
        more = {**row, "rows": min(_STEP, count - done), "base": _base(connection)}
        with connection:
            connection.execute(insert, more)
            if table == "inbox_archive":
                _remember(connection, more)
            _raise_base(connection, more["base"] + more["rows"])


def _remember(connection: apsw.Connection, row: dict[str, Any]) -> None:
    connection.execute(
        f"INSERT INTO seen (sender, id, digest, at, final) {_COUNTER}"
        f" SELECT :sender, {_ID}, {_OWN['digest']}, :received_at, 1 FROM counter",
        row,
    )


def _base(connection: apsw.Connection) -> int:
    """Above every number that either side has given, so that an id is given once."""
    (found,) = connection.execute("SELECT max(seq) FROM sqlite_sequence").fetchone() or (0,)
    return int(found)


def _raise_base(connection: apsw.Connection, to: int) -> None:
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name IN ('outbox', 'inbox')", (to,))

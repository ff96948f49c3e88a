"""Messages that a person is told of by another road, and what fits the rules for that, in SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from spool.store import sqlite_outbox
from spool.store.base import Escalation, Found, Outgoing, Reason
from spool.store.sqlite_rows import Db

COLUMNS: Final = Escalation.__struct_fields__
_SELECT: Final = ", ".join(COLUMNS)
_OUT: Final = ", ".join(sqlite_outbox.COLUMNS)
_REASONS: Final = msgspec.json.Decoder(list[Reason])
_LINES: Final = msgspec.json.Decoder(list[str])
# So many rows are looked through at once for what is urgent: each of them once.
STRIDE: Final = 20_000
# A line for a peer may be a hundred thousand long.
_HEAD: Final = 200
# What was queued further ahead than that was queued by a clock that has jumped since.
_AHEAD_S: Final = 3600.0

_STRIDE: Final = "SELECT max({0}) FROM (SELECT {0} FROM {1} WHERE {0} > ? ORDER BY {0} LIMIT ?)"
_YOUNG: Final = """
SELECT seq FROM outbox WHERE seq > ?1 AND seq <= ?2 AND queued_at > ?3 AND queued_at <= ?4
ORDER BY seq LIMIT 1"""
_URGENT: Final = f"""
SELECT {_OUT} FROM outbox WHERE seq > ?1 AND seq <= ?2 AND origin IS NULL AND peer NOT IN ('', ?3)
  AND (state = 'sent' OR (state = 'queued' AND due IS NOT NULL))
  AND (priority IN (SELECT value FROM json_each(?4)) OR type IN (SELECT value FROM json_each(?5)))
ORDER BY seq LIMIT ?6"""
# Each death is an event, also the second one of a message that was retried; what a person ended is none.
_DEATHS: Final = f"""
SELECT n, {", ".join(f"outbox.{name}" for name in sqlite_outbox.COLUMNS)}
FROM events CROSS JOIN outbox ON outbox.id = events.id AND outbox.sender = events.sender
WHERE n > ?1 AND n <= ?2 AND what IN ('dead', 'expired')
  AND outbox.state = 'dead' AND origin IS NULL AND outbox.peer <> ?3
ORDER BY n LIMIT ?4"""
_LATE: Final = f"""
SELECT {_OUT} FROM outbox INDEXED BY outbox_late
WHERE overdue = 1 AND origin IS NULL AND state NOT IN ('done', 'dead') ORDER BY deadline_at LIMIT ?"""
_WAITS: Final = f"""
SELECT {_OUT} FROM (SELECT * FROM outbox INDEXED BY outbox_due WHERE peer = ?1 AND due IS NOT NULL
  ORDER BY class, place LIMIT {_HEAD})
WHERE origin IS NULL AND queued_at <= ?2 ORDER BY class, place LIMIT 1"""
_PUT: Final = f"INSERT INTO escalations ({_SELECT}) VALUES ({', '.join('?' * len(COLUMNS))})"
_SETS: Final = ", ".join(f"{name} = ?" for name in COLUMNS)
_SAVE: Final = f"UPDATE escalations SET {_SETS} WHERE sender = ? AND id = ?"


class SqliteEscalations:
    """See `EscalationRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def urgent(
        self,
        *,
        after: int,
        before: float,
        now: float,
        priorities: Sequence[int],
        types: Sequence[str],
        road: str,
        limit: int,
    ) -> Found:
        if (end := self._stride("seq", "outbox", after)) is None:
            return Found([], after)
        # Rows stand in the order of time: the first that is too young ends it.
        young = self._db.execute(_YOUNG, (after, end, before, now + _AHEAD_S)).fetchone()
        upto = end if young is None else young[0] - 1
        rows = self._out(_URGENT, (after, upto, road, _json(priorities), _json(types), limit))
        return Found(rows, rows[-1].seq if len(rows) == limit else upto)

    def deaths(self, *, after: int, road: str, limit: int) -> Found:
        if (end := self._stride("n", "events", after)) is None:
            return Found([], after)
        found = self._db.execute(_DEATHS, (after, end, road, limit)).fetchall()
        upto = found[-1][0] if len(found) == limit else end
        return Found([sqlite_outbox.outgoing(row[1:]) for row in found], upto)

    def died(self) -> int:
        (last,) = self._db.execute("SELECT ifnull(max(n), 0) FROM events").fetchone()
        return int(last)

    def late(self, *, limit: int) -> list[Outgoing]:
        return self._out(_LATE, (limit,))

    def told_late(self, seqs: Iterable[int]) -> None:
        self._db.executemany(
            "UPDATE outbox SET overdue = 2 WHERE seq = ? AND overdue = 1", [(seq,) for seq in seqs]
        )

    def waits(self, peer: str, *, before: float) -> Outgoing | None:
        return next(iter(self._out(_WAITS, (peer, before))), None)

    def put(self, row: Escalation) -> None:
        self._db.execute(_PUT, _values(row))

    def get(self, id: str, sender: str) -> Escalation | None:
        return next(iter(self._rows("WHERE sender = ? AND id = ?", (sender, id))), None)

    def save(self, row: Escalation) -> None:
        self._db.execute(_SAVE, (*_values(row), row.sender, row.id))

    def offer(self, id: str, sender: str) -> None:
        self._db.execute("UPDATE escalations SET offered = 1 WHERE sender = ? AND id = ?", (sender, id))

    def open(self) -> list[Escalation]:
        return self._rows("INDEXED BY escalations_open WHERE state = 'open' ORDER BY opened_at", ())

    def count(self) -> int:
        row = self._db.execute("SELECT count(*) FROM escalations WHERE state = 'open'").fetchone()
        return int(row[0])

    def due(self, peer: str | None = None, *, limit: int) -> list[Escalation]:
        where = "INDEXED BY escalations_due WHERE posted < revision AND (?1 IS NULL OR peer = ?1)"
        return self._rows(f"{where} ORDER BY changed_at LIMIT ?2", (peer, limit))

    def forget(self, *, before: float) -> None:
        self._db.execute(
            "DELETE FROM escalations WHERE state = 'resolved' AND resolved_at < ? AND posted >= revision",
            (before,),
        )

    def _stride(self, key: str, table: str, after: int) -> int | None:
        (end,) = self._db.execute(_STRIDE.format(key, table), (after, STRIDE)).fetchone()
        return None if end is None else int(end)

    def _out(self, sql: str, values: tuple[Any, ...]) -> list[Outgoing]:
        return [sqlite_outbox.outgoing(row) for row in self._db.execute(sql, values).fetchall()]

    def _rows(self, where: str, values: tuple[Any, ...]) -> list[Escalation]:
        found = self._db.execute(f"SELECT {_SELECT} FROM escalations {where}", values).fetchall()
        return [_escalation(row) for row in found]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _values(row: Escalation) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(row)
    for name in ("reasons", "shown", "filled"):
        values[name] = _json(values[name])
    return tuple(values[name] for name in COLUMNS)


def _escalation(row: Sequence[Any]) -> Escalation:
    values = dict(zip(COLUMNS, row, strict=True))
    values["reasons"] = _REASONS.decode(values["reasons"])
    values["shown"] = _LINES.decode(values["shown"])
    values["filled"] = _LINES.decode(values["filled"])
    values["offered"], values["travels"] = bool(values["offered"]), bool(values["travels"])
    return Escalation(**values)

"""A look at a host's database from outside: nothing of spool's own reading is trusted here."""

from __future__ import annotations

from typing import Any, Final

import apsw

from spool.states import State
from tests.machine.hosts import Host
from tests.machine.truth import In, Key, Look, Out

_BODY: Final = "json_extract(CAST(raw AS TEXT), '$.body')"
_LEASE: Final = "lease, lease_until"
_OUT: Final = (
    f"sender, id, state, peer, origin, due, {_LEASE}, expires_at, attempts, reason, outcome, note, {_BODY}"
)
_IN: Final = f"sender, id, state, agent, peer, {_LEASE}, attempts, outcome, note, {_BODY}"

# What of each peer waits here, counted row by row.
_WAITING: Final = """
SELECT peer, sum(n), sum(size) FROM (
  SELECT peer, 1 AS n, length(raw) AS size FROM inbox WHERE peer IS NOT NULL AND state IN ('unread', 'read')
  UNION ALL SELECT origin, 1, length(raw) FROM outbox WHERE origin IS NOT NULL AND due IS NOT NULL
  UNION ALL SELECT peer, -messages, -bytes FROM quotas)
GROUP BY peer HAVING sum(n) <> 0 OR sum(size) <> 0"""


def look(host: Host) -> Look:
    """What stands on its disk now.

    Raises:
        AssertionError: the same message stands there twice, or what waits of a peer was counted wrong.
    """
    eye = host.eye
    eye.execute("BEGIN")
    try:
        _quotas(eye, host.name)
        return Look(_outs(eye, host.name), _ins(eye, host.name), _acks(eye))
    finally:
        eye.execute("COMMIT")


def _outs(eye: apsw.Connection, name: str) -> dict[Key, Out]:
    found: dict[Key, Out] = {}
    row: tuple[Any, ...]
    for table in ("outbox", "outbox_archive"):
        for row in eye.execute(f"SELECT {_OUT} FROM {table}").fetchall():
            key = Key(*row[:2])
            assert key not in found, f"I1: {name} has {key} twice in its outbox and archive"
            found[key] = Out._make((key, State(row[2]), *row[3:], table != "outbox"))
    return found


def _ins(eye: apsw.Connection, name: str) -> dict[Key, In]:
    found: dict[Key, In] = {}
    row: tuple[Any, ...]
    for table in ("inbox", "inbox_archive"):
        for row in eye.execute(f"SELECT {_IN} FROM {table}").fetchall():
            key = Key(*row[:2])
            assert key not in found, f"I2: {name} has {key} twice in its inbox and archive"
            found[key] = In._make((key, *row[2:], table != "inbox"))
    return found


def _acks(eye: apsw.Connection) -> list[tuple[str, Key, str]]:
    rows = eye.execute("SELECT peer, recipient, re, status FROM acks ORDER BY seq")
    return [(peer, Key(sender, id), status) for peer, sender, id, status in rows]


def _quotas(eye: apsw.Connection, name: str) -> None:
    wrong = eye.execute(_WAITING).fetchall()
    assert not wrong, f"I6: {name} has these more (or fewer) waiting than it counted: {wrong}"


def leased(host: Host, peer: str, generation: int) -> tuple[set[Key], set[int]]:
    """What the newest link to a peer holds just now: messages, and acks by their number."""
    now = host.now()
    holds = "peer = ? AND lease >> 32 = ? AND lease_until > ? AND lease_until <= ? + 3600"
    values = (peer, generation, now, now)
    messages = _rows(host.eye, f"SELECT sender, id FROM outbox WHERE due IS NOT NULL AND {holds}", values)
    acks = _rows(host.eye, f"SELECT seq FROM acks WHERE {holds}", values)
    return {Key(*row) for row in messages}, {seq for (seq,) in acks}


def left_over(host: Host, peer: str) -> set[Key]:
    """What may be carried to a peer now and is held by nobody."""
    sql = (
        "SELECT sender, id FROM outbox"
        " WHERE peer = ?1 AND due <= ?2 AND expires_at > ?2 AND lease_until <= ?2"
        " UNION ALL SELECT recipient, re FROM acks WHERE peer = ?1 AND lease_until <= ?2"
    )
    return {Key(*row) for row in _rows(host.eye, sql, (peer, host.now()))}


def _rows(eye: apsw.Connection, sql: str, values: tuple[str | float, ...]) -> list[tuple[Any, ...]]:
    return eye.execute(sql, values).fetchall()

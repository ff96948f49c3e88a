"""A look at a host's database from outside: nothing of spool's own reading is trusted here."""

from __future__ import annotations

from typing import Any

import apsw

from spool.states import State
from tests.machine.hosts import Host
from tests.machine.truth import In, Key, Look, Out

_BODY = "json_extract(CAST(raw AS TEXT), '$.body')"
_OUT = f"sender, id, state, peer, origin, due, lease, lease_until, attempts, reason, outcome, {_BODY}"
_IN = f"sender, id, state, agent, lease, lease_until, attempts, outcome, note, {_BODY}"


def look(host: Host) -> Look:
    """What stands on its disk now.

    Raises:
        AssertionError: the same message stands there twice.
    """
    eye = host.eye
    eye.execute("BEGIN")
    try:
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

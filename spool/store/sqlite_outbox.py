"""The outbox and the acks in SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from spool import states
from spool.message import Ack
from spool.states import State
from spool.store.base import Exists, LeasedAck, NewOutgoing, Outgoing, Parcel, Unproven
from spool.store.sqlite_rows import Db

COLUMNS: Final = Outgoing.__struct_fields__[:-1]
_SELECT: Final = ", ".join(COLUMNS)
_HOPS: Final = COLUMNS.index("hops")
_FILLED: Final = COLUMNS.index("filled")
_LIST: Final = msgspec.json.Decoder(list[str])

# A lease carries the generation of its link, above a random part: what an older link held is free
# as soon as a newer one is up, and its late word names a lease that is no more.
_RANDOM_BITS: Final = 32

_NEW: Final = """
INSERT INTO outbox (id, sender, recipient, peer, origin, type, priority, queued_at, expires_at,
    deadline_at, hops, re, thread, filled, digest, raw, class, place, state, due)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?7,
    (SELECT ifnull(max(seq), 0) + 1 FROM outbox), 'queued', ?8)
ON CONFLICT DO NOTHING RETURNING seq"""

_LEASE: Final = """
UPDATE outbox SET lease = ?1, lease_until = ?2, attempts = attempts + 1
WHERE seq IN (
    SELECT seq FROM outbox INDEXED BY outbox_due
    WHERE peer = ?3 AND due IS NOT NULL AND (due <= ?4 OR due > ?4 + 3600) AND expires_at > ?4
      AND (lease_until <= ?4 OR lease_until > ?4 + 3600 OR lease >> 32 <> ?6)
      AND NOT EXISTS (SELECT 1 FROM attached INDEXED BY attached_missing
                      WHERE attached.outbox = outbox.seq AND there = 0)
    ORDER BY class, place LIMIT ?5)
  AND (SELECT generation FROM peers WHERE name = ?3) = ?6
RETURNING class, place, seq, lease, id, sender, recipient, origin, type, priority, attempts, queued_at,
    expires_at, hops, re, filled, raw, digest, state,
    EXISTS (SELECT 1 FROM attached WHERE attached.outbox = outbox.seq)"""

# `ended_at` is set where nothing more can come; the archive counts from there.
_ADVANCE: Final = """
UPDATE {table} SET state = ?2, due = NULL, lease_until = 0, reason = NULL, dead_at = NULL,
    sent_at = ifnull(sent_at, ?3),
    received_at = CASE WHEN ?2 = 'sent' THEN received_at ELSE ifnull(received_at, ?3) END,
    received_there = CASE WHEN ?2 = 'received' THEN ifnull(received_there, ?4) ELSE received_there END,
    read_at = CASE WHEN ?2 IN ('read', 'done') THEN ifnull(read_at, ?3) ELSE read_at END,
    read_there = CASE WHEN ?2 = 'read' THEN ifnull(read_there, ?4) ELSE read_there END,
    done_at = CASE WHEN ?2 = 'done' THEN ?3 ELSE done_at END,
    done_there = CASE WHEN ?2 = 'done' THEN ?4 ELSE done_there END,
    far_host = CASE WHEN ?2 = 'sent' THEN far_host ELSE ifnull(?5, far_host) END,
    ended_at = CASE WHEN ?2 = 'done' THEN ?3 ELSE NULL END
WHERE {key} AND state IN ({sources})"""


def _advances(table: str, key: str) -> dict[State, str]:
    return {
        new: _ADVANCE.format(
            table=table, key=key, sources=", ".join(f"'{old}'" for old in states.sources(new))
        )
        for new in (State.SENT, *states.PROOFS)
    }


_LIVE: Final = _advances("outbox", "seq = ?1 AND id = ?6")
_ARCHIVED: Final = _advances("outbox_archive", "id = ?1 AND sender = ?6")
# The far side's word on receipt may come after its word on reading.
_FILL: Final = """
UPDATE outbox SET received_there = ifnull(received_there, ?2), far_host = ifnull(far_host, ?3),
    due = NULL, lease_until = 0
WHERE seq = ?1 AND id = ?4 AND state IN ('received', 'read', 'done')"""

# It was offered again, and the next hop has it: what becomes of it there counts from now.
_AGAIN: Final = """
UPDATE outbox SET sent_at = CASE WHEN due IS NULL THEN sent_at ELSE ?3 END, due = NULL, lease_until = 0
WHERE seq = ?1 AND id = ?2 AND state IN ('sent', 'received', 'read')"""

# Who answers a message is the agent it was for, by whatever way, or anybody at the peer it went to: there it
# may have been handed on to another agent.
_ANSWERS: Final = """
WHERE id = ?1 AND sender = ?2
  AND (peer = ?3 OR recipient = ?4 OR substr(recipient, 1, length(?4) + 1) = ?4 || '@')"""

# Without an index of its own, which every message would pay for: only so many of the latest are looked at.
ASKED_LATELY: Final = 5000
_ASKED: Final = """
SELECT id FROM outbox WHERE seq > (SELECT ifnull(max(seq), 0) - ?4 FROM outbox) AND sender = ?1
  AND (recipient = ?2 OR substr(recipient, 1, length(?2) + 1) = ?2 || '@')
  AND json_extract(CAST(raw AS TEXT), '$.subject') = ?3
ORDER BY answered, seq DESC LIMIT 1"""


class SqliteOutbox:
    """See `OutboxRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def put(self, row: NewOutgoing) -> int:
        if self._archived(row.id, row.sender):
            raise Exists(row.id)
        if (found := self._db.execute(_NEW, row).fetchone()) is None:
            raise Exists(row.id)
        return int(found[0])

    def put_local(self, row: NewOutgoing, *, at: float, host: str) -> int:
        seq = self.put(row)
        self.advance(seq, row.id, State.RECEIVED, now=at, there=at, host=host)
        return seq

    def lease(self, peer: str, *, generation: int, now: float, until: float, limit: int) -> list[Parcel]:
        token = _token(generation)
        rows = self._db.execute(_LEASE, (token, until, peer, now, limit, generation)).fetchall()
        rows.sort()
        return [Parcel(*row[2:]) for row in rows]

    def release(self, parcels: Iterable[Parcel]) -> None:
        self._db.executemany(
            "UPDATE outbox SET lease_until = 0 WHERE seq = ? AND lease = ?",
            [(parcel.seq, parcel.lease) for parcel in parcels],
        )

    def advance(
        self, seq: int, id: str, new: State, *, now: float, there: float | None, host: str | None
    ) -> bool:
        self._db.execute(_LIVE[new], (seq, new, now, there, host, id))
        if self._db.changes() > 0:
            return True
        if new is State.RECEIVED:
            self._db.execute(_FILL, (seq, there, host, id))
        elif new is State.SENT:
            self._db.execute(_AGAIN, (seq, id, now))
        return False

    def advance_archived(
        self, id: str, sender: str, new: State, *, now: float, there: float | None, host: str | None
    ) -> bool:
        self._db.execute(_ARCHIVED[new], (id, new, now, there, host, sender))
        return self._db.changes() > 0

    def defer(self, parcel: Parcel, *, due: float, reason: str) -> bool:
        self._db.execute(
            "UPDATE outbox SET due = ?, reason = ?, lease_until = 0,"
            " place = (SELECT max(o.place) + 1 FROM outbox AS o INDEXED BY outbox_due"
            "  WHERE o.peer = outbox.peer AND o.class = outbox.class AND o.due IS NOT NULL)"
            " WHERE seq = ? AND lease = ? AND due IS NOT NULL",
            (due, reason, parcel.seq, parcel.lease),
        )
        return self._db.changes() > 0

    def hold(self, seq: int, *, due: float, reason: str) -> bool:
        self._db.execute(
            "UPDATE outbox SET due = ?, reason = ?, attempts = attempts + 1"
            " WHERE seq = ? AND due IS NOT NULL",
            (due, reason, seq),
        )
        return self._db.changes() > 0

    def bury(self, seq: int, *, now: float, reason: str, lease: int | None = None) -> bool:
        self._db.execute(
            "UPDATE outbox SET state = 'dead', due = NULL, lease_until = 0, dead_at = ?1, ended_at = ?1,"
            " reason = ?2 WHERE seq = ?3 AND state NOT IN ('done', 'dead')"
            " AND (?4 IS NULL OR (lease = ?4 AND due IS NOT NULL))",
            (now, reason, seq, lease),
        )
        return self._db.changes() > 0

    def revive(self, seq: int, *, now: float, expires_at: float) -> bool:
        self._db.execute(
            "UPDATE outbox SET state = 'queued', due = ?1, dead_at = NULL, ended_at = NULL, reason = NULL,"
            " attempts = 0, sent_at = NULL, expires_at = ?2 WHERE seq = ?3 AND state = 'dead'",
            (now, expires_at, seq),
        )
        return self._db.changes() > 0

    def finish(self, id: str, sender: str, *, outcome: str, note: str | None) -> None:
        for table in ("outbox", "outbox_archive"):
            self._db.execute(
                f"UPDATE {table} SET outcome = ?, note = ? WHERE id = ? AND sender = ?",
                (outcome, note, id, sender),
            )

    def drop(self, seq: int) -> bool:
        self._db.execute("DELETE FROM outbox WHERE seq = ? AND state = 'dead'", (seq,))
        return self._db.changes() > 0

    def offer_again(self, seqs: Iterable[int], *, now: float) -> None:
        self._db.executemany(
            "UPDATE outbox SET due = ?1, lease_until = 0 WHERE seq = ?2 AND (state IN ('queued', 'sent')"
            " OR (state IN ('received', 'read') AND asked_at < 0 AND expires_at > ?1))",
            [(now, seq) for seq in seqs],
        )

    def doubt(self, peer: str) -> None:
        self._db.execute(
            "UPDATE outbox SET asked_at = -1 WHERE peer = ? AND due IS NULL"
            " AND state IN ('sent', 'received', 'read')",
            (peer,),
        )

    def doubted(self, peer: str, *, after: int, limit: int) -> list[Outgoing]:
        return self._rows(
            "WHERE seq > ? AND peer = ? AND asked_at < 0 ORDER BY seq LIMIT ?", (after, peer, limit)
        )

    def believe(self, keys: Iterable[tuple[str, str]]) -> None:
        self._db.executemany(
            "UPDATE outbox SET asked_at = NULL WHERE sender = ? AND id = ? AND asked_at < 0", keys
        )

    def unproven(self, peer: str, *, after: int, limit: int) -> list[Unproven]:
        rows = self._db.execute(
            "SELECT seq, id, sender, sent_at, expires_at FROM outbox INDEXED BY outbox_open"
            " WHERE state = 'sent' AND peer = ? AND due IS NULL AND seq > ? ORDER BY seq LIMIT ?",
            (peer, after, limit),
        ).fetchall()
        return [Unproven(*row) for row in rows]

    def asked(self, sender: str, recipient: str, subject: str) -> str | None:
        row = self._db.execute(_ASKED, (sender, recipient, subject, ASKED_LATELY)).fetchone()
        return row[0] if row else None

    def exact(self, id: str, sender: str) -> Outgoing | None:
        found = self._rows("WHERE id = ? AND sender = ?", (id, sender), archive=True)
        return found[0] if found else None

    def find(self, prefix: str, *, limit: int = 5) -> list[Outgoing]:
        return self._rows(
            "WHERE id >= ?1 AND id < ?1 || x'f48fbfbf' ORDER BY id LIMIT ?2", (prefix, limit), archive=True
        )

    def ending(self, suffix: str, *, limit: int = 5) -> list[Outgoing]:
        # Not LIKE: an id may hold the _ that stands for any letter there.
        return self._rows("WHERE substr(id, -length(?1)) = ?1 ORDER BY seq DESC LIMIT ?2", (suffix, limit))

    def pending(self, *, limit: int, states: Sequence[State], peer: str | None = None) -> list[Outgoing]:
        marks = ", ".join("?" * len(states))
        which, extra = ("", ()) if peer is None else (" AND peer = ?", (peer,))
        return self._rows(
            f"WHERE state IN ({marks}){which} ORDER BY class, place LIMIT ?", (*states, *extra, limit)
        )

    def counts(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())

    def waiting(self) -> dict[str, int]:
        return dict(
            self._db.execute(
                "SELECT peer, count(*) FROM outbox WHERE due IS NOT NULL GROUP BY peer"
            ).fetchall()
        )

    def oldest_queued(self) -> float | None:
        row = self._db.execute("SELECT min(queued_at) FROM outbox WHERE due IS NOT NULL").fetchone()
        return row[0] if row else None

    def late(self, *, now: float) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM outbox WHERE deadline_at <= ? AND answered = 0"
            " AND state NOT IN ('done', 'dead')",
            (now,),
        ).fetchone()
        return int(row[0])

    def answered(self, id: str, sender: str, *, by: str, peer: str) -> None:
        values = (id, sender, peer, by)
        self._db.execute(f"UPDATE outbox SET answered = 1, overdue = 0, kept = 0 {_ANSWERS}", values)
        if self._db.changes() == 0:
            self._db.execute(f"UPDATE outbox_archive SET answered = 1, overdue = 0 {_ANSWERS}", values)

    def awaits(self, id: str, sender: str, *, by: str, peer: str) -> bool:
        values = (id, sender, peer, by)
        tables = ("outbox", "outbox_archive")
        looks = (f"SELECT 1 FROM {table} {_ANSWERS} AND NOT answered LIMIT 1" for table in tables)
        return any(self._db.execute(look, values).fetchone() is not None for look in looks)

    def _archived(self, id: str, sender: str) -> bool:
        found = self._db.execute("SELECT 1 FROM outbox_archive WHERE id = ? AND sender = ?", (id, sender))
        return found.fetchone() is not None

    def _rows(self, where: str, values: tuple[Any, ...], *, archive: bool = False) -> list[Outgoing]:
        tables = ("outbox", "outbox_archive") if archive else ("outbox",)
        return [
            outgoing(row, archived=table != "outbox")
            for table in tables
            for row in self._db.execute(f"SELECT {_SELECT} FROM {table} {where}", values).fetchall()
        ]


class SqliteAcks:
    """See `AckRows`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    def put(self, peer: str, ack: Ack) -> None:
        self._db.execute(
            "INSERT INTO acks (peer, sender, recipient, re, status, at, host, outcome, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (peer, ack.sender, ack.to, ack.re, ack.status, ack.at, ack.host, ack.outcome, ack.note),
        )

    def lease(self, peer: str, *, generation: int, now: float, until: float, limit: int) -> list[LeasedAck]:
        token = _token(generation)
        rows = self._db.execute(
            "UPDATE acks SET lease = ?1, lease_until = ?2 WHERE seq IN ("
            " SELECT seq FROM acks WHERE peer = ?3"
            " AND (lease_until <= ?4 OR lease_until > ?4 + 3600 OR lease >> 32 <> ?6)"
            " ORDER BY seq LIMIT ?5) AND (SELECT generation FROM peers WHERE name = ?3) = ?6"
            " RETURNING seq, sender, recipient, re, status, at, host, outcome, note",
            (token, until, peer, now, limit, generation),
        ).fetchall()
        rows.sort()
        return [
            LeasedAck(
                row[0],
                token,
                Ack(
                    sender=row[1],
                    to=row[2],
                    re=row[3],
                    status=row[4],
                    at=row[5],
                    host=row[6],
                    outcome=row[7],
                    note=row[8],
                ),
            )
            for row in rows
        ]

    def release(self, acks: Iterable[LeasedAck]) -> None:
        self._db.executemany(
            "UPDATE acks SET lease_until = 0 WHERE seq = ? AND lease = ?",
            [(leased.seq, leased.lease) for leased in acks],
        )

    def drop(self, seqs: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM acks WHERE seq = ?", [(seq,) for seq in seqs])

    def waiting(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT peer, count(*) FROM acks GROUP BY peer").fetchall())


def _token(generation: int) -> int:
    # A hook opens the store and leases nothing: it need not wait for this.
    import secrets

    return generation << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def outgoing(row: Sequence[Any], *, archived: bool = False) -> Outgoing:
    """A row in the order of COLUMNS as a value."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["state"] = State(values["state"])
    values["overdue"] = bool(values["overdue"])
    values["answered"] = bool(values["answered"])
    values["hops"] = _LIST.decode(row[_HOPS])
    values["filled"] = _LIST.decode(row[_FILLED])
    return Outgoing(**values, archived=archived)

"""Escalating: the timed look at what fits the rules of `[escalation]`, and at what moved on since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from spool import doorbell, escalations, log, sweep
from spool.config import Config
from spool.escalation_rules import Rules
from spool.escalations import DEAD, MAX_TEXT, OVERDUE, PEER_DOWN
from spool.message import format_time
from spool.states import State
from spool.store.base import Escalation, Outgoing, Reason, Store, Tx

EVERY_S: Final = 2.0
WAITING: Final = (State.QUEUED, State.SENT)
# How far what was sent, and what died, has been looked through; and for which rules.
SENT: Final = "escalated_sent"
DIED: Final = "escalated_died"
RULES: Final = "escalated_rules"

Known = tuple[Escalation, Outgoing | None]


def run(store: Store, config: Config, home: Path, *, now: float) -> None:
    """Escalate what the rules fit, resolve what is done, and ring for the road that shall tell of it.

    Each message is escalated once, whoever looks and however often; one that moved on is told anew.
    """
    store.check_version()
    steady = sweep.is_steady(store, now)
    with store.read() as tx:
        look = _look(tx, config, now, steady=steady)
    if not any(look):
        return
    # Synced where a person is told: what is not known here after a power cut would be told twice.
    with store.write(sync=bool(look.fits or look.moved)) as tx:
        look = _look(tx, config, now, steady=steady)
        told = _keep(tx, config, look, now)
        rung = [road for road in roads(tx, config) if tx.ledger.ring(road)]
    for keys in told.escalated:
        log.warning("message.escalated", **keys)
    for keys in told.resolved:
        log.info("escalation.resolved", **keys)
    if rung:
        doorbell.ring(home / "run")


class _Looked(NamedTuple):
    """What one look found: what fits a rule, what moved on, overdue rows that are known from now on, how far
    it got, and roads that have something to tell and are not rung for."""

    fits: list[tuple[Outgoing, Reason]]
    moved: list[Known]
    late: list[int]
    marks: dict[str, str]
    roads: list[str]


class _Told(NamedTuple):
    """What the log is told, in its words."""

    escalated: list[dict[str, object]]
    resolved: list[dict[str, object]]


def _look(tx: Tx, config: Config, now: float, *, steady: bool) -> _Looked:
    known = [(row, tx.outbox.exact(row.id, row.sender)) for row in tx.escalations.open()]
    found = _Looked([], list(_moved_on(known, now)), [], {}, [])
    if config.escalation is not None:
        _Rules(tx, config, config.escalation, found, now).look(
            [row for _, row in known if row], steady=steady
        )
    found.roads.extend(road for road in roads(tx, config) if not tx.ledger.has_task(road))
    return found


def roads(tx: Tx, config: Config) -> list[str]:
    """The peers that have something to tell."""
    return [peer for peer in config.peers if tx.escalations.due(peer, limit=1)]


class _Rules:
    """The rules of a config over the tables; adds what they fit to a look, while there is room for it."""

    def __init__(self, tx: Tx, config: Config, rules: Rules, found: _Looked, now: float) -> None:
        self._tx = tx
        self._config = config
        self._rules = rules
        self._found = found
        self._now = now
        self._new: set[tuple[str, str]] = set()
        self._room = rules.max_open - tx.escalations.count()

    def look(self, known: list[Outgoing], *, steady: bool) -> None:
        if self._rules.overdue and self._room > 0:
            self._overdue()
        if self._room > 0:
            self._urgent()
        if self._rules.dead and self._room > 0:
            self._dead()
        # A host that was off has reached nobody for long, and will in a moment.
        if self._rules.peer_down_s and self._room > 0 and steady:
            self._down(known)

    def _add(self, row: Outgoing, rule: str, text: str) -> None:
        before = self._tx.escalations.get(row.id, row.sender)
        if before is not None and any(reason.rule == rule for reason in before.reasons):
            return
        self._found.fits.append((row, Reason(rule, self._now, text)))
        if before is None and (row.sender, row.id) not in self._new:
            self._new.add((row.sender, row.id))
            self._room -= 1

    def _urgent(self) -> None:
        rules, ledger = self._rules, self._tx.ledger
        asked = msgspec.json.encode([rules.priorities, rules.types, rules.peer]).decode()
        same = ledger.fact(RULES) == asked
        after = int(ledger.fact(SENT) or 0) if same else 0
        found = self._tx.escalations.urgent(
            after=after,
            before=self._now - rules.after_s,
            now=self._now,
            priorities=rules.classes,
            types=rules.types,
            road=rules.peer,
            limit=self._room,
        )
        for row in found.rows:
            rule = f"P{row.priority}" if row.priority in rules.classes else row.type
            self._add(row, rule, f"not received within {rules.after_s:g} s")
        self._mark(SENT, found.upto, after)
        if not same:
            self._found.marks[RULES] = asked

    def _dead(self) -> None:
        if (known := self._tx.ledger.fact(DIED)) is None:
            # What died before anybody asked for this is past.
            self._mark(DIED, self._tx.escalations.died(), None)
            return
        found = self._tx.escalations.deaths(after=int(known), road=self._rules.peer, limit=self._room)
        for row in found.rows:
            self._add(row, DEAD, (row.reason or "")[:MAX_TEXT])
        self._mark(DIED, found.upto, int(known))

    def _overdue(self) -> None:
        for row in self._tx.escalations.late(limit=self._room):
            if row.peer != self._rules.peer:
                self._add(row, OVERDUE, f"no answer by {format_time(row.deadline_at or self._now)}")
            self._found.late.append(row.seq)

    def _down(self, known: list[Outgoing]) -> None:
        """One message for each peer: what waits behind it is told of by it."""
        rows, long_ago = self._tx.peers.all(), self._now - self._rules.peer_down_s
        down = {row.peer for row in known if self._is_down(row)}
        for peer in self._config.peers.keys() - down - {self._rules.peer}:
            contact = rows[peer].last_contact if peer in rows else None
            if contact is not None and contact > long_ago:
                continue
            if self._room > 0 and (first := self._tx.escalations.waits(peer, before=long_ago)) is not None:
                when = "never" if contact is None else f"last at {format_time(contact)}"
                self._add(first, PEER_DOWN, f"{peer} was reached {when}, and this waits first for it")

    def _is_down(self, row: Outgoing) -> bool:
        """Whether this one stands for its peer: one that waits no more does not."""
        found = self._tx.escalations.get(row.id, row.sender) if row.state in WAITING else None
        return found is not None and any(reason.rule == PEER_DOWN for reason in found.reasons)

    def _mark(self, name: str, upto: int, before: int | None) -> None:
        if upto != before:
            self._found.marks[name] = str(upto)


def _moved_on(known: list[Known], now: float) -> Iterator[Known]:
    for told, row in known:
        if escalations.is_over(told, row):
            yield escalations.resolved(told, row, now), row
        elif row is not None and escalations.standing(row) != told.shown:
            yield escalations.moved(told, row, now), row


def _keep(tx: Tx, config: Config, look: _Looked, now: float) -> _Told:
    """Write down what a look found; what the log is told once that stands."""
    told = _Told([], [])
    for after, row in look.moved:
        tx.escalations.save(after)
        if after.state == "resolved":
            told.resolved.append(escalations.keys_of(after))
            if not after.offered and row is not None:
                untold = escalations.event(
                    after, row, config.host.name, now, "resolved", "nobody was told yet"
                )
                tx.ledger.event(untold)
    for row, reason in look.fits:
        assert config.escalation is not None
        road = config.escalation.peer
        if escalations.add(tx, config.host.name, row, reason, road=road, now=now):
            told.escalated.append(escalations.escalated_keys(row, reason, road))
    tx.escalations.told_late(look.late)
    for name, mark in look.marks.items():
        tx.ledger.set_fact(name, mark)
    tx.escalations.forget(before=now - config.host.dedup_s)
    return told

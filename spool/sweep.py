"""The sweep: finds everything unfinished again, at start and on a timer; the truth behind the bell."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from spool import doorbell, inbox, log, loops, outbox, sessions
from spool.config import Host
from spool.store.base import Outgoing, Store, is_held

EVERY_S: Final = 2.0
AGE_S: Final = 600.0
BATCH: Final = 500
# All others wait while a batch goes to the archive.
MOVE: Final = 50
PAUSE_S: Final = 0.003
LEAP_S: Final = 3600.0
STEADY_S: Final = 600.0
# A peer that may speak for a pattern could make up names for ever.
MOST_HEARD: Final = 1000
# To look for them reads all that waits.
PROMOTE_EVERY_S: Final = 30.0
PROMOTED: Final = "promoted_at"
FACT: Final = "swept_at"
LEAPT: Final = "clock_leapt_at"


def run(store: Store, host: Host, home: Path, *, now: float) -> None:
    """End what has expired, mark what is overdue, ring for what is due.

    Leases that ran out need nothing: such a row may be leased again, and is rung for here.
    """
    store.check_version()
    _notice_leap(store, now)
    if is_steady(store, now):
        _expire(store, host, now)
        _overdue(store, now)
        _promote(store, now)
    with store.write(sync=False) as tx:
        tx.ledger.set_fact(FACT, repr(now))
        rung = [peer for peer in tx.sweepings.due_peers(now=now) if tx.ledger.ring(peer)]
    if rung:
        doorbell.ring(home / "run")


def _notice_leap(store: Store, now: float) -> None:
    with store.read() as tx:
        swept = tx.ledger.fact(FACT)
    if swept is not None and abs(now - float(swept)) > LEAP_S:
        log.warning("clock.leapt", seconds=round(now - float(swept)))
        with store.write(sync=False) as tx:
            tx.ledger.set_fact(LEAPT, repr(now))


def is_steady(store: Store, now: float) -> bool:
    """Whether the clock may be believed where that cannot be undone: it has not leapt of late.

    A clock that was set wrong by a year is put right soon; until then it would end every message.
    A host that was off looks the same: what ended meanwhile ends STEADY_S later.
    """
    with store.read() as tx:
        facts = tx.ledger.fact(FACT), tx.ledger.fact(LEAPT)
    swept, leapt = (None if fact is None else float(fact) for fact in facts)
    if swept is not None and abs(now - swept) > LEAP_S:
        return False
    return leapt is None or not 0.0 <= now - leapt < STEADY_S


def _expire(store: Store, host: Host, now: float) -> None:
    with store.read() as tx:
        if not tx.sweepings.expired(now=now, limit=1):
            return
    # Synced: a dead letter's word to its sender's host rests on it.
    with store.write(sync=True) as tx:
        ended = [
            row
            for row in tx.sweepings.expired(now=now, limit=BATCH)
            if outbox.bury(tx, row, host.name, now=now, reason=_why(row), what="expired")
        ]
    for row in ended:
        log.warning("message.expired", **outbox.out_keys(row, state="dead", peer=row.peer))


def _why(row: Outgoing) -> str:
    if is_held(row):
        return loops.EXPIRED
    if row.due is None:
        return f"expired: {row.peer} took it and could not say what became of it"
    if row.lease_until > 0.0:
        # Whatever an answer settles has no lease: this one was in hand when its link was lost.
        return f"expired: {row.peer} was being handed it, and how that ended is not known; it may be there"
    return "expired before it could be delivered"


def _promote(store: Store, now: float) -> None:
    with store.read() as tx:
        last = tx.ledger.fact(PROMOTED)
        if last is not None and 0.0 <= now - float(last) < PROMOTE_EVERY_S:
            return
        aged = tx.sweepings.aged(now=now, after_s=AGE_S)
    # A backlog of a million comes of age at once, and others want to write.
    for few in (aged[at : at + BATCH] for at in range(0, len(aged), BATCH)):
        with store.write(sync=False) as tx:
            tx.sweepings.promote(few, now=now, after_s=AGE_S)
        time.sleep(PAUSE_S)
    with store.write(sync=False) as tx:
        tx.ledger.set_fact(PROMOTED, repr(now))


def _overdue(store: Store, now: float) -> None:
    with store.write(sync=False) as tx:
        sent, received = tx.sweepings.overdue(now=now)
    for row in sent:
        log.warning("message.overdue", **outbox.out_keys(row, state=row.state, peer=row.peer))
    for got in received:
        log.warning("message.overdue", **inbox.in_keys(got, state=got.state))


def archive(
    store: Store,
    host: Host,
    *,
    now: float,
    older_than_s: float | None = None,
    tell: Callable[[int], object] = lambda moved: None,
) -> int:
    """Move what ended long enough ago to the archive, in short transactions; how many rows moved.

    Killed at any point, it leaves each row in one place; the next run goes on.

    Args:
        older_than_s: instead of the config's `archive_after_s`.
        tell: called after each transaction with how many have moved so far.
    """
    age = host.archive_after_s if older_than_s is None else older_than_s
    total = 0
    while True:
        with store.write(sync=False) as tx:
            moved = tx.sweepings.archive(before=now - age, stale_before=now - host.dedup_s, limit=MOVE)
        total += moved.rows
        tell(total)
        if sum(moved) < MOVE:
            break
        _tidy(store)
    while total and _tidy(store):
        pass
    forgotten = BATCH if is_steady(store, now) else 0
    while forgotten == BATCH:
        with store.write(sync=False) as tx:
            forgotten = tx.sweepings.forget_seen(before=now - host.dedup_s, limit=BATCH)
    with store.write(sync=False) as tx:
        tx.presence.trim(keep=MOST_HEARD)
        tx.loops.forget(before=now - max(loops.KEEP_S, host.loop_window_s))
    sessions.forget_old(store, now=now)
    if total:
        log.info("archive.moved", count=total)
    return total


def _tidy(store: Store) -> bool:
    # Whoever waits to write looks for the lock from time to time only.
    time.sleep(PAUSE_S)
    with store.write(sync=False) as tx:
        more = tx.sweepings.tidy()
    time.sleep(PAUSE_S)
    return more

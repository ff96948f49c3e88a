"""The files that messages for one peer wait for: which must go there, and what came of it."""

from __future__ import annotations

import random
from typing import Final

from spool import log, outbox, retry
from spool.store.base import Event, Shipment, Store

AT_ONCE: Final = 8
MOST_DAMAGED: Final = 3
_rng = random.Random()


def due(store: Store, peer: str, *, now: float) -> list[Shipment]:
    """What is to be brought to a peer now, for the most urgent message first."""
    with store.read() as tx:
        return tx.attachments.due(peer, now=now, limit=AT_ONCE)


def there(store: Store, peer: str, sha256: str) -> None:
    """The peer has it: the messages that waited for it may go.

    Not synced: what a power cut undoes is offered again, and the peer knows it.
    """
    with store.write(sync=False) as tx:
        tx.attachments.arrived(peer, sha256)
    log.info("attachment.sent", peer=peer, sha256=sha256)


def got(store: Store, peer: str, sha256: str, size: int) -> None:
    """So much of it is there: for who looks at it."""
    with store.write(sync=False) as tx:
        tx.attachments.got(peer, sha256, size)


def defer(store: Store, peer: str, host: str, sha256: str, *, reason: str, now: float) -> None:
    """It could not be brought now: the messages that wait for it are tried again later."""
    with store.write(sync=False) as tx:
        for row in tx.attachments.waiting(peer, sha256):
            tries = row.attempts + 1
            due_at = now + retry.message_delay(tries, _rng)
            if tx.outbox.hold(row.seq, due=due_at, reason=reason):
                tx.ledger.event(
                    Event(row.id, row.sender, now, host, peer, row.state, "deferred", tries, reason)
                )
    log.warning("attachment.deferred", peer=peer, sha256=sha256, error=reason)


def refuse(store: Store, peer: str, host: str, sha256: str, *, reason: str, now: float) -> bool:
    """It can never be brought: the messages that wait for it are dead. True where that made a ring."""
    with store.write(sync=True) as tx:
        rows = tx.attachments.waiting(peer, sha256)
        buried = [row for row in rows if outbox.bury(tx, row, host, now=now, reason=reason)]
    for row in buried:
        log.error("message.dead", **outbox.out_keys(row, state="dead", peer=peer, error=reason))
    return any(row.origin is not None for row in buried)


def damaged(store: Store, peer: str, host: str, sha256: str, *, now: float) -> bool:
    """It arrived and was not what it should be; True where it is worth another try."""
    with store.write(sync=False) as tx:
        times = tx.attachments.damaged(peer, sha256)
    log.warning("attachment.damaged", peer=peer, sha256=sha256, count=times)
    if times >= MOST_DAMAGED:
        reason = f"its attachment {sha256[:12]}… came there damaged {times} times"
        refuse(store, peer, host, sha256, reason=reason, now=now)
    return times < MOST_DAMAGED

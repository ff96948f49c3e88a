"""The files that go to one peer and come from it: which messages wait for what, and what came of it."""

from __future__ import annotations

import random
from typing import Final

from spool import attachments, doorbell, log, outbox, retry
from spool.attachments import MB
from spool.clock import Clock
from spool.folder import Folder, Here, Part
from spool.message import Attachment
from spool.settings import Settings
from spool.store.base import Event, Shipment, Store
from spool.transports.base import Deferred, Refused

AT_ONCE: Final = 8
MOST_DAMAGED: Final = 3
_rng = random.Random()


class Freight:
    """What a link or a files peer may ask of this host about files. Any thread may call it."""

    def __init__(self, store: Store, settings: Settings, peer: str, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._peer = peer
        self._clock = clock

    @property
    def folder(self) -> Folder:
        """The files of this home."""
        return Folder(self._settings.home)

    # -- going out ----------------------------------------------------------------------------

    def due(self) -> list[Shipment]:
        """What messages for this peer wait for and may be brought now, for the most urgent one first."""
        with self._store.read() as tx:
            return tx.attachments.due(self._peer, now=self._clock.now(), limit=AT_ONCE)

    def there(self, sha256: str) -> None:
        """The peer has this file whole: the messages that waited for it may go.

        Not synced: what a power cut undoes is offered again, and the peer knows it.
        """
        with self._store.write(sync=False) as tx:
            tx.attachments.arrived(self._peer, sha256)
        log.info("attachment.sent", peer=self._peer, sha256=sha256)

    def got(self, sha256: str, size: int) -> None:
        """The peer has so much of it; for who looks at it, so now and then is enough."""
        with self._store.write(sync=False) as tx:
            tx.attachments.got(self._peer, sha256, size)

    def defer(self, sha256: str, reason: str) -> None:
        """It could not be brought now: the messages that wait for it are tried again later."""
        now, here, peer = self._clock.now(), self._settings.config.host.name, self._peer
        with self._store.write(sync=False) as tx:
            for row in tx.attachments.waiting(peer, sha256):
                tries = row.attempts + 1
                due_at = now + retry.message_delay(tries, _rng)
                if tx.outbox.hold(row.seq, due=due_at, reason=reason):
                    tx.ledger.event(
                        Event(row.id, row.sender, now, here, peer, row.state, "deferred", tries, reason)
                    )
        log.warning("attachment.deferred", peer=peer, sha256=sha256, error=reason)

    def refuse(self, sha256: str, reason: str) -> None:
        """It can never be brought: the messages that wait for it are dead."""
        now, here = self._clock.now(), self._settings.config.host.name
        # Synced: a dead letter's word to its sender's host rests on it.
        with self._store.write(sync=True) as tx:
            rows = tx.attachments.waiting(self._peer, sha256)
            buried = [row for row in rows if outbox.bury(tx, row, here, now=now, reason=reason)]
        for row in buried:
            log.error("message.dead", **outbox.out_keys(row, state="dead", peer=self._peer, error=reason))
        doorbell.ring(self._settings.home / "run")

    def damaged(self, sha256: str) -> bool:
        """It arrived there and was not what it should be; True where it is worth another try."""
        with self._store.write(sync=False) as tx:
            times = tx.attachments.damaged(self._peer, sha256)
        log.warning("attachment.damaged", peer=self._peer, sha256=sha256, count=times)
        if times >= MOST_DAMAGED:
            self.refuse(sha256, f"its attachment {sha256[:12]}… came there damaged {times} times")
        return times < MOST_DAMAGED

    # -- coming in ----------------------------------------------------------------------------

    def offered(self, file: Attachment) -> Part | Here | Deferred | Refused:
        """Make ready for a file that the peer brings: see `attachments.receive`."""
        host, now = self._settings.config.host, self._clock.now()
        return attachments.receive(self._store, self._settings.home, host, self._peer, file, now=now)

    def has_room(self, part: Part) -> bool:
        """Whether the disk has room to go on with a part, which counts as wanted now."""
        with self._store.write(sync=False) as tx:
            tx.attachments.wanted(part.name, now=self._clock.now())
        return self._store.free_bytes() >= self._settings.config.host.low_water_mb * MB

    def landed(self, part: Part) -> None:
        """A part was sealed: it is whole."""
        attachments.landed(self._store, part, now=self._clock.now())
        log.info("attachment.stored", peer=self._peer, sha256=part.file.sha256, bytes=part.file.bytes)

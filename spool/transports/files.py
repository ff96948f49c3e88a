"""A files peer from reached to ended: publishes what is due, takes what was left, looks for receipts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Final

import msgspec

from spool import log
from spool.config import Peer
from spool.errors import FolderMissing, LinkError, LinkLost, StoreError
from spool.files_gate import FilesGate
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports.base import Files, Left, Outcome, Refused
from spool.transports.cargo import Cargo
from spool.transports.publish import Draft, Publisher
from spool.transports.receipts import Receipts
from spool.transports.take import Taker
from spool.transports.watch import Watch

BATCH: Final = 512
LOOK_S: Final = 1.0
HOLD_EVERY_S: Final = 20.0
SWEEP_EVERY_S: Final = 3600.0
# Huey's tick asks for each round; where it does not, a round is late by this.
LATE: Final = 3.0
# A look into the folders is followed by so many times its length without one.
REST: Final = 3.0
_encode = msgspec.json.encode


class Rounds:
    """The rounds of one files peer; `run` does them in the caller's thread.

    It goes by what `Link` promises its caller: `poke`, `quiet_for`, `end`, `run` and `up`.
    """

    def __init__(self, files: Files, gate: FilesGate) -> None:
        self._files = files
        self._gate = gate
        self._peer: Peer = gate.peer
        self._publisher: Publisher | None = None
        self._receipts: Receipts | None = None
        self._taker: Taker | None = None
        self._watch: Watch | None = None
        self._cargo: Cargo | None = None
        self._wake = threading.Condition()
        self._due = True
        self._ended = threading.Event()
        self._error: LinkError | None = None
        self._began = self._gate.monotonic()
        self._round_at = self._held_at = self._moved_at = self._swept_at = float("-inf")
        self._rest_until = float("-inf")
        self._busy, self._at_work = True, False
        self.up = threading.Event()

    def poke(self) -> None:
        """Somebody rang: publish what is due."""
        with self._wake:
            self._busy = True
            self._wake.notify_all()

    def look(self) -> None:
        """Something came into a folder: take it now."""
        with self._wake:
            if not self._due:
                self._busy = self._due = True
                self._wake.notify_all()

    def tick(self) -> None:
        """The timer's word: a round is made where the last one is `poll_s` ago."""
        if self._gate.monotonic() - self._round_at >= self._peer.poll_s:
            self.look()

    def quiet_for(self) -> float:
        """Seconds since a file last moved; 0 before the first round is over, and while there is work."""
        with self._wake:
            # What takes long has not moved yet.
            if self._busy or self._due or self._at_work or self._round_at == float("-inf"):
                return 0.0
            return self._gate.monotonic() - max(self._moved_at, self._began)

    def end(self, why: LinkError | None = None) -> None:
        """End it, from any thread, as often as one likes; the first reason counts."""
        with self._wake:
            if not self._ended.is_set():
                self._error = why
                self._ended.set()
            self._wake.notify_all()
        self._files.close()

    def run(self) -> None:
        """Make rounds until it ends.

        Raises:
            LinkError: why it ended; nothing where this side ended it on purpose.
        """
        try:
            self._gate.opened()
            self._begin()
            self.up.set()
            while not self._ended.is_set():
                self._turn()
        except LinkError as exc:
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        finally:
            self.end()
            if self._watch is not None:
                self._watch.close()
            with contextlib.suppress(StoreError):
                self._gate.left(str(self._error or "ended here"))
        if self._error is not None:
            raise self._error

    def _begin(self) -> None:
        inbox, outbox = _folder(self._peer.inbox), _folder(self._peer.outbox)
        if self._peer.scheme == "dir":
            # What lies under /tmp is gone when the machine starts anew, and nobody else makes it.
            for folder in filter(None, (inbox, outbox)):
                self._files.make(folder)
        if inbox:
            # Who writes acks needs no witness.
            witness = None if self._peer.acks else self._files.witness(inbox)
            self._publisher = Publisher(self._files, inbox, witness)
            self._receipts = Receipts(self._files, inbox, self._gate, acks=self._peer.acks, witness=witness)
            self._receipts.begin()
        self._cargo = Cargo(self._files, self._gate.freight, self._gate, inbox=inbox, outbox=outbox)
        if outbox:
            self._taker = self._new_taker(outbox)
            if self._peer.scheme == "dir":
                self._watch = Watch([outbox], self.look)

    # -- a turn --------------------------------------------------------------------------------

    def _turn(self) -> None:
        with self._wake:
            rest_s = max(0.0, self._rest_until - self._gate.monotonic())
            if not self._busy:
                self._wake.wait(min(LOOK_S, rest_s) if self._due else LOOK_S)
            due = self._due and self._gate.monotonic() >= self._rest_until
            self._due, self._busy, self._at_work = self._due and not due, False, True
        if self._ended.is_set():
            return
        now = self._gate.monotonic()
        if due or now - self._round_at >= LATE * self._peer.poll_s:
            self._round()
        self._push()
        self._carry()
        if now - self._held_at >= HOLD_EVERY_S or due:
            self._held_at = now
            self._gate.hold(heard=True)
        with self._wake:
            self._at_work = False

    def _round(self) -> None:
        began, is_long = self._gate.monotonic(), False
        if self._taker is not None:
            taken = self._taker.take()
            self._count(taken)
            is_long = self._taker.has_more or taken >= BATCH
            if self._taker.has_more:
                self.look()
        if self._receipts is not None:
            self._count(self._receipts.look())
            self._sweep()
        self._round_at = self._gate.monotonic()
        if not is_long:
            # Whoever writes there without end, beside many other files, must not have a core here.
            self._rest_until = self._round_at + REST * (self._round_at - began)

    def _carry(self) -> None:
        """Move a slice of attachments; then mail has its turn again."""
        if self._cargo is None:
            return
        wanted = len(self._gate.wanted())
        if self._cargo.move():
            self._count(1)
        if len(self._gate.wanted()) < wanted and self._taker is not None:
            # A message may have all it waited for.
            self._taker.try_again()
            self.look()

    def _push(self) -> None:
        while not self._ended.is_set():
            load = self._gate.load(BATCH)
            if not load.parcels and not load.acks:
                return
            try:
                done = self._publish_acks(load.acks)
                self._publish(load.parcels)
            except BaseException:
                # Where the store fails too, the leases run out by themselves.
                with contextlib.suppress(StoreError):
                    self._gate.release(load)
                raise
            self._count(len(load.parcels))
            self._gate.hold(heard=True)
            if not done:
                # They are free again; what is in their way is not gone within this very moment.
                return

    def _publish(self, parcels: Sequence[Parcel]) -> None:
        if not parcels:
            return
        outcomes: Sequence[Outcome]
        if self._publisher is None:
            outcomes = [Refused(f"{self._peer.name} has no inbox")] * len(parcels)
        else:
            drafts = [Draft(f"{parcel.id}.json", parcel.raw, parcel.attempts > 1) for parcel in parcels]
            outcomes = self._publisher.publish(drafts, now=self._gate.now())
        self._gate.settle(list(zip(parcels, outcomes, strict=True)))

    def _publish_acks(self, acks: Sequence[LeasedAck]) -> bool:
        """Whether all of them are there now, or not wanted."""
        if not acks:
            return True
        if not self._peer.acks or self._publisher is None:
            self._gate.forget_acks([leased.seq for leased in acks])
            return True
        # The sequence makes the name its own, and the same again at each try.
        drafts = [
            Draft(f"ack-{leased.ack.re}-{leased.ack.status}-{leased.seq}.json", _encode(leased.ack), True)
            for leased in acks
        ]
        outcomes = self._publisher.publish(drafts, now=self._gate.now())
        told = list(zip(acks, outcomes, strict=True))
        if there := [leased.seq for leased, outcome in told if isinstance(outcome, Left)]:
            self._gate.drop_acks(there)
        left = [leased for leased, outcome in told if not isinstance(outcome, Left)]
        self._gate.release(Load([], left))
        return not left

    def _sweep(self) -> None:
        now = self._gate.monotonic()
        if self._publisher is None or self._receipts is None or now - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = now
        try:
            gone = self._publisher.sweep(now=self._gate.now()) + self._receipts.sweep()
        except FolderMissing:
            # A key that may only put files lists no folder; all else goes on.
            if not self._receipts.is_marked():
                raise
            return
        if gone:
            log.info("files.swept", peer=self._peer.name, count=gone)

    def _count(self, moved: int) -> None:
        if moved:
            self._moved_at = self._gate.monotonic()
            self.poke()

    def _new_taker(self, outbox: str) -> Taker:
        return Taker(
            self._files,
            outbox,
            self._gate,
            host=self._gate.host,
            max_bytes=self._gate.max_bytes,
            monotonic=self._gate.monotonic,
        )


def _folder(path: str) -> str:
    return (path.rstrip("/") or "/") if path else ""

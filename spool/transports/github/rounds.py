"""A github peer from reached to ended: posts what is due, and reads what came every few seconds."""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from spool.errors import LinkError, LinkLost, PeerMisconfigured, StoreError
from spool.issues_gate import IssuesGate, Rate
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports.base import Deferred
from spool.transports.github.acking import Acker
from spool.transports.github.client import Repository
from spool.transports.github.notices import Notifier
from spool.transports.github.posting import NOT_DONE, Poster, unsure
from spool.transports.github.reading import Reader

# Each write takes a second: a lease must outlast a batch of them, and reading has its turn in between.
BATCH: Final = 8
LOOK_S: Final = 1.0
HOLD_EVERY_S: Final = 20.0
RATE_EVERY_S: Final = 60.0


class IssueRounds:
    """The rounds of one github peer; `run` does them in the caller's thread. See `Exchange`."""

    def __init__(self, repository: Repository, gate: IssuesGate) -> None:
        self._repository = repository
        self._gate = gate
        self._poster = Poster(repository, gate)
        self._acker = Acker(repository, gate)
        self._notifier = Notifier(repository, gate)
        self._reader = Reader(repository, gate)
        self._wake = threading.Condition()
        self._ended = threading.Event()
        self._error: LinkError | None = None
        self._busy = self._at_work = True
        self._began = gate.monotonic()
        self._read_at = self._held_at = self._rated_at = float("-inf")
        self._moved_at = self._began
        self.up = threading.Event()

    def poke(self) -> None:
        """Somebody rang: post what is due."""
        with self._wake:
            self._busy = True
            self._wake.notify_all()

    def quiet_for(self) -> float:
        """Seconds since something last moved; 0 before the first look is over, and while there is work."""
        with self._wake:
            # Each write takes long: one that is under way has not moved yet.
            if self._busy or self._at_work or self._read_at == float("-inf"):
                return 0.0
            return self._gate.monotonic() - self._moved_at

    def end(self, why: LinkError | None = None) -> None:
        """End it, from any thread, as often as one likes; the first reason counts."""
        with self._wake:
            if not self._ended.is_set():
                self._error = why
                self._ended.set()
            self._wake.notify_all()
        self._repository.close()

    def run(self) -> None:
        """Make rounds until it ends.

        Raises:
            LinkError: why it ended; nothing where this side ended it on purpose.
        """
        try:
            self._begin()
            while not self._ended.is_set():
                self._turn()
        except LinkError as exc:
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        finally:
            self.end()
            with contextlib.suppress(StoreError):
                self._keep_rate()
                self._gate.left(str(self._error or "ended here"))
        if self._error is not None:
            raise self._error

    def _begin(self) -> None:
        login = self._repository.login()
        self._repository.about()
        if not login and not self._gate.peer.logins:
            raise PeerMisconfigured(
                f"{self._repository.name}: GitHub does not say whose token this is",
                hint=f"name the account it writes as in [peers.{self._gate.peer_name}] logins",
            )
        self._gate.opened(self._repository.place, login, ahead=lambda: self._repository.ahead_s)
        self.up.set()

    # -- a turn --------------------------------------------------------------------------------

    def _turn(self) -> None:
        with self._wake:
            if not self._busy:
                self._at_work = False
                self._wake.wait(LOOK_S)
            self._busy, self._at_work = False, True
        if self._ended.is_set():
            return
        try:
            self._push()
        except NOT_DONE:
            raise
        except LinkError:
            # What cannot be written each time must not keep us from reading.
            with contextlib.suppress(LinkError):
                self._look()
            raise
        self._look()
        self._hold()

    def _look(self) -> None:
        """Read what came, where it is time for that."""
        if not self._ended.is_set() and self._gate.monotonic() - self._read_at >= self._gate.peer.poll_s:
            self._count(self._reader.look())
            self._read_at = self._gate.monotonic()
            self._rate_now_and_then()

    def _push(self) -> None:
        """One batch; then reading has its turn."""
        failed: LinkError | None = None
        try:
            self._count(self._notifier.tell())
        except NOT_DONE:
            raise
        except LinkError as exc:
            # One issue that fails each time must not keep mail from going.
            failed = exc
        load = self._gate.load(BATCH)
        parcels, acks = list(load.parcels), list(load.acks)
        try:
            while parcels and not self._ended.is_set():
                self._post(parcels[0])
                parcels.pop(0)
                self._hold()
            if acks and not self._ended.is_set():
                self._acker.write(acks)
                acks = []
        except BaseException:
            # Where the store fails too, the leases run out by themselves.
            with contextlib.suppress(StoreError):
                self._release(parcels, acks)
            raise
        self._release(parcels, acks)
        self._count(len(load.parcels) + len(load.acks))
        if failed is not None:
            raise failed

    def _post(self, parcel: Parcel) -> None:
        try:
            outcome = self._poster.post(parcel)
        except NOT_DONE:
            raise
        except LinkError as exc:
            # What fails each time must not stand in the way of all behind it.
            self._gate.settle([(parcel, Deferred(unsure(exc)))])
            raise
        self._gate.settle([(parcel, outcome)])

    def _release(self, parcels: list[Parcel], acks: list[LeasedAck]) -> None:
        if parcels or acks:
            self._gate.release(Load(parcels, acks))

    def _hold(self) -> None:
        now = self._gate.monotonic()
        if now - self._held_at >= HOLD_EVERY_S:
            self._held_at = now
            self._gate.hold(heard=True)

    def _rate_now_and_then(self) -> None:
        if self._gate.monotonic() - self._rated_at >= RATE_EVERY_S:
            self._rated_at = self._gate.monotonic()
            self._keep_rate()

    def _keep_rate(self) -> None:
        if (rate := self._repository.rate) is not None:
            self._gate.keep_rate(Rate(*rate))

    def _count(self, moved: int) -> None:
        if moved:
            self._moved_at = self._gate.monotonic()
            self.poke()

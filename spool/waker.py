"""The waker: a thread of a running host that wakes idle sessions by their inbox sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from spool import doorbell, log, resting, sessions, waking
from spool.clients import claude_inbox
from spool.clients.claude_inbox import Address, NotDelivered
from spool.clock import Clock
from spool.digest import tame
from spool.errors import StoreError
from spool.store.base import Session, Store
from spool.waking import Wake

EVERY_S: Final = 1.0
# After how long it is tried again; then the mail is left for the session's next turn.
AGAIN_S: Final = (1.0, 3.0, 9.0)
# What a session may be told in one message.
MOST_UNITS: Final = 10_000
_SAID: Final = 200
Deliver = Callable[[Address, str], str]


class _Due(NamedTuple):
    """A wake-up that did not come through, how often it was tried, and when it is again (monotonic)."""

    wake: Wake
    tries: int
    at: float


class Waker:
    """Looks at each ring and once a second. Several of one home wake a session once for each message.

    Args:
        run: the folder `run/` of the home.
        deliver: how to tell a session.
    """

    def __init__(
        self, run: Path, store: Store, clock: Clock, *, deliver: Deliver = claude_inbox.deliver
    ) -> None:
        self._run = run
        self._store = store
        self._clock = clock
        self._deliver = deliver
        self._due: dict[str, _Due] = {}
        self._halt = threading.Event()
        self._bell: doorbell.Bell | None = None
        self._thread = threading.Thread(target=self._work, name="waker", daemon=True)

    def start(self) -> None:
        """Begin to look; once."""
        self._bell = doorbell.Bell(self._run)
        self._thread.start()

    def stop(self) -> None:
        """End it, as often as one likes; what it has begun it ends within seconds."""
        self._halt.set()
        if self._bell is None:
            return
        self._bell.ring()
        self._thread.join(2 * claude_inbox.LIMIT_S + claude_inbox.ANSWER_S)
        self._bell.close()
        self._bell = None

    def look(self) -> None:
        """Wake whom there is to wake now. Raises StoreError."""
        with self._store.read() as tx:
            found = [session for session in tx.sessions.open() if session.wake is not None]
        for gone in self._due.keys() - {session.id for session in found}:
            del self._due[gone]
        for session in found:
            if self._halt.is_set():
                return
            self._look_at(session)

    def _work(self) -> None:
        bell = self._bell
        assert bell is not None
        while not self._halt.is_set():
            try:
                self.look()
            except StoreError as exc:
                log.error("store.failed", error=str(exc), kind=exc.kind)
            except Exception as exc:  # noqa: BLE001  the last door of this thread: mail goes on without it
                log.error("session.wake_failed", how="socket", error=repr(exc), exc_info=True)
                return
            bell.wait(EVERY_S)

    def _look_at(self, session: Session) -> None:
        now = self._clock.now()
        if not sessions.lives(session, now=now):
            # Its token opens nothing any more.
            self._forget(session)
        elif session.id in self._due:
            self._try_again(session, self._due[session.id])
        elif resting.may_be_woken(session, now=now):
            wake = waking.draft(self._store, session.id, now=now, room=MOST_UNITS)
            if wake is not None and waking.claim(self._store, wake, now=now):
                self._try(wake, 1)

    def _try_again(self, session: Session, due: _Due) -> None:
        if self._clock.monotonic() < due.at:
            return
        del self._due[session.id]
        if waking.is_wanted(self._store, due.wake, now=self._clock.now()):
            # Its socket may be another one by now.
            self._try(due.wake._replace(session=session), due.tries + 1)

    def _try(self, wake: Wake, tries: int) -> None:
        where = claude_inbox.address(wake.session.wake or "")
        if where is None:
            waking.failed(wake, "socket", "what was kept of its socket is no address", attempt=tries)
            self._forget(wake.session)
            return
        try:
            said = self._deliver(where, wake.text)
        except NotDelivered as exc:
            again_s = AGAIN_S[tries - 1] if tries <= len(AGAIN_S) else None
            waking.failed(wake, "socket", str(exc), attempt=tries, again_s=again_s)
            if again_s is not None:
                self._due[wake.session.id] = _Due(wake, tries, self._clock.monotonic() + again_s)
        else:
            waking.woken(wake, "socket", attempt=tries, said=tame(said, _SAID))

    def _forget(self, session: Session) -> None:
        with self._store.write(sync=False) as tx:
            tx.sessions.update(session.id, wake=None)

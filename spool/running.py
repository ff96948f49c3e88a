"""A living process of a home, as consumer or as the far end of a link; picks the transports."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from spool import attachments, log, presence, sweep, waiters
from spool import home as homes
from spool.carrier import Carrier
from spool.clock import Clock
from spool.config import Peer
from spool.desk import SYSTEM
from spool.doorbell import Listener
from spool.errors import BadConfig, LinkError, StoreError, StoreNewer
from spool.presence import Presence
from spool.settings import Settings
from spool.store.sqlite import SqliteStore
from spool.transports.base import Dial, Files, Open, Pipe
from spool.version import VERSION
from spool.waker import Waker

QUICK_CHECK_BYTES: Final = 64 * 1024 * 1024
ALIVE_S: Final = 60.0
CHECK_S: Final = 5.0
ARCHIVE_S: Final = 60.0
# What `once` says of a peer whose mail has gone.
EXCHANGED: Final = "exchanged"
CARRIED: Final = "carried by another process"
# One line for each way to reach a peer: the module whose `dial` opens the pipe.
TRANSPORTS: Final = {
    "ssh": "spool.transports.ssh",
    "exec": "spool.transports.exec",
}
# The same for files peers: the module whose `open_files` reaches the folders.
FOLDERS: Final = {
    "sftp": "spool.transports.sftp",
    "dir": "spool.transports.directory",
}


def dial(peer: Peer, home: Path, *, as_name: str) -> Pipe:
    """Open a pipe to a peer by the scheme of its url. Raises LinkError."""
    module = TRANSPORTS.get(peer.scheme)
    if module is None:
        raise BadConfig(f"[peers.{peer.name}] url: no transport for {peer.scheme!r}")
    opener: Dial = importlib.import_module(module).dial
    return opener(peer, home, as_name=as_name)


def open_files(peer: Peer, home: Path) -> Files:
    """Reach the folders of a files peer by the scheme of its url. Raises LinkError."""
    opener: Open = importlib.import_module(FOLDERS[peer.scheme]).open_files
    return opener(peer, home)


class Running:
    """This process as a part of a home: announced, listening for the bell, carrying links.

    Args:
        role: consumer or serve; it stands in the log and in `status`.

    Raises:
        SpoolError: no home, a bad config, a store that cannot be used. Nothing is left behind.
    """

    def __init__(self, home: Path, role: str, *, clock: Clock = SYSTEM) -> None:
        self.home = home
        self.clock = clock
        self._checked = clock.monotonic()
        homes.refuse_network_disk(home)
        self.store = SqliteStore(home)
        try:
            if self.store.path.stat().st_size <= QUICK_CHECK_BYTES:
                self.store.quick_check()
            self.settings = Settings(home, self.store, clock)
            self.presence = Presence(home / "run", role, now=clock.now(), version=VERSION)
        except BaseException:
            self.store.close()
            raise
        self.listener = Listener(home / "run")
        self.carrier = Carrier(
            self.store,
            self.settings,
            clock,
            token=self.presence.token,
            version=VERSION,
            dial=self._dial,
            open_files=self._open_files,
        )
        self.waker = Waker(home / "run", self.store, clock)
        self._unsubscribe = self.listener.subscribe(self.carrier.poke)

    @property
    def host(self) -> str:
        """This host's name."""
        return self.settings.config.host.name

    def _dial(self, peer: Peer) -> Pipe:
        return dial(peer, self.home, as_name=self.host)

    def _open_files(self, peer: Peer) -> Files:
        return open_files(peer, self.home)

    def sweep(self) -> None:
        """See `sweep.run`."""
        sweep.run(self.store, self.settings.config.host, self.home, now=self.clock.now())

    def archive(self) -> None:
        """See `sweep.archive`; what processes that were killed left under `run/` goes too, and files
        that no message needs."""
        presence.living(self.home / "run")
        waiters.clear(self.home / "run")
        now = self.clock.now()
        sweep.archive(self.store, self.settings.config.host, now=now)
        if sweep.is_steady(self.store, now):
            attachments.forget(self.store, self.home, now=now)

    def configure_log(self, level: str = "info", *, stderr: bool = True) -> None:
        """Send this process's events to the home's log, and to stderr where asked."""
        log.configure(
            self.home,
            role=self.presence.process.role,
            host=self.host,
            version=VERSION,
            stderr=stderr,
            level=level,
        )

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin to carry; `wake` is called at each ring too."""
        self.listener.subscribe(wake)
        self.carrier.start()
        self.waker.start()

    def check(self) -> None:
        """End the process with one line where another version of spool has migrated the file."""
        now = self.clock.monotonic()
        if now - self._checked < CHECK_S:
            return
        self._checked = now
        try:
            self.store.check_version()
        except StoreNewer as exc:
            log.error("consumer.outdated", error=str(exc))
            raise SystemExit(f"spool: {exc}") from None
        except StoreError as exc:
            log.error("store.failed", error=str(exc), kind=exc.kind)

    def reload(self) -> None:
        """Pick up a changed config now; the links of peers that did not change stay."""
        self.carrier.refresh()

    def end(self, began: float) -> None:
        """Stop, and say that the consumer stopped and how long it took, in seconds."""
        self.stop()
        log.info("consumer.stopped", took_s=round(self.clock.monotonic() - began, 3))

    def say_alive(self) -> None:
        """Log the counts of `status`, so that silence is the alarm."""
        now = self.clock.now()
        with self.store.read() as tx:
            out, inn = tx.outbox.counts(), tx.inbox.counts()
            oldest, unread = tx.outbox.oldest_queued(), tx.inbox.oldest_unread()
            overdue = tx.outbox.late(now=now) + tx.inbox.late(now=now)
            apart, held = tx.ledger.count_quarantined(), tx.loops.count()
            linked = sum(row.state == "linked" for row in tx.peers.all().values())
        log.info(
            "consumer.alive",
            outbox=out,
            inbox=inn,
            linked=linked,
            quarantine=apart,
            held=held,
            overdue=overdue,
            oldest_queued_s=None if oldest is None else round(now - oldest, 1),
            oldest_unread_s=None if unread is None else round(now - unread, 1),
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the links, take everything back. As often as one likes."""
        self._unsubscribe()
        self.waker.stop()
        self.carrier.stop(timeout_s)
        self.listener.close()
        self.presence.close()
        self.store.close()

    def serve(self, peer: str, pipe: Pipe) -> None:
        """Be the far end of a link until it ends, sweeping beside it.

        Raises:
            LinkError: why it ended.
        """
        self.settings.config.peer(peer)
        halt = threading.Event()
        sweeper = threading.Thread(target=self._sweep_until, args=(halt,), name="sweeper", daemon=True)
        sweeper.start()
        self.waker.start()
        try:
            self.carrier.accept(peer, pipe)
        finally:
            halt.set()
            sweeper.join(2.0)

    def once(self, *, timeout_s: float = 60.0, quiet_s: float = 1.5) -> dict[str, str]:
        """Dial every peer, exchange until nothing moves, sweep, archive; what became of each peer."""
        self.sweep()
        self.carrier.start()
        deadline = self.clock.monotonic() + timeout_s
        pending = {caller.peer.name: caller for caller in self.carrier.callers()}
        said: dict[str, str] = {}
        while pending and self.clock.monotonic() < deadline:
            for name, caller in list(pending.items()):
                link = caller.link
                if link is not None and link.up.is_set() and link.quiet_for() >= quiet_s:
                    said[name] = EXCHANGED
                elif link is None and (found := self._without_us(name, caller.tries)) is not None:
                    said[name] = found
                else:
                    continue
                del pending[name]
            time.sleep(0.05)
        said.update(dict.fromkeys(pending, "timed out"))
        self.waker.look()
        self.archive()
        return said

    def _without_us(self, name: str, tries: int) -> str | None:
        """What there is to say of a peer that this process has no link to; None while it may get one."""
        with self.store.read() as tx:
            row = tx.peers.get(name)
        ours = row.holder in (None, self.presence.token)
        if row.state == "linked" and not ours and presence.lives(self.home / "run", row.holder or ""):
            return CARRIED
        waits = row.retry_at is not None and row.retry_at > self.clock.now() + 1
        return (row.error or "ended") if tries or waits or row.state == "stopped" else None

    def _sweep_until(self, halt: threading.Event) -> None:
        archived = 0.0
        while True:
            guarded(self.reload)
            guarded(self.sweep)
            if self.clock.monotonic() - archived > ARCHIVE_S:
                archived = self.clock.monotonic()
                guarded(self.archive)
            if halt.wait(sweep.EVERY_S):
                return


def guarded(work: Callable[[], Any]) -> None:
    """Run one round of timed work; a store that fails is logged and met again next round."""
    try:
        work()
    except (StoreError, LinkError) as exc:
        log.error("store.failed", error=str(exc), kind=exc.kind)

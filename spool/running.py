"""A living process of a home, as consumer or as the far end of a link; picks the transports."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spool import attachments, escalating, log, presence, sweep, waiters
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

if TYPE_CHECKING:
    from spool.transports.github.client import Repository
    from spool.transports.http_call import HttpCall

QUICK_CHECK_BYTES: Final = 64 * 1024 * 1024
ALIVE_S: Final = 60.0
CHECK_S: Final = 5.0
ARCHIVE_S: Final = 60.0
# So long `once` waits for people to be told, at least.
TELL_S: Final = 20.0
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


def open_issues(peer: Peer, clock: Clock = SYSTEM) -> Repository:
    """Reach the repository of a github peer. Raises LinkError."""
    from spool import credentials

    client = credentials.needed("spool.transports.github.client", name="github", wanted_by=peer.url)
    repository: Repository = client.open_repository(peer, lambda: credentials.token(peer), clock)
    return repository


def open_web(peer: Peer, home: Path, *, as_name: str, clock: Clock = SYSTEM) -> HttpCall:
    """Make what asks an https peer; nothing is asked yet. Raises LinkError, BadConfig."""
    from spool import credentials, web_secret

    # An extra of this package has what it needs.
    module = credentials.needed("spool.transports.http_call", name="web", wanted_by=peer.url)
    made: HttpCall = module.HttpCall(
        peer,
        web_secret.of(peer, home),
        as_name=as_name,
        version=VERSION,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    return made


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
            open_issues=self._open_issues,
            open_web=self._open_web,
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

    def _open_issues(self, peer: Peer) -> Repository:
        return open_issues(peer, self.clock)

    def _open_web(self, peer: Peer) -> HttpCall:
        return open_web(peer, self.home, as_name=self.host, clock=self.clock)

    def sweep(self) -> None:
        """See `sweep.run`."""
        sweep.run(self.store, self.settings.config.host, self.home, now=self.clock.now())

    def escalates(self) -> bool:
        """Whether there are rules to look by, every few seconds."""
        return self.settings.config.escalation is not None

    def escalate(self) -> None:
        """See `escalating.run`."""
        escalating.run(self.store, self.settings.config, self.home, now=self.clock.now())

    def archive(self) -> None:
        """See `sweep.archive`; what processes that were killed left under `run/` goes too, and files
        that no message needs."""
        presence.living(self.home / "run")
        waiters.clear(self.home / "run")
        now = self.clock.now()
        sweep.archive(self.store, self.settings.config.host, now=now)
        if sweep.is_steady(self.store, now):
            attachments.forget(self.store, self.home, now=now)
        if not self.escalates():
            # What was open when the rules went is closed all the same.
            self.escalate()

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
            escalated = tx.escalations.count()
            linked = sum(row.state == "linked" for row in tx.peers.all().values())
        log.info(
            "consumer.alive",
            outbox=out,
            inbox=inn,
            linked=linked,
            quarantine=apart,
            held=held,
            overdue=overdue,
            escalated=escalated,
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
        with self.sweeping():
            self.carrier.accept(peer, pipe)

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[None]:
        """Sweep and archive beside whatever else this process does: there may be no consumer."""
        halt = threading.Event()
        sweeper = threading.Thread(target=self._sweep_until, args=(halt,), name="sweeper", daemon=True)
        sweeper.start()
        self.waker.start()
        try:
            yield
        finally:
            halt.set()
            sweeper.join(2.0)

    def once(self, *, timeout_s: float = 60.0, quiet_s: float = 1.5) -> dict[str, str]:
        """Dial every peer, exchange until nothing moves, tell people of what could not go, sweep, archive;
        what became of each peer."""
        self.sweep()
        self.carrier.start()
        deadline = self.clock.monotonic() + timeout_s
        said = self._exchange(deadline, quiet_s)
        self.escalate()
        said.update(self._tell(max(deadline, self.clock.monotonic() + TELL_S)))
        self.waker.look()
        self.archive()
        return said

    def _exchange(self, deadline: float, quiet_s: float) -> dict[str, str]:
        pending = {caller.peer.name: caller for caller in self.carrier.callers()}
        said: dict[str, str] = {}
        # What waited here all the time may go yet: it has as long as where a consumer runs.
        rules = self.settings.config.escalation
        look_at = self.clock.monotonic() + (rules.after_s if rules else escalating.EVERY_S)
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
            if self.clock.monotonic() >= look_at:
                self.escalate()
                look_at = self.clock.monotonic() + escalating.EVERY_S
            time.sleep(0.05)
        said.update(dict.fromkeys(pending, "timed out"))
        return said

    def _tell(self, deadline: float) -> dict[str, str]:
        """Wait until people were told of all they shall be; what kept which peer from it."""
        said: dict[str, str] = {}
        while untold := self._untold() - said.keys():
            for name in untold:
                caller = next((each for each in self.carrier.callers() if each.peer.name == name), None)
                if self.clock.monotonic() >= deadline:
                    said[name] = "timed out"
                elif caller is None or caller.link is None:
                    found = self._without_us(name, caller.tries if caller else 1)
                    said.update({} if found is None else {name: found})
            time.sleep(0.05)
        return said

    def _untold(self) -> set[str]:
        with self.store.read() as tx:
            return set(escalating.roads(tx, self.settings.config))

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
            if self.escalates():
                guarded(self.escalate)
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

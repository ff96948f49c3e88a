"""The carrier: the links and files peers of this process, each on a thread, reached again when it ends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from spool import log
from spool.claims import DIAL_S, LOOK_S, Claims, Reached
from spool.clock import Clock
from spool.config import Config, Peer
from spool.errors import (
    BadInput,
    LinkError,
    LinkLost,
    PeerMisconfigured,
    SpoolError,
    StoreError,
    Superseded,
    UnknownPeer,
)
from spool.files_gate import FilesGate
from spool.gate import Gate
from spool.settings import Settings
from spool.store.base import Store
from spool.transports.base import Exchange, Files, Pipe, Ticking
from spool.transports.files import Rounds
from spool.transports.link import Link

if TYPE_CHECKING:
    from spool.transports.github.client import Repository
    from spool.transports.http_call import HttpCall

DIALLING_S: Final = 0.5

Dialler = Callable[[Peer], Pipe]
Opener = Callable[[Peer], Files]
IssueOpener = Callable[[Peer], "Repository"]
WebOpener = Callable[[Peer], "HttpCall"]
_Gate = TypeVar("_Gate", bound=Gate)


class Carrier:
    """Keeps a link to every peer that has a url, unless another process of this home has it.

    Args:
        token: under which this process announced its presence.
        dial: opens a pipe to a peer; raises LinkError.
        open_files: reaches the folders of a files peer; raises LinkError.
        open_issues: reaches the repository of a github peer; raises LinkError.
        open_web: makes what asks an https peer; raises LinkError.

    Attributes:
        claims: who of this home's processes may dial whom, and when.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: Clock,
        *,
        token: str,
        version: str,
        dial: Dialler,
        open_files: Opener,
        open_issues: IssueOpener | None = None,
        open_web: WebOpener | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._token = token
        self._version = version
        self._dial = dial
        self._open_files = open_files
        self._open_issues = open_issues
        self._open_web = open_web
        self._callers: dict[str, Caller] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._accepted: Link | None = None
        self._guest = ""
        self.claims = Claims(store, settings, clock, token=token)
        self._told = _told(settings.config)

    def start(self) -> None:
        """Begin to dial; the config is looked at once a second."""
        self.reconcile()
        self._thread = threading.Thread(target=self._watch, name="carrier", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End every link, tidily: leases are given back. All of it takes `timeout_s` at most."""
        self._stop.set()
        began = self._clock.monotonic()
        callers = self.callers()
        for caller in callers:
            caller.stop()
        self.end_accepted()
        for caller in callers:
            # One that still dials has nothing to give back but its claim.
            patience_s = timeout_s if caller.link is not None else DIALLING_S
            caller.join(max(0.0, began + patience_s - self._clock.monotonic()))
            if caller.is_alive():
                self.claims.ended(caller.peer.name)
        if self._thread is not None:
            self._thread.join(max(0.0, began + timeout_s - self._clock.monotonic()))

    def poke(self) -> None:
        """Somebody rang: every link looks for work."""
        with self._lock:
            callers = list(self._callers.values())
        for caller in callers:
            caller.poke()
        if self._accepted is not None:
            self._accepted.poke()

    def has_files_peers(self) -> bool:
        """Whether somebody waits for `tick`."""
        return any(caller.peer.is_files for caller in self.callers())

    def tick(self) -> None:
        """The timer's word to the files peers: those that are due look into their folders."""
        for caller in self.callers():
            if (ticking := caller.ticking) is not None:
                ticking.tick()

    def accept(self, peer: str, pipe: Pipe) -> None:
        """Be the far end of a link on `pipe`, in this thread, until it ends.

        Raises:
            LinkError: why it ended, where this side did not end it.
        """
        self._guest = peer
        self._accepted = Link(pipe, self._gate(Gate, peer), dialled=False)
        self._accepted.run()

    def end_accepted(self) -> None:
        """End the link that was accepted, from a signal's handler too."""
        if self._accepted is not None:
            threading.Thread(target=self._accepted.end, daemon=True).start()

    def callers(self) -> list[Caller]:
        """Who dials whom."""
        with self._lock:
            return list(self._callers.values())

    def reconcile(self) -> None:
        """Start a caller for each new peer with a url, end those of peers that went.

        Where hello says other things now, all are called anew: half of them would know the old ones.
        """
        config = self._settings.config
        wanted = {name: peer for name, peer in config.peers.items() if peer.url}
        with self._lock:
            anew, self._told = self._told != _told(config), _told(config)
            before = dict(self._callers)
            for name, caller in before.items():
                if anew or name not in wanted or _way(wanted[name]) != _way(caller.peer):
                    caller.stop()
                    del self._callers[name]
            for name, peer in wanted.items():
                if name not in self._callers and not self._stop.is_set():
                    self._callers[name] = caller = Caller(self, peer, after=before.get(name))
                    caller.start()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.refresh()
            except StoreError as exc:
                log.error("store.failed", error=str(exc))

    def refresh(self) -> None:
        """Pick up a changed config now: what it says of links holds for those that are up, too."""
        if not self._settings.refresh():
            return
        config = self._settings.config
        if self._accepted is not None and (self._told != _told(config) or self._guest not in config.peers):
            # The far side dials again, and is told what holds now.
            self.end_accepted()
        if self._thread is not None:
            self.reconcile()

    def _gate(self, kind: type[_Gate], peer: str) -> _Gate:
        return kind(
            self._store,
            self._settings,
            peer,
            clock=self._clock,
            token=self._token,
            version=self._version,
        )

    def call(self, peer: Peer, made: Callable[[Reached], None]) -> None:
        """Reach the peer and exchange until it ends. Raises LinkError."""
        reached = self._reach(peer)
        made(reached)
        reached.link.run()

    def _reach(self, peer: Peer) -> Reached:
        if peer.is_files:
            return self._rounds(peer)
        if peer.is_issues:
            return self._issues(peer)
        if peer.is_web:
            return self._web(peer)
        return self._link(peer)

    def _link(self, peer: Peer) -> Reached:
        pipe = self._dial(peer)
        try:
            gate = self._gate(Gate, peer.name)
            return Reached(Link(pipe, gate, dialled=True), gate)
        except BaseException:
            pipe.close()
            raise

    def _rounds(self, peer: Peer) -> Reached:
        files = self._open_files(peer)
        try:
            gate = self._gate(FilesGate, peer.name)
            rounds = Rounds(files, gate)
            return Reached(rounds, gate, rounds)
        except BaseException:
            files.close()
            raise

    def _issues(self, peer: Peer) -> Reached:
        if self._open_issues is None:
            raise PeerMisconfigured(f"{peer.name}: this process reaches no github: peers")
        # Only where there is such a peer: its HTTP client takes long to import.
        from spool.issues_gate import IssuesGate
        from spool.transports.github.rounds import IssueRounds

        repository = self._open_issues(peer)
        try:
            gate = self._gate(IssuesGate, peer.name)
            return Reached(IssueRounds(repository, gate), gate)
        except BaseException:
            repository.close()
            raise

    def _web(self, peer: Peer) -> Reached:
        if self._open_web is None:
            raise PeerMisconfigured(f"{peer.name}: this process reaches no https: peers")
        # Only where there is such a peer: its HTTP client takes long to import.
        from spool.transports.http import Webhook
        from spool.web_gate import WebGate

        call = self._open_web(peer)
        try:
            gate = self._gate(WebGate, peer.name)
            return Reached(Webhook(call, gate), gate)
        except BaseException:
            call.close()
            raise


class Caller(threading.Thread):
    """Dials one peer for as long as the process lives, and reads its link.

    Args:
        after: who dialled it by another way before, and was stopped; it is waited for.
    """

    def __init__(self, carrier: Carrier, peer: Peer, *, after: Caller | None = None) -> None:
        super().__init__(name=f"link:{peer.name}", daemon=True)
        self.peer = peer
        self.tries = 0
        self._carrier = carrier
        self._after = after
        self._halt = threading.Event()
        self._wake = threading.Event()
        self._reached: Reached | None = None
        self._rng = random.Random()

    @property
    def link(self) -> Exchange | None:
        """The link, while there is one."""
        return None if (reached := self._reached) is None else reached.link

    @property
    def ticking(self) -> Ticking | None:
        """What of it waits for the timer's word."""
        return None if (reached := self._reached) is None else reached.ticking

    def poke(self) -> None:
        """Somebody rang."""
        if (link := self.link) is not None:
            link.poke()
        else:
            self._wake.set()

    def stop(self) -> None:
        """End the link and dial no more; does not wait for either."""
        self._halt.set()
        self._wake.set()
        if (link := self.link) is not None:
            # A far command may be slow to end.
            threading.Thread(target=link.end, name=f"end:{self.peer.name}", daemon=True).start()

    def run(self) -> None:
        """The thread."""
        if self._after is not None:
            # What it writes as it ends must not be taken for the end of ours.
            self._after.join(DIAL_S)
            self._after = None
        while not self._halt.is_set():
            try:
                wait_s = self._once()
            except StoreError as exc:
                if self._halt.is_set():
                    return
                log.error("store.failed", peer=self.peer.name, error=str(exc))
                wait_s = LOOK_S
            self._wake.wait(wait_s)
            self._wake.clear()

    def _once(self) -> float:
        if (wait_s := self._carrier.claims.claim(self.peer.name)) is not None:
            return wait_s
        # A peer that was mended and resumed is dialled as it is now, not as it was.
        self._carrier.refresh()
        if self._halt.is_set():
            self._carrier.claims.ended(self.peer.name)
            return 0.0
        try:
            self._carrier.call(self.peer, self._made)
            self._carrier.claims.ended(self.peer.name)
        except Superseded as exc:
            self._carrier.claims.gave_way(self.peer, self._rng)
            log.info("link.superseded", peer=self.peer.name, error=exc.message)
            return LOOK_S
        except LinkError as exc:
            self._failed(exc)
        except UnknownPeer:
            self._halt.set()
        except BadInput as exc:
            self._failed(PeerMisconfigured(exc.message, hint=exc.hint))
        except SpoolError as exc:
            self._failed(LinkLost(exc.message, hint=exc.hint))
        except Exception as exc:  # noqa: BLE001  a consumer that dials no more, without a word, is worse
            log.error("link.defect", peer=self.peer.name, error=repr(exc), exc_info=exc)
            self._failed(LinkLost(f"a defect of this side: {exc!r}"))
        finally:
            self._reached = None
            self.tries += 1
        return 0.0

    def _failed(self, failure: LinkError) -> None:
        self._carrier.claims.failed(self.peer, failure, self._rng, reached=self._reached)

    def _made(self, reached: Reached) -> None:
        self._reached = reached
        if self._halt.is_set():
            reached.link.end()


def _told(config: Config) -> tuple[str, tuple[str, ...]]:
    """What of the config a hello tells the far side."""
    return config.host.name, tuple(config.host.agents)


def _way(peer: Peer) -> Peer:
    """What of a peer's config says how to dial it; who lives there may change while a link is up."""
    return msgspec.structs.replace(
        peer, agents=[], via=[], quota_minute=None, quota_waiting=None, quota_mb=None
    )

"""Peers that poll for their mail: one session each, which leases for it and keeps what was not answered."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from spool import log
from spool.errors import LinkError, StoreError, UnknownPeer
from spool.outbox import Load
from spool.transports import http_words as words
from spool.transports.frames import Hello, Key
from spool.transports.http_words import Greeting, Mail, Poll
from spool.transports.window import LEASE, runs
from spool.web.peers import Peers
from spool.web_gate import WebGate

LOOK_S: Final = 1.0
HOLD_EVERY_S: Final = 5.0
ASK_EVERY_S: Final = 60.0
# Without a poll for so long, whoever polled is gone.
GONE_S: Final = words.POLL_S + 20.0
_T = TypeVar("_T")


class Session:
    """One peer's polls, from its hello until a newer one or its silence.

    `look` and `settle` block, and are called by one thread at a time.
    """

    def __init__(self, gate: WebGate) -> None:
        self.token = secrets.token_hex(16)
        self.bell = asyncio.Event()
        self.lock = asyncio.Lock()
        self.turn = 0
        self.polled_at = self._held_at = gate.monotonic()
        self._gate = gate
        self._pending = Mail()
        self._load = Load([], [])
        self._is_pending = False
        self._n = 0
        self._asked_at = float("-inf")

    def settle(self, said: Poll) -> None:
        """Write down what became of what the last poll brought."""
        if not self._is_pending or said.n != self._n:
            # An answer of ours was lost: it is given again.
            return
        self._is_pending = False
        load, self._load = self._load, Load([], [])
        self._gate.told(load.parcels, said.results)
        if load.acks:
            self._gate.drop_acks([leased.seq for leased in load.acks])
        if said.answers:
            self._gate.take_answers(said.answers)

    def look(self) -> Mail | None:
        """What there is for the peer now; the same again until it was answered.

        Raises:
            Superseded: a newer session, or a link, has taken over.
        """
        now = self._gate.monotonic()
        if now - self._held_at >= HOLD_EVERY_S:
            self._gate.hold(heard=True)
            self._held_at = now
        if self._is_pending:
            return self._pending
        self._gate.refuse_files()
        load, keys = self._gate.load(LEASE), self._questions(now)
        if not load.parcels and not load.acks and not keys:
            return None
        self._keep(load, keys)
        return self._pending

    def nothing(self) -> Mail:
        """The answer where nothing waits: how this host stands."""
        return Mail(counts=self._gate.standing())

    def _keep(self, load: Load, keys: list[Key]) -> None:
        run, *others = runs(load.parcels) or [[]]
        if others:
            self._gate.give_back([parcel for each in others for parcel in each], [])
        self._n += 1
        self._load, self._is_pending = Load(run, load.acks), True
        self._pending = Mail(
            n=self._n,
            messages=words.items_of(run, now=self._gate.now()),
            acks=[words.short(leased.ack) for leased in load.acks],
            query=keys,
            counts=self._gate.standing(),
        )

    def _questions(self, now: float) -> list[Key]:
        if doubted := self._gate.doubted():
            return doubted
        if now - self._asked_at < ASK_EVERY_S:
            return []
        first = self._asked_at == float("-inf")
        self._asked_at = now
        return self._gate.questions(silent_s=0.0) if first else self._gate.questions()

    def end(self, why: str) -> None:
        """Give back what was not answered; as often as one likes."""
        load, self._load, self._is_pending = self._load, Load([], []), False
        self._gate.give_back(load.parcels, load.acks)
        self._gate.left(why)


class Sessions:
    """The sessions of all peers. The event loop's thread uses it; what blocks runs in `pool`.

    Attributes:
        waiting: how many polls wait for mail.
    """

    def __init__(self, peers: Peers, pool: ThreadPoolExecutor, monotonic: Callable[[], float]) -> None:
        self._peers = peers
        self._pool = pool
        self._monotonic = monotonic
        self._open: dict[str, Session] = {}
        self._ending = False
        self.waiting = 0

    def ring(self) -> None:
        """Somebody rang: every poll that waits looks."""
        for session in self._open.values():
            session.bell.set()

    async def begin(self, peer: str, hello: Hello) -> Greeting:
        """Open a session; the peer's older one ends.

        Raises:
            LinkError: the two cannot talk.
        """
        gate = self._peers.new_gate(peer)
        if gate.peer.is_web:
            # Both hosts dial by HTTPS: each posts to the other, and its consumer leases.
            await self.run(gate.greeted, hello)
            return Greeting(await self.run(gate.hello))
        await self.run(lambda: gate.arrived(hello, dialled=False))
        session = Session(gate)
        before, self._open[peer] = self._open.get(peer), session
        if before is not None:
            await self._end(before, "a newer session")
        return Greeting(await self.run(gate.hello), session.token)

    async def poll(self, peer: str, said: Poll) -> Mail | None:
        """Settle what is said, and wait for mail; None where the session is over.

        Raises:
            StoreError: nothing is known of what was said.
        """
        session = self._open.get(peer)
        if session is None or session.token != said.session:
            return None
        # A poll whose connection broke may still wait: this one has its place.
        session.turn += 1
        session.bell.set()
        turn, session.polled_at = session.turn, self._monotonic()
        async with session.lock:
            try:
                await self.run(session.settle, said)
                return await self._wait(session, turn, min(max(said.wait_s, 0.0), words.POLL_S))
            except (LinkError, UnknownPeer) as exc:
                log.info("link.superseded", peer=peer, error=exc.message)
                if self._open.get(peer) is session:
                    del self._open[peer]
                await self._end(session, exc.message)
                return None

    async def _wait(self, session: Session, turn: int, wait_s: float) -> Mail:
        until = self._monotonic() + wait_s
        while True:
            session.bell.clear()
            if session.turn == turn and (mail := await self.run(session.look)) is not None:
                session.polled_at = self._monotonic()
                return mail
            left_s = until - self._monotonic()
            if left_s <= 0 or session.turn != turn or self._ending:
                session.polled_at = self._monotonic()
                return await self.run(session.nothing)
            self.waiting += 1
            try:
                await asyncio.wait_for(session.bell.wait(), min(left_s, LOOK_S))
            except TimeoutError:
                session.polled_at = self._monotonic()
            finally:
                self.waiting -= 1

    async def watch(self) -> None:
        """End the sessions of peers that poll no more, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for name, session in list(self._open.items()):
                if self._monotonic() - session.polled_at > GONE_S and not session.lock.locked():
                    del self._open[name]
                    await self._end(session, f"no poll for {GONE_S:.0f} s")

    async def end(self) -> None:
        """Answer every poll that waits, and end every session."""
        self._ending = True
        self.ring()
        for session in [self._open.pop(name) for name in list(self._open)]:
            async with session.lock:
                await self._end(session, "ended here")

    async def run(self, call: Callable[..., _T], *args: object) -> _T:
        """Call what blocks, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def _end(self, session: Session, why: str) -> None:
        try:
            await self.run(session.end, why)
        except StoreError as exc:
            log.error("store.failed", error=str(exc), kind=exc.kind)

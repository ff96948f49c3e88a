"""What one link may ask of this host: take a hello, carry a load, accept, settle, answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from spool import doorbell, doubts, inbox, log, outbox, presence, telling
from spool.clock import Clock
from spool.config import Peer, is_pattern, overlap
from spool.errors import NotAuthorised, StoreFull, Superseded, VersionSkew
from spool.freight import Freight
from spool.inbox import Arrival
from spool.message import NAME, Ack
from spool.outbox import Load
from spool.router import Router
from spool.settings import Settings
from spool.states import State
from spool.store.base import Parcel, PeerRow, Store, Tx
from spool.transports.base import Deferred, Outcome
from spool.transports.frames import FEATURES, VERSION, AgentNow, Answer, Hello, Key

HOLD_S: Final = 12.0
SILENT_S: Final = 3600.0
HEALTHY_S: Final = 60.0
MAX_AGENTS: Final = 256


class Gate:
    """What stands between one link and this host. Any thread of the link may call it.

    `holds_s` is for how long the link is this process's own from each `hold`; `freight` knows of files.

    Args:
        token: under which this process announced its presence; it holds the peer's link.
        version: of this spool, for hello.
    """

    holds_s = HOLD_S

    def __init__(
        self, store: Store, settings: Settings, peer: str, *, clock: Clock, token: str, version: str
    ) -> None:
        self.peer_name = peer
        self._store = store
        self._settings = settings
        self._clock = clock
        self._token = token
        self._version = version
        self._run = settings.home / "run"
        self._generation = 0
        self._linked_at = 0.0
        self._far_host = ""
        self._far_features: frozenset[str] = frozenset()
        # Asked about up to here; None where nothing is in doubt.
        self._asked_to: int | None = None
        self.freight = Freight(store, settings, peer, clock)
        self.carried = 0

    @property
    def host(self) -> str:
        """This host's name."""
        return self._settings.config.host.name

    @property
    def peer(self) -> Peer:
        """The peer as the config in force has it. Raises UnknownPeer."""
        return self._settings.config.peer(self.peer_name)

    def hello(self) -> Hello:
        """What this host says first."""
        with self._store.read() as tx:
            restored = doubts.ours(tx)
        return Hello(
            host=self.host,
            spool=self._version,
            agents=list(self._settings.config.host.agents),
            features=list(FEATURES),
            clock=self._clock.now(),
            dials=bool(self.peer.url),
            restored=restored,
        )

    def arrived(self, hello: Hello, *, dialled: bool) -> None:
        """Take the far hello: from here this link is the peer's only one.

        Raises:
            VersionSkew: no protocol in common.
            NotAuthorised: it calls itself by this host's own name, or by none.
            Superseded: both hosts dial, and the other link stays.
        """
        self._refuse_stranger(hello)
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(self.peer_name)
            if self._other_stays(row, hello, now, dialled=dialled):
                raise Superseded(f"both hosts dial; the link of {min(self.host, hello.host)} stays")
            self._begin(
                tx,
                now,
                dialled=dialled,
                far_host=hello.host,
                far_version=hello.spool[:40],
                far_agents=self._free(tx, hello.agents),
                clock_offset=hello.clock - now,
            )
            self._asked_to = 0 if doubts.begin(tx, self.peer_name, hello.restored) else None
        self._far_host, self._far_features = hello.host, frozenset(hello.features)
        log.info(
            "link.up",
            peer=self.peer_name,
            far_host=hello.host,
            far_version=hello.spool,
            generation=self._generation,
            dialled=dialled,
            clock_offset_s=round(hello.clock - now, 3),
        )

    def _refuse_stranger(self, hello: Hello) -> None:
        if hello.least > VERSION or hello.v < 1:
            raise VersionSkew(
                f"{self.peer_name} speaks protocol {hello.least} to {hello.v} (spool {hello.spool}),"
                f" this host {VERSION}"
            )
        if not NAME.fullmatch(hello.host):
            raise NotAuthorised(f"{self.peer_name} calls itself {hello.host[:80]!r}, which is no host's name")
        if hello.host == self.host:
            raise NotAuthorised(
                f"{self.peer_name} calls itself {hello.host}, as this host does",
                hint="give one of the two another [host] name",
            )

    def _begin(self, tx: Tx, now: float, **told: Any) -> None:
        """Make this the peer's only link; every older one sees so within a second."""
        self._generation = tx.peers.raise_generation(self.peer_name)
        self._linked_at = now
        tx.peers.update(
            self.peer_name,
            state="linked",
            holder=self._token,
            holder_until=now + self.holds_s,
            last_contact=now,
            linked_at=now,
            retry_at=None,
            error_kind=None,
            error=None,
            **told,
        )

    def _free(self, tx: Tx, told: list[str]) -> list[str]:
        """The names a hello may take: not those that another peer without agents has told before."""
        config, rows = self._settings.config, tx.peers.all()
        others = [
            agent
            for name, peer in config.peers.items()
            if name != self.peer_name and not peer.agents and name in rows
            for agent in rows[name].far_agents
        ]
        named = [agent for agent in dict.fromkeys(told) if is_pattern(agent) and agent.count("*") <= 1]
        free = [agent for agent in named if not any(overlap(agent, other) for other in others)]
        if len(free) < len(told):
            log.warning("peer.names_refused", peer=self.peer_name, count=len(told) - len(free))
        return free[:MAX_AGENTS]

    def _other_stays(self, row: PeerRow, hello: Hello, now: float, *, dialled: bool) -> bool:
        # Both sides must keep the same one of two links, in whatever order they come to know of them.
        ours_stays = self.host < hello.host
        return (
            hello.dials
            and bool(self.peer.url)
            and dialled is not ours_stays
            and row.state == "linked"
            and row.dialled is ours_stays
            and row.holder is not None
            and now < row.holder_until <= now + 2 * HOLD_S
            and presence.lives(self._run, row.holder)
        )

    def hold(self, *, heard: bool) -> None:
        """Hold on to the link; call it every few seconds.

        Raises:
            Superseded: a newer link has taken over.
        """
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(self.peer_name)
            if row.generation != self._generation or row.holder != self._token:
                raise Superseded(f"a newer link to {self.peer_name} took over")
            contact = now if heard else row.last_contact
            tx.peers.update(self.peer_name, holder_until=now + self.holds_s, last_contact=contact)

    def current(self) -> bool:
        """Whether no newer link has taken over."""
        with self._store.read() as tx:
            return tx.peers.get(self.peer_name).generation == self._generation

    def left(self, why: str) -> None:
        """The link has ended; where a newer one took over that is its own affair."""
        if self._generation == 0:
            return
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(self.peer_name)
            if row.generation == self._generation and row.holder == self._token:
                healthy = self.carried > 0 or now - self._linked_at >= HEALTHY_S
                tx.peers.update(
                    self.peer_name,
                    state="waiting" if row.state != "stopped" else "stopped",
                    holder=None,
                    holder_until=0.0,
                    failures=0 if healthy else row.failures,
                )
        log.info("link.down", peer=self.peer_name, generation=self._generation, error=why)

    def load(self, limit: int) -> Load:
        """Lease what may be carried now."""
        return outbox.lease(
            self._store, self.peer_name, generation=self._generation, now=self._clock.now(), limit=limit
        )

    def release(self, load: Load) -> None:
        """Give back what was not answered."""
        outbox.release(self._store, load)

    @property
    def far_host(self) -> str:
        """The name the far side gave itself in hello; "" before."""
        return self._far_host

    def settle(self, told: Sequence[tuple[Parcel, Outcome]]) -> None:
        """Write down what the far side answered."""
        self.carried += len(told)
        if outbox.settle(self._store, self.peer_name, self.host, told, now=self._clock.now()):
            doorbell.ring(self._run)
        else:
            doorbell.ring_waiting(self._run)

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Take messages; an outcome for each, after the commit."""
        self.carried += len(arrivals)
        try:
            taken = inbox.accept(
                self._store,
                self._settings.config,
                self._settings.router(),
                self.peer,
                arrivals,
                now=self._clock.now(),
                folder=self.freight.folder,
            )
        except StoreFull as exc:
            log.error("store.full", error=str(exc))
            return [Deferred("the far disk is full")] * len(arrivals)
        if taken.rang:
            doorbell.ring(self._run)
        return taken.outcomes

    def take_acks(self, acks: Iterable[Ack]) -> None:
        """Take acks; they are on disk when this returns."""
        acks = list(acks)
        self.carried += len(acks)
        outbox.apply_acks(self._store, self.peer_name, acks, now=self._clock.now())
        # Always: somebody here may wait for this very ack.
        doorbell.ring(self._run)

    def drop_acks(self, seqs: Iterable[int]) -> None:
        """The far side has these on disk."""
        seqs = list(seqs)
        self.carried += len(seqs)
        with self._store.write(sync=False) as tx:
            tx.acks.drop(seqs)
        log.info("ack.sent", peer=self.peer_name, count=len(seqs))

    def questions(self, *, silent_s: float = SILENT_S, limit: int = 500) -> list[Key]:
        """Messages that stand at sent for `silent_s`, each once in that time."""
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            rows = tx.sweepings.silent(self.peer_name, before=now - silent_s, now=now, limit=limit)
        return [Key(row.sender, row.id) for row in rows]

    def doubted(self) -> list[Key]:
        """The next messages that are in doubt since this host or the far one was restored."""
        if (after := self._asked_to) is None:
            return []
        with self._store.read() as tx:
            rows = tx.outbox.doubted(self.peer_name, after=after, limit=doubts.PAGE)
        self._asked_to = rows[-1].seq if rows else None
        if not rows:
            with self._store.write(sync=False) as tx:
                doubts.end(tx, self.peer_name)
        return [Key(row.sender, row.id) for row in rows]

    def answer(self, keys: Sequence[Key]) -> list[Answer]:
        """Say how far the messages of this peer got."""
        router = self._settings.router()
        with self._store.read() as tx:
            return [self._answer(tx, router, key) for key in keys]

    def _answer(self, tx: Tx, router: Router, key: Key) -> Answer:
        if (row := tx.inbox.exact(key.id, key.sender)) is not None and row.peer == self.peer_name:
            status = {"unread": "received", "done": row.outcome or "done"}.get(row.state, str(row.state))
            held_at = row.done_at or row.read_at or row.received_at
            return Answer(key.sender, key.id, status, held_at, self.host, row.outcome, row.note)
        if (sent := tx.outbox.exact(key.id, key.sender)) is not None and sent.origin == self.peer_name:
            status = {State.QUEUED: "sent", State.DONE: sent.outcome or "done"}.get(
                sent.state, str(sent.state)
            )
            at = sent.done_there or sent.read_there or sent.received_there
            note = sent.note or sent.reason
            return Answer(key.sender, key.id, status, at, sent.far_host, sent.outcome, note)
        # The same message by another way; nobody is told of mail that is not theirs to bring.
        seen = tx.ledger.seen(key.sender, key.id)
        if seen is not None and router.may_speak(self.peer, key.sender):
            return Answer(key.sender, key.id, "received" if seen.final else "sent", seen.at, self.host)
        return Answer(key.sender, key.id, "unknown")

    def take_answers(self, answers: Sequence[Answer]) -> None:
        """Believe the far side on how far our messages got; offer again what it does not have."""
        now = self._clock.now()
        acks, lost = [], []
        for told in answers:
            if told.status == "unknown":
                lost.append(told)
            elif told.status != "sent":
                acks.append(_as_ack(told))
        if lost:
            with self._store.write(sync=False) as tx:
                rows = [tx.outbox.exact(told.id, told.sender) for told in lost]
                mine = [row for row in rows if row and row.peer == self.peer_name and not row.archived]
                again = doubts.offer_again(tx, self.freight.folder, self.host, self.peer_name, mine, now=now)
            log.warning("message.unknown_there", peer=self.peer_name, count=len(again))
        if acks:
            self.take_acks(acks)
        if self._asked_to is not None:
            with self._store.write(sync=False) as tx:
                tx.outbox.believe([(told.sender, told.id) for told in answers])

    def counts(self) -> tuple[int, int, list[AgentNow]]:
        """Unread here, waiting for this peer, and how our agents stand: for the far side's `status`."""
        patterns, now = self._settings.config.host.agents, self._clock.now()
        with self._store.read() as tx:
            unread, opened = tx.inbox.unread_each(), tx.sessions.open()
            waiting = tx.outbox.waiting().get(self.peer_name, 0)
        # Not within the look: whether a process runs may have to be asked of another one.
        agents = telling.ours(patterns, unread, opened, now=now)
        return sum(each.messages for each in unread), waiting, agents

    def told_counts(
        self,
        *,
        unread: int | None,
        queued: int | None,
        offset_s: float | None = None,
        agents: Sequence[AgentNow] | None = None,
    ) -> None:
        """Keep what the far side says of itself; None is what it does not say."""
        values: dict[str, float | int] = {}
        if unread is not None:
            values["far_unread"] = unread
        if queued is not None:
            values["far_queued"] = queued
        if offset_s is not None:
            values["clock_offset"] = offset_s
        if values or agents is not None:
            router, now = self._settings.router(), self._clock.now()
            with self._store.write(sync=False) as tx:
                if values:
                    tx.peers.update(self.peer_name, **values)
                if agents is not None:
                    telling.believe(tx, router, self.peer, agents, now=now)

    def far_takes_files(self) -> bool:
        """Whether the far side said in hello that it takes files beside messages."""
        return "attachments" in self._far_features

    @property
    def now(self) -> Callable[[], float]:
        """This host's clock, in seconds since the epoch."""
        return self._clock.now

    @property
    def monotonic(self) -> Callable[[], float]:
        """A clock that never jumps, in seconds."""
        return self._clock.monotonic


def _as_ack(told: Answer) -> Ack:
    return Ack(
        sender=told.host or "",
        to=told.sender,
        re=told.id,
        status=told.status,
        at=told.at,
        host=told.host,
        outcome=told.outcome,
        note=told.note,
    )

"""The inbox: takes what peers bring, shows it to the agents here, and makes their acks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from spool import log, outbox, quotas
from spool.config import Config, Peer
from spool.errors import BadMessage, NoRoute, TooLarge
from spool.message import MAX_HOPS, NAME, Ack, Attachment, Message, parse, parse_time, split_address
from spool.router import Route, Router
from spool.store.base import Exists, Incoming, NewIncoming, Outgoing, Seen, Store, Tx
from spool.transports.base import Accepted, Deferred, Outcome, Refused

if TYPE_CHECKING:
    from spool.folder import Folder
    from spool.foreign import Found

LEASE_S: Final = 300.0
MAX_ATTEMPTS: Final = 5
ANSWER: Final = "Re: "
_encode = msgspec.json.encode


class Arrival(NamedTuple):
    """A message as a peer brought it.

    `filled` names the fields its first spool filled in, `ttl_s` is what is left of its lifetime,
    `hops` are the hosts it passed, `queued_at` is its sender's clock at commit 1, if told. `file` is
    the file it was read from: nobody can be told then that it was refused, so it is kept. `attached`
    says that the peer has brought its files here.
    """

    raw: bytes
    filled: Sequence[str]
    ttl_s: float
    hops: Sequence[str]
    queued_at: float | None = None
    file: Found | None = None
    attached: bool = False


class Taken(NamedTuple):
    """What came of a batch: an outcome for each arrival, in order; `rang` where work was made."""

    outcomes: list[Outcome]
    rang: bool


def accept(
    store: Store,
    config: Config,
    router: Router,
    peer: Peer,
    arrivals: Sequence[Arrival],
    *,
    now: float,
    folder: Folder | None = None,
) -> Taken:
    """Take messages from a peer, all in one synced commit. Before it nothing is answered.

    Args:
        folder: where the files lie that came with them; without it none did.

    Raises:
        StoreError: nothing was taken.
    """
    free_bytes = store.free_bytes()
    room = free_bytes - config.host.low_water_mb * quotas.MB
    if room < 0:
        log.warning("store.low_space", free_bytes=free_bytes)
        return Taken([Deferred("no space on the far disk")] * len(arrivals), False)
    taking = _Taking(config, router, peer, now, folder)
    parsed = [taking.parse(arrival) for arrival in arrivals]
    with store.write(sync=True) as tx:
        taking.open(tx, room)
        outcomes = [
            taking.take(tx, arrival, message) for arrival, message in zip(arrivals, parsed, strict=True)
        ]
        taking.close(tx)
        tx.presence.hear(peer.name, sorted(taking.heard), "message", now=now)
        # At commit the messages are ours.
    taking.write_log()
    return Taken(outcomes, taking.rang)


class _Taking:
    """One batch on its way in; parses before the transaction, writes within it, logs after it."""

    def __init__(self, config: Config, router: Router, peer: Peer, now: float, folder: Folder | None) -> None:
        self._config = config
        self._router = router
        self._peer = peer
        self._now = now
        self._folder = folder
        self._stored: list[dict[str, Any]] = []
        self._warnings: list[tuple[str, dict[str, Any]]] = []
        self._over = ""
        # Whose messages are new: an old one that comes again is no word of its agent.
        self.heard: set[str] = set()
        self.rang = False
        self._budget: quotas.Budget

    def open(self, tx: Tx, room: int) -> None:
        """Look how much the peer may bring, with so many bytes free above the low-water mark."""
        limits = quotas.limits(self._config.host, self._peer)
        self._budget = quotas.Budget(tx.quotas.get(self._peer.name), limits, room=room, now=self._now)

    def close(self, tx: Tx) -> None:
        """Keep what it has used up of that."""
        if self._budget.close(tx, self._peer.name):
            more = {"peer": self._peer.name, "error": self._over, **self._budget.keys()}
            self._warnings.append(("peer.over_quota", more))

    def parse(self, arrival: Arrival) -> Message | Refused:
        # They travel on beside the bytes, and no limit on those counts them.
        if len(arrival.hops) > MAX_HOPS or not all(map(NAME.fullmatch, arrival.hops)):
            return Refused(f"hops: more than {MAX_HOPS}, or not hosts' names")
        try:
            limit = self._config.host.max_message_bytes
            return parse(arrival.raw, filled=arrival.filled, max_bytes=limit)
        except TooLarge as exc:
            return Refused(f"too large: {exc.message}")
        except BadMessage as exc:
            return Refused(exc.message)

    def take(self, tx: Tx, arrival: Arrival, message: Message | Refused) -> Outcome:
        if isinstance(message, Refused):
            return self._quarantine(tx, arrival, None, message.reason)
        if not self._router.may_speak(self._peer, message.sender):
            reason = f"from: {message.sender} may not be spoken for by {self._peer.name}"
            return self._quarantine(tx, arrival, message, reason)
        if (seen := tx.ledger.seen(message.sender, message.id)) is not None:
            return self._again(tx, arrival, message, seen)
        try:
            route = self._route(arrival, message)
        except NoRoute as exc:
            return self._refuse(tx, arrival, message, exc.message)
        if (over := self._budget.over()) is not None and not self._is_answer(tx, message, route):
            self._over = over.reason
            self._budget.defer()
            return over
        if self._lacks_files(tx, arrival, message):
            return Deferred("its attachments are not here yet")
        if route.peer == "":
            return self._store(tx, arrival, message, route)
        return self._relay(tx, arrival, message, route)

    def _is_answer(self, tx: Tx, message: Message, route: Route) -> bool:
        """Whether an agent here waits for it: a question lets one answer in, whatever the quota."""
        by, peer = message.sender, self._peer.name
        return (
            message.re is not None
            and route.peer == ""
            and tx.outbox.awaits(message.re, route.agent, by=by, peer=peer)
        )

    def _lacks_files(self, tx: Tx, arrival: Arrival, message: Message) -> bool:
        for file in _files(arrival, message):
            # Within the transaction: what is removed is removed within one.
            if self._folder is None or not self._folder.has(file):
                return True
            tx.attachments.wanted(file.sha256, now=self._now)
        return False

    def _route(self, arrival: Arrival, message: Message) -> Route:
        try:
            return self._router.resolve(message.to)
        except NoRoute:
            agent, host = split_address(message.to)
            # Straight from its origin, agent@host names the host as the origin knows it: us.
            if host is not None and not arrival.hops and self._router.is_local(agent):
                return Route("", agent)
            raise

    def _store(self, tx: Tx, arrival: Arrival, message: Message, route: Route) -> Outcome:
        row = row_of(message, agent=route.agent, peer=self._peer.name, now=self._now, hops=arrival.hops)
        if row.re is None and message.subject.startswith(ANSWER):
            # Scripts answer by the subject alone. The row says so, the message stays as it is.
            question = message.subject.removeprefix(ANSWER)
            row = row._replace(re=tx.outbox.asked(route.agent, message.sender, question))
        if row.re is not None and row.thread is None:
            row = row._replace(thread=tx.loops.thread_of(row.re))
        try:
            tx.attachments.enclose(tx.inbox.put(row), _files(arrival, message))
        except Exists:
            return self._forgotten(tx, arrival, message, tx.inbox.exact(message.id, message.sender))
        tx.ledger.remember(message.sender, message.id, Seen(message.digest, self._now, True))
        self._budget.take(len(message.raw))
        if row.re is not None:
            tx.outbox.answered(row.re, route.agent, by=message.sender, peer=self._peer.name)
        self._acknowledge(tx, message, self._now)
        self.heard.add(message.sender)
        self.rang = True
        latency = (
            {}
            if arrival.queued_at is None
            else {"latency_ms": round((self._now - arrival.queued_at) * 1000, 3)}
        )
        self._stored.append(keys(message, state="unread", peer=self._peer.name, **latency))
        return Accepted(at=self._now, final=True, host=self._config.host.name)

    def _relay(self, tx: Tx, arrival: Arrival, message: Message, route: Route) -> Outcome:
        here = self._config.host.name
        if not self._config.host.relay:
            reason = f"{here} does not relay, and {message.to} is not here"
            return self._refuse(tx, arrival, message, reason)
        if route.peer == self._peer.name or here in arrival.hops:
            reason = f"loop: {message.to} would go back from {here} to {self._peer.name}"
            return self._refuse(tx, arrival, message, reason)
        if _files(arrival, message) and not self._config.peers[route.peer].carries_files:
            reason = f"files do not travel from {here} to {route.peer}"
            return self._refuse(tx, arrival, message, reason)
        if len(arrival.hops) >= MAX_HOPS:
            return Refused(f"more than {MAX_HOPS} hops: {' '.join(arrival.hops)}")
        row = outbox.row_of(
            message,
            peer=route.peer,
            origin=self._peer.name,
            now=self._now,
            # Never longer than a copy of it would be known here.
            lifetime_s=max(0.0, min(arrival.ttl_s, self._config.host.dedup_s)),
            hops=[*arrival.hops, here],
        )
        try:
            tx.attachments.attach(tx.outbox.put(row), route.peer, _files(arrival, message))
        except Exists:
            sent = tx.outbox.exact(message.id, message.sender)
            if sent is not None and sent.origin is None:
                return self._quarantine(tx, arrival, message, "id: this host has sent it itself")
            return self._forgotten(tx, arrival, message, sent)
        tx.ledger.remember(message.sender, message.id, Seen(message.digest, self._now, False))
        self._budget.take(len(message.raw))
        tx.ledger.ring(route.peer)
        self.heard.add(message.sender)
        self.rang = True
        return Accepted(at=self._now, final=False, host=here)

    def _acknowledge(self, tx: Tx, message: Message, at: float) -> None:
        """Make the ack for what is here: a link answers for it by itself, folders and issues cannot."""
        if not (self._peer.is_issues or (self._peer.is_files and self._peer.acks)):
            return
        agent, _ = split_address(message.to)
        here = self._config.host.name
        ack = Ack(sender=agent, to=message.sender, re=message.id, status="received", at=at, host=here)
        tx.acks.put(self._peer.name, ack)
        tx.ledger.ring(self._peer.name)
        self.rang = True

    def _again(self, tx: Tx, arrival: Arrival, message: Message, seen: Seen) -> Outcome:
        if seen.digest != message.digest:
            return self._quarantine(tx, arrival, message, "id: taken by another message of this sender")
        self._warnings.append(("message.duplicate", keys(message, peer=self._peer.name)))
        if seen.final:
            self._acknowledge(tx, message, seen.at)
        return Accepted(at=seen.at, final=seen.final, host=self._config.host.name, again=True)

    def _forgotten(
        self, tx: Tx, arrival: Arrival, message: Message, row: Incoming | Outgoing | None
    ) -> Outcome:
        """Answer for a row whose dedup record is gone: what a clock set far back wrote is soon too old."""
        if row is None:
            return self._quarantine(tx, arrival, message, "id: exists without a dedup record")
        record = Seen(row.digest, self._now, isinstance(row, Incoming))
        tx.ledger.remember(message.sender, message.id, record)
        return self._again(tx, arrival, message, record)

    def _refuse(self, tx: Tx, arrival: Arrival, message: Message, reason: str) -> Outcome:
        return Refused(reason) if arrival.file is None else self._quarantine(tx, arrival, message, reason)

    def _quarantine(self, tx: Tx, arrival: Arrival, message: Message | None, reason: str) -> Outcome:
        name = message.id if message is not None else None
        raw = arrival.raw
        if arrival.file is not None:
            from spool.foreign import plain_name

            name, raw = plain_name(arrival.file.name), arrival.file.raw
        raw = raw[: self._config.host.max_message_bytes]
        kept = tx.ledger.quarantine(at=self._now, peer=self._peer.name, name=name, reason=reason, raw=raw)
        known = keys(message) if message is not None else {}
        self._warnings.append(("message.quarantined", {**known, "peer": self._peer.name, "error": reason}))
        # A file stays where it is rather than be lost; a link's sender keeps what it sent.
        return Deferred(f"the quarantine is full: {reason}") if arrival.file and not kept else Refused(reason)

    def write_log(self) -> None:
        if self._stored:
            log.batch("message.stored", self._stored)
        for event, values in self._warnings:
            log.warning(event, **values)


def _files(arrival: Arrival, message: Message) -> tuple[Attachment, ...]:
    """What came along with a message; what it only names did not."""
    return message.attachments if arrival.attached else ()


def row_of(
    message: Message, *, agent: str, peer: str | None, now: float, hops: Sequence[str] = ()
) -> NewIncoming:
    """The inbox row of a message for an agent of this host."""
    return NewIncoming(
        id=message.id,
        sender=message.sender,
        recipient=message.to,
        agent=agent,
        peer=peer,
        type=message.type,
        priority=int(message.priority[1]),
        received_at=now,
        deadline_at=parse_time("deadline", message.deadline) if message.deadline else None,
        hops=_encode(list(hops)).decode(),
        re=message.re,
        thread=message.thread,
        filled=_encode(message.filled).decode(),
        digest=message.digest,
        raw=message.raw,
    )


def take(store: Store, host: str, agent: str, *, now: float) -> tuple[Incoming | None, bool]:
    """Lease the most urgent message that is not done and show it; True where an ack was made.

    One that was given back MAX_ATTEMPTS times is rejected instead, with the reason, and the next
    one is taken.
    """
    import secrets

    rang = False
    while True:
        with store.write(sync=True) as tx:
            row = tx.inbox.take(agent, now=now, until=now + LEASE_S, lease=secrets.randbits(62))
            if row is None:
                return None, rang
            if row.attempts <= MAX_ATTEMPTS:
                return row, _show(tx, host, row, now=now) or rang
            note = f"given back {MAX_ATTEMPTS} times"
            rang |= finish(tx, host, row, now=now, outcome="rejected", note=note) or False
            log.error("message.rejected", **in_keys(row, error=note))


def _show(tx: Tx, host: str, row: Incoming, *, now: float) -> bool:
    return tx.inbox.mark_read(row.seq, now=now) and acknowledge(tx, host, row, "read", now=now)


def mark_read(store: Store, host: str, rows: Sequence[Incoming], *, now: float) -> bool:
    """These were shown whole; True where an ack was made. Not synced: lost, they are shown again."""
    with store.write(sync=False) as tx:
        rang = [_show(tx, host, row, now=now) for row in rows]
    return any(rang)


def finish(
    tx: Tx,
    host: str,
    row: Incoming,
    *,
    now: float,
    outcome: str,
    note: str | None,
    lease: int | None = None,
) -> bool | None:
    """Make a message done and its ack; None where it is done or the lease was lost, else whether it rang."""
    if not tx.inbox.finish(row.seq, now=now, outcome=outcome, note=note, lease=lease):
        return None
    status = "rejected" if outcome == "rejected" else "done"
    return acknowledge(tx, host, row, status, now=now, outcome=outcome, note=note)


def acknowledge(
    tx: Tx,
    host: str,
    row: Incoming,
    status: str,
    *,
    now: float,
    outcome: str | None = None,
    note: str | None = None,
) -> bool:
    """Send word to where the message came from; True where that put a ring there."""
    ack = Ack(
        sender=row.agent,
        to=row.sender,
        re=row.id,
        status=status,
        at=now,
        host=host,
        outcome=outcome,
        note=note,
    )
    tx.presence.hear("", (row.agent,), "read" if status == "read" else "done", now=now)
    if row.peer is not None:
        tx.acks.put(row.peer, ack)
        return tx.ledger.ring(row.peer)
    if (sent := tx.outbox.exact(row.id, row.sender)) is not None:
        outbox.apply_ack(tx, sent, ack, now=now)
    return False


def keys(message: Message, **more: Any) -> dict[str, Any]:
    """A message in the words of the log."""
    return {
        "id": message.id,
        "from": message.sender,
        "to": message.to,
        "type": message.type,
        "priority": message.priority,
        "re": message.re,
        **more,
    }


def in_keys(row: Incoming, **more: Any) -> dict[str, Any]:
    """A row of the inbox in the words of the log."""
    return {
        "id": row.id,
        "from": row.sender,
        "to": row.recipient,
        "type": row.type,
        "priority": f"P{row.priority}",
        "re": row.re,
        "peer": row.peer,
        **more,
    }

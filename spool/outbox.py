"""The outbox: takes messages to deliver, leases them to a link, and settles what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from spool import log
from spool.message import LIFETIME_S, NAME, Ack, Message, parse_time
from spool.states import PROOFS, State, from_ack
from spool.store.base import Event, LeasedAck, NewOutgoing, Outgoing, Parcel, Store, Tx, Unproven
from spool.transports.base import Accepted, Deferred, Left, Outcome, Refused

LEASE_S: Final = 60.0
MAX_NOTE: Final = 4096
MAX_WORD: Final = 64
_encode = msgspec.json.encode


class Load(NamedTuple):
    """What a link may carry now."""

    parcels: list[Parcel]
    acks: list[LeasedAck]


def row_of(
    message: Message,
    *,
    peer: str,
    origin: str | None,
    now: float,
    lifetime_s: float = LIFETIME_S,
    hops: Sequence[str] = (),
) -> NewOutgoing:
    """The outbox row of a message; `lifetime_s` counts where it does not say `expires`."""
    expires = now + lifetime_s
    if message.expires is not None and origin is None:
        expires = parse_time("expires", message.expires)
    return NewOutgoing(
        id=message.id,
        sender=message.sender,
        recipient=message.to,
        peer=peer,
        origin=origin,
        type=message.type,
        priority=int(message.priority[1]),
        queued_at=now,
        expires_at=expires,
        deadline_at=parse_time("deadline", message.deadline) if message.deadline else None,
        hops=_encode(list(hops)).decode(),
        re=message.re,
        thread=message.thread,
        filled=_encode(message.filled).decode(),
        digest=message.digest,
        raw=message.raw,
    )


def lease(store: Store, peer: str, *, generation: int, now: float, limit: int) -> Load:
    """Lease acks and messages for a peer and take its push task away, in one transaction.

    The task goes first: a message committed after this puts a new one there and rings.
    """
    with store.read() as tx:
        if not _work(tx, peer, now):
            return Load([], [])
    with store.write(sync=False) as tx:
        tx.ledger.rung(peer)
        acks = tx.acks.lease(peer, generation=generation, now=now, until=now + LEASE_S, limit=limit)
        parcels = tx.outbox.lease(peer, generation=generation, now=now, until=now + LEASE_S, limit=limit)
    first = [parcel for parcel in parcels if parcel.attempts == 1]
    if first:
        queued = [keys(parcel, queued_at=parcel.queued_at) for parcel in first]
        log.batch("message.queued", queued, state="queued", peer=peer)
    return Load(parcels, acks)


def _work(tx: Tx, peer: str, now: float) -> bool:
    return tx.ledger.has_task(peer) or tx.sweepings.due(peer, now=now)


def settle(store: Store, peer: str, host: str, told: Sequence[tuple[Parcel, Outcome]], *, now: float) -> bool:
    """Write down what the next hop answered; True where that put an ack or a ring on its way.

    Not synced: what a power cut undoes is offered again, and the next hop knows it.
    """
    rung = False
    moved: list[tuple[Parcel, Outcome]] = []
    with store.write(sync=False) as tx:
        for parcel, outcome in told:
            if _settle_one(tx, peer, host, parcel, outcome, now):
                moved.append((parcel, outcome))
                rung |= _tell_origin(tx, host, parcel, outcome, now)
    _log_settled(peer, moved, now)
    return rung


def _settle_one(tx: Tx, peer: str, host: str, parcel: Parcel, outcome: Outcome, now: float) -> bool:
    match outcome:
        case Accepted(at=at, final=True, host=far):
            return tx.outbox.advance(parcel.seq, parcel.id, State.RECEIVED, now=now, there=at, host=far)
        case Accepted(at=at):
            return tx.outbox.advance(parcel.seq, parcel.id, State.SENT, now=now, there=at, host=None)
        case Left():
            return tx.outbox.advance(parcel.seq, parcel.id, State.SENT, now=now, there=None, host=None)
        case Deferred(reason=reason, after_s=after_s):
            due = now + _delay(parcel, at_least_s=after_s)
            tx.ledger.event(_event(parcel, now, host, peer, "deferred", reason))
            if parcel.attached:
                # Its files may be gone there; asking again costs a line.
                tx.attachments.lost([parcel.seq])
            return tx.outbox.defer(parcel, due=due, reason=reason)
        case Refused(reason=reason):
            dead = tx.outbox.bury(parcel.seq, now=now, reason=reason, lease=parcel.lease)
            if dead:
                tx.ledger.event(_event(parcel, now, host, peer, "dead", reason))
            return dead


def _delay(parcel: Parcel, *, at_least_s: float) -> float:
    import random

    from spool import retry

    return retry.message_delay(parcel.attempts, random.Random(), at_least_s=at_least_s)


def _tell_origin(tx: Tx, host: str, parcel: Parcel, outcome: Outcome, now: float) -> bool:
    if parcel.origin is None:
        return False
    match outcome:
        case Accepted(at=at, final=True, host=far):
            ack = ack_for(parcel, "received", at=at, host=far)
        case Refused(reason=reason):
            ack = ack_for(parcel, "dead", at=now, host=host, note=reason)
        case _:
            return False
    tx.acks.put(parcel.origin, ack)
    return tx.ledger.ring(parcel.origin)


def release(store: Store, load: Load) -> None:
    """Give back what a link did not get answered; the next link offers it at once."""
    if load.parcels or load.acks:
        with store.write(sync=False) as tx:
            tx.outbox.release(load.parcels)
            tx.acks.release(load.acks)


def apply_acks(store: Store, peer: str, acks: Iterable[Ack], *, now: float) -> None:
    """Take acks from the peer their messages were handed or escalated to, and pass on those of relayed ones.

    Synced: the hop that carried an ack forgets it once it is told that we have it.
    """
    known: list[tuple[Outgoing, State]] = []
    with store.write(sync=True) as tx:
        for told in acks:
            row = tx.outbox.exact(told.re, told.to)
            if row is None or not _may_tell(tx, row, told, peer):
                log.warning("ack.unknown", id=told.re[:128], peer=peer, status=told.status[:40])
            elif (state := _take_ack(tx, row, _cut(told, row), now)) is not None:
                known.append((row, state))
        _hear(tx, peer, known, now)
    _log_known(peer, known, now)


def _may_tell(tx: Tx, row: Outgoing, ack: Ack, peer: str) -> bool:
    """Whether a peer may say this of a message: it was handed to it, or is a proof and was escalated to it.

    That it is dead is for its own peer to say, which may take it still.
    """
    if row.peer == peer:
        return True
    meant = from_ack(ack.status)
    told = tx.escalations.get(row.id, row.sender) if meant is not None and meant[0] in PROOFS else None
    return told is not None and told.peer == peer


def _hear(tx: Tx, peer: str, known: Sequence[tuple[Outgoing, State]], now: float) -> None:
    """What an agent has read or ended is word of it; `received` is its host's, and an old ack is no news."""
    for state in (State.DONE, State.READ):
        agents = {row.recipient.partition("@")[0] for row, to in known if to is state}
        tx.presence.hear(peer, sorted(agents), state, now=now)


def infer_received(
    store: Store, peer: str, host: str, seen: Iterable[tuple[Unproven, str]], *, now: float
) -> None:
    """Take published messages for received by what became of their files; the text says how that shows."""
    known: list[tuple[Outgoing, State]] = []
    with store.write(sync=True) as tx:
        for one, how in seen:
            row = tx.outbox.exact(one.id, one.sender)
            if row is None or row.archived or row.state is not State.SENT:
                continue
            agent = row.recipient.partition("@")[0]
            ack = Ack(sender=agent, to=row.sender, re=row.id, status="received")
            if (state := _take_ack(tx, row, ack, now)) is not None:
                tx.ledger.event(Event(row.id, row.sender, now, host, peer, state, "inferred", None, how))
                known.append((row, state))
    _log_known(peer, known, now, inferred=True)


def _take_ack(tx: Tx, row: Outgoing, ack: Ack, now: float) -> State | None:
    state = apply_ack(tx, row, ack, now=now)
    # One that is not known could be said in any number of ways, each of them a row.
    if row.origin is not None and from_ack(ack.status) is not None:
        tx.acks.put(row.origin, ack)
        tx.ledger.ring(row.origin)
    return state


def _log_known(peer: str, known: Sequence[tuple[Outgoing, State]], now: float, **more: bool) -> None:
    for row, state in known:
        log.info(
            f"message.{state}",
            **out_keys(row, state=state, peer=peer),
            latency_ms=_ms(now - row.queued_at),
            **more,
        )


def _cut(ack: Ack, row: Outgoing) -> Ack:
    """An ack with texts of a length that can be kept and carried on."""
    return Ack(
        sender=ack.sender if NAME.fullmatch(ack.sender) else row.recipient.partition("@")[0],
        to=row.sender,
        re=row.id,
        status=ack.status,
        at=ack.at,
        host=ack.host if ack.host and NAME.fullmatch(ack.host) else None,
        outcome=ack.outcome and ack.outcome[:MAX_WORD],
        note=ack.note and ack.note[:MAX_NOTE],
    )


def apply_ack(tx: Tx, row: Outgoing, ack: Ack, *, now: float) -> State | None:
    """Move a row as its ack says; the state it moved to, None where nothing changed."""
    if (meant := from_ack(ack.status)) is None:
        log.warning("ack.unknown", id=ack.re, status=ack.status[:40])
        return None
    state, outcome = meant
    if state is State.DEAD:
        # Of an older link it may come late: no hop can take back what the agent's own host has said.
        proven = row.state in PROOFS and row.far_host is not None
        moved = not (row.archived or proven) and tx.outbox.bury(
            row.seq, now=now, reason=ack.note or "dead at a later hop"
        )
        if moved:
            tx.ledger.event(
                Event(row.id, row.sender, now, ack.host, row.peer, row.state, "dead", None, ack.note)
            )
    elif row.archived:
        moved = tx.outbox.advance_archived(row.id, row.sender, state, now=now, there=ack.at, host=ack.host)
    else:
        moved = tx.outbox.advance(row.seq, row.id, state, now=now, there=ack.at, host=ack.host)
    if moved and state is State.DONE:
        tx.outbox.finish(row.id, row.sender, outcome=ack.outcome or outcome or "done", note=ack.note)
    return state if moved else None


def bury(tx: Tx, row: Outgoing, host: str, *, now: float, reason: str, what: str = "dead") -> bool:
    """Make a row dead and tell the peer it came from; False where it has moved on."""
    if not tx.outbox.bury(row.seq, now=now, reason=reason):
        return False
    tx.ledger.event(Event(row.id, row.sender, now, host, row.peer, row.state, what, row.attempts, reason))
    if row.origin is not None:
        agent = row.recipient.partition("@")[0]
        ack = Ack(sender=agent, to=row.sender, re=row.id, status="dead", at=now, host=host, note=reason)
        tx.acks.put(row.origin, ack)
        tx.ledger.ring(row.origin)
    return True


def ack_for(parcel: Parcel, status: str, *, at: float, host: str, note: str | None = None) -> Ack:
    """The ack that tells a message's sender how far it got."""
    agent = parcel.recipient.partition("@")[0]
    return Ack(sender=agent, to=parcel.sender, re=parcel.id, status=status, at=at, host=host, note=note)


def keys(parcel: Parcel, **more: Any) -> dict[str, Any]:
    """A leased message in the words of the log."""
    return {
        "id": parcel.id,
        "from": parcel.sender,
        "to": parcel.recipient,
        "type": parcel.type,
        "priority": f"P{parcel.priority}",
        "re": parcel.re,
        "attempt": parcel.attempts,
        **more,
    }


def out_keys(row: Outgoing, **more: Any) -> dict[str, Any]:
    """A row of the outbox in the words of the log."""
    return {
        "id": row.id,
        "from": row.sender,
        "to": row.recipient,
        "type": row.type,
        "priority": f"P{row.priority}",
        "re": row.re,
        "attempt": row.attempts,
        **more,
    }


def _event(parcel: Parcel, now: float, host: str, peer: str, what: str, detail: str) -> Event:
    return Event(parcel.id, parcel.sender, now, host, peer, parcel.state, what, parcel.attempts, detail)


def _log_settled(peer: str, moved: Sequence[tuple[Parcel, Outcome]], now: float) -> None:
    arrived: dict[str, list[dict[str, Any]]] = {}
    for parcel, outcome in moved:
        match outcome:
            case Accepted(final=final):
                # Where the next hop is the last one, one answer says both.
                verbs = ("sent", "received") if final and parcel.origin is None else ("sent",)
                if parcel.origin is not None:
                    verbs = ("relayed",)
                line = keys(parcel, latency_ms=_ms(now - parcel.queued_at))
                for verb in verbs:
                    arrived.setdefault(verb, []).append(line)
            case Left():
                arrived.setdefault("sent", []).append(keys(parcel))
            case Deferred(reason=reason):
                log.warning("message.deferred", **keys(parcel, state="queued", peer=peer, error=reason))
            case Refused(reason=reason):
                log.error("message.dead", **keys(parcel, state="dead", peer=peer, error=reason))
    for verb, many in arrived.items():
        log.batch(f"message.{verb}", many, state=verb, peer=peer)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

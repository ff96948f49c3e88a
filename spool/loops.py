"""The loop guard: agents that answer each other on and on are held until a person has looked."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from spool import outbox
from spool.config import Host
from spool.message import Message, load
from spool.states import State
from spool.store.base import HELD_TYPE, Event, Hold, NewOutgoing, Outgoing, Tx

# A turn is kept beyond the window for what it answered, which makes no other one.
KEEP_S: Final = 86_400.0
DROPPED: Final = "dropped while it was held: its agent had answered too often in the thread"
EXPIRED: Final = "expired while it was held: its agent had answered too often in the thread"


class Guarded(NamedTuple):
    """The hold that a message falls under; `new` where this message began it."""

    hold: Hold
    new: bool


def guard(tx: Tx, message: Message, host: Host, *, now: float) -> Guarded | None:
    """Count the turn that a message of an agent here is; None where it may go.

    Every host counts what its own agents do, by its own rows: a peer that counts nothing changes
    nothing, and what a peer says of itself counts for nothing.
    """
    # Without a thread nothing is asked of the store: most mail has none.
    if message.thread is None or host.loop_turns == 0:
        return None
    agent, thread = message.sender, message.thread
    came = tx.loops.came(agent, thread, re=message.re)
    if came is not None:
        tx.loops.turn(agent, thread, came=came, now=now, forget_before=now - host.loop_window_s)
    if (hold := tx.loops.standing(agent, thread)) is not None:
        return Guarded(hold, new=False)
    if came is None or not _too_many(tx, agent, thread, host, now=now):
        return None
    hold = Hold(agent, thread, message.to, host.loop_turns, now)
    tx.loops.hold(hold)
    return Guarded(hold, new=True)


def _too_many(tx: Tx, agent: str, thread: str, host: Host, *, now: float) -> bool:
    if _turns(tx, agent, thread, host, now=now, person_at=None) <= host.loop_turns:
        return False
    # Who typed something to the agent is asked for only now: it seldom matters.
    person_at = _person_at(tx, agent)
    return _turns(tx, agent, thread, host, now=now, person_at=person_at) > host.loop_turns


def _turns(tx: Tx, agent: str, thread: str, host: Host, *, now: float, person_at: float | None) -> int:
    """The turns within the window; those from before a person spoke to the agent do not count."""
    since = now - host.loop_window_s
    # By a clock that was set back since, a person will have spoken some time.
    if person_at is not None and person_at <= now:
        since = max(since, person_at)
    return tx.loops.turns(agent, thread, since=since, until=now)


def _person_at(tx: Tx, agent: str) -> float | None:
    """When a person last typed something to a session of the agent."""
    spoken = [session.prompted_at for session in tx.sessions.open(agent) if session.prompted_at is not None]
    return max(spoken, default=None)


def keep(tx: Tx, row: NewOutgoing, message: Message, hold: Hold, host: Host, *, now: float) -> None:
    """Store a message that falls under a hold: queued, and carried by nobody."""
    why = f"held: {turns_of(hold, host)}; `spool release {hold.thread}`"
    seq = tx.outbox.put(row)
    # For a message to an agent here too: its files stay as long as it waits.
    tx.attachments.attach(seq, row.peer, message.attachments)
    tx.loops.keep(seq, reason=why)
    tx.ledger.event(_event(row, "held", now, host.name, turns_of(hold, host)))


def release(tx: Tx, hold: Hold, host: str, *, now: float) -> list[Outgoing]:
    """Let go of what is held, in order, and count from zero; what it was. Rings for no peer.

    What is past its lifetime stays, for the sweep to end.
    """
    rows = [row for row in tx.loops.held(hold.agent, hold.thread) if row.expires_at > now]
    for row in rows:
        tx.ledger.event(_event(row, "released", now, host, None))
        if row.peer:
            tx.loops.carry(row.seq, now=now)
        else:
            deliver(tx, row, host, now=now)
    tx.loops.end(hold.agent, hold.thread)
    return rows


def drop(tx: Tx, hold: Hold, host: str, *, now: float) -> list[Outgoing]:
    """Make what is held dead, and count from zero; what it was."""
    rows = tx.loops.held(hold.agent, hold.thread)
    for row in rows:
        outbox.bury(tx, row, host, now=now, reason=DROPPED, what="dropped")
    tx.loops.end(hold.agent, hold.thread)
    return rows


def deliver(tx: Tx, row: Outgoing, host: str, *, now: float) -> None:
    """Hand a queued message to its agent on this host, as `send` would have done."""
    message = load(row.raw, filled=row.filled, digest=row.digest)
    agent = row.recipient.partition("@")[0]
    from spool import inbox

    tx.outbox.advance(row.seq, row.id, State.RECEIVED, now=now, there=now, host=host)
    seq = tx.inbox.put(inbox.row_of(message, agent=agent, peer=None, now=now))
    tx.attachments.enclose(seq, message.attachments)
    for file in message.attachments:
        tx.attachments.arrived("", file.sha256)
    if message.re is not None:
        tx.outbox.answered(message.re, agent, by=message.sender, peer="")


def notice(hold: Hold, host: Host) -> dict[str, Any]:
    """What the other side is told once, in the thread, as JSON names and values."""
    return {
        "from": hold.agent,
        "to": hold.other,
        "thread": hold.thread,
        "type": HELD_TYPE,
        "priority": "P3",
        "subject": f"{hold.agent} is held in this thread until a person has looked",
        "body": (
            f"spool on {host.name} wrote this, not {hold.agent}. {turns_of(hold, host)}, so what"
            f" {hold.agent} writes here from now on waits on {host.name}. Nothing is lost. Do not answer"
            f" this message. A person there lets it go on with `spool release {hold.thread}`."
        ),
    }


def turns_of(hold: Hold, host: Host) -> str:
    """Why, in words."""
    minutes = host.loop_window_s / 60
    within = f"{minutes:.0f} min" if minutes >= 1 else f"{host.loop_window_s:g} s"
    return f"{hold.agent} answered {hold.turns} times in this thread within {within}, with no person between"


def _event(row: NewOutgoing | Outgoing, what: str, now: float, host: str, detail: str | None) -> Event:
    return Event(row.id, row.sender, now, host, row.peer, State.QUEUED, what, None, detail)

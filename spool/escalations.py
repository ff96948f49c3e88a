"""Escalations: messages that a person is told of by another road; how each stands, what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from spool import log, outbox
from spool.message import format_time
from spool.states import PROOFS, State
from spool.store.base import Escalation, Event, Outgoing, Reason, Store, Tx, is_held

if TYPE_CHECKING:
    from spool.notices import Notice

# The rules that are no priority and no type.
BY_HAND: Final = "by hand"
OVERDUE: Final = "overdue"
DEAD: Final = "dead"
PEER_DOWN: Final = "peer down"
CANCELLED: Final = "cancelled"
MAX_TEXT: Final = 500
# So many notices are handed over at once: GitHub takes about one write in a second.
AT_ONCE: Final = 20


def add(tx: Tx, host: str, row: Outgoing, reason: Reason, *, road: str, now: float) -> bool:
    """Escalate a message for one more reason; False where it is escalated for the same one already.

    What a person says by hand takes the place of what was said so before. One that was resolved is open
    again: it keeps its issue.
    """
    before = tx.escalations.get(row.id, row.sender)
    if before is None:
        made = _first(row, reason, road, now)
        tx.escalations.put(made)
    else:
        others = [each for each in before.reasons if each.rule != reason.rule]
        if len(others) < len(before.reasons) and reason.rule != BY_HAND:
            return False
        again = msgspec.structs.replace(before, state="open", resolved_at=None, reasons=[*others, reason])
        made = moved(again, row, now)
        tx.escalations.save(made)
    tx.ledger.event(event(made, row, host, now, "escalated", said(reason)))
    return True


def _first(row: Outgoing, reason: Reason, road: str, now: float) -> Escalation:
    return Escalation(
        sender=row.sender,
        id=row.id,
        peer=road,
        reasons=[reason],
        shown=standing(row),
        opened_at=now,
        changed_at=now,
        queued_at=row.queued_at,
        expires_at=row.expires_at,
        travels=_travels(row),
        filled=row.filled,
        digest=row.digest,
        raw=row.raw,
    )


def _travels(row: Outgoing) -> bool:
    """Whether another host may take it out of the issue: a dead one goes nowhere, a held one waits for a
    person, and one for an agent of this host is nobody else's, whatever their agents are called."""
    return row.peer != "" and row.state is not State.DEAD and not is_held(row)


def moved(told: Escalation, row: Outgoing | None, now: float) -> Escalation:
    """The same one, with how its message stands now; without a row it was dropped."""
    return msgspec.structs.replace(
        told,
        shown=[*told.shown, "dropped here"] if row is None else standing(row),
        changed_at=now,
        revision=told.revision + 1,
        expires_at=told.expires_at if row is None else row.expires_at,
        travels=row is not None and _travels(row),
    )


def resolve(tx: Tx, told: Escalation, row: Outgoing, host: str, *, by: str, now: float) -> Escalation:
    """End one because a person says so, `by` hand or as an account there; as it is then."""
    after = resolved(told, row, now)
    after = msgspec.structs.replace(after, shown=[*after.shown, f"resolved {by} at {format_time(now)}"])
    tx.escalations.save(after)
    if not after.offered:
        tx.ledger.event(event(after, row, host, now, "resolved", f"{by}; nobody was told yet"))
    return after


def resolved(told: Escalation, row: Outgoing | None, now: float) -> Escalation:
    """The same one, over since now."""
    after = moved(told, row, now)
    # What no road was given is nowhere, and shall be nowhere.
    posted = after.posted if after.offered else after.revision
    return msgspec.structs.replace(after, state="resolved", resolved_at=now, posted=posted)


def is_over(told: Escalation, row: Outgoing | None) -> bool:
    """Whether nobody need be told of it any more: it is done, taken back or dropped; or what each of its
    reasons missed has come."""
    if row is None or row.state is State.DONE or (row.state is State.DEAD and row.reason == CANCELLED):
        return True
    came = {PEER_DOWN: row.state in PROOFS, OVERDUE: row.answered}
    return all(came.get(reason.rule, False) for reason in told.reasons)


def standing(row: Outgoing) -> list[str]:
    """How a message stands, a line for each step it came through; nothing that changes by itself."""
    lines = [f"queued at {format_time(row.queued_at)}" + (f" for the peer {row.peer}" if row.peer else "")]
    if row.sent_at is not None and row.peer:
        lines.append(f"sent at {format_time(row.sent_at)}")
    if row.received_at is not None:
        by = f" by {row.far_host}" if row.far_host else ""
        lines.append(f"received{by}, known at {format_time(row.received_at)}")
    if row.read_at is not None:
        lines.append(f"read, known at {format_time(row.read_at)}")
    if row.answered:
        lines.append("answered")
    if row.done_at is not None:
        note = f": {row.note[:MAX_TEXT]}" if row.note else ""
        lines.append(f"{row.outcome or 'done'}, known at {format_time(row.done_at)}{note}")
    if row.state is State.DEAD:
        lines.append(
            f"dead since {format_time(row.dead_at or row.queued_at)}: {(row.reason or '')[:MAX_TEXT]}"
        )
    return lines


def said(reason: Reason) -> str:
    """A reason in a line."""
    return f"{reason.rule}: {reason.text}" if reason.text else reason.rule


def escalated_keys(row: Outgoing, reason: Reason, road: str) -> dict[str, object]:
    """An escalated message in the words of the log."""
    return {**outbox.out_keys(row, state=row.state, peer=road), "rule": reason.rule, "error": reason.text}


def keys_of(told: Escalation) -> dict[str, object]:
    """One in the words of the log."""
    return {"id": told.id, "from": told.sender, "peer": told.peer, "number": told.number}


def event(told: Escalation, row: Outgoing, host: str, now: float, what: str, detail: str) -> Event:
    return Event(told.id, told.sender, now, host, told.peer, row.state, what, None, detail)


# -- the road -----------------------------------------------------------------------------------


def notices(store: Store, host: str, peer: str, *, now: float, beside: int = 0) -> list[Notice]:
    """What shall stand at this peer and does not yet, the oldest first; `posted` says that it does.

    Before it is handed over for the first time, that is on disk: whoever is killed after it made an issue
    leaves one that is looked for.
    """
    with store.read() as tx:
        due = tx.escalations.due(peer, limit=AT_ONCE + beside)
    if not all(told.offered for told in due):
        with store.write(sync=True) as tx:
            # One that was resolved meanwhile is not handed over any more.
            due = tx.escalations.due(peer, limit=AT_ONCE + beside)
            for told in due:
                tx.escalations.offer(told.id, told.sender)
    from spool import notices as written

    return [written.notice(told, host, now=now) for told in due]


def posted(
    store: Store, host: str, peer: str, notice: Notice, *, number: int | None, url: str | None, now: float
) -> None:
    """A notice stands there, as the issue `number` at `url`; without a number none was there to be closed."""
    with store.write(sync=True) as tx:
        before = tx.escalations.get(notice.id, notice.sender)
        if before is None:
            return
        after = msgspec.structs.replace(
            before,
            posted=max(before.posted, notice.revision),
            stands="open" if notice.open else "closed",
            number=before.number if number is None else number,
            url=before.url if url is None else url,
            error=None,
        )
        tx.escalations.save(after)
        what = "resolved" if not notice.open else "posted" if before.posted == 0 else "updated"
        if (row := tx.outbox.exact(notice.id, notice.sender)) is not None:
            tx.ledger.event(event(after, row, host, now, what, _where(after)))
    match what:
        case "posted":
            log.warning("escalation.posted", **keys_of(after))
        case "updated":
            log.info("escalation.updated", **keys_of(after))
        case _:
            log.info("escalation.closed", **keys_of(after))


def closed(store: Store, host: str, peer: str, key: tuple[str, str], *, login: str, now: float) -> bool:
    """A person who may has closed the issue of (sender, id): nobody need be told any more. False where there
    is none that was left open."""
    sender, id = key
    with store.write(sync=True) as tx:
        told, row = tx.escalations.get(id, sender), tx.outbox.exact(id, sender)
        # Where we closed it ourselves, that is all there is to it.
        if told is None or row is None or told.peer != peer or (told.state, told.stands) != ("open", "open"):
            return False
        after = resolve(tx, told, row, host, by=f"on GitHub by {login}", now=now)
    log.info("escalation.resolved", **keys_of(after))
    return True


def failed(store: Store, notice: Notice, error: str) -> None:
    """A notice could not be told; it is handed over again."""
    with store.write(sync=False) as tx:
        if (before := tx.escalations.get(notice.id, notice.sender)) is not None and before.error != error:
            tx.escalations.save(msgspec.structs.replace(before, error=error[:MAX_TEXT]))


def _where(told: Escalation) -> str:
    if told.number is None:
        return "nothing was there"
    return f"issue {told.number}" + (f": {told.url}" if told.url else "")

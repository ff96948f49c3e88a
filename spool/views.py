"""What the doors print: rows of a spool as plain dicts, in the JSON shapes that scripts rely on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from spool.errors import StoreError, UnknownPeer
from spool.looking import ago, message_of
from spool.message import Attachment, format_time, split_address
from spool.presence import Process, lives, living
from spool.states import Held, State
from spool.store.base import Escalation, Event, Incoming, Outgoing, PeerRow, Quarantined, is_held
from spool.version import VERSION

if TYPE_CHECKING:
    from spool.api import Posted, Spool
    from spool.config import Peer

HEADERS: Final = (
    "id",
    "timestamp",
    "from",
    "to",
    "priority",
    "type",
    "subject",
    "citation",
    "requires_response",
    "deadline",
    "re",
    "thread",
    "expires",
)
MAX_AGE_S: Final = 900.0
SWEPT_S: Final = 60.0
UNTOLD_S: Final = 120.0
MANY: Final = 1000
DAY_S: Final = 86_400.0
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RANK: Final = {State.QUEUED: 0, State.SENT: 1, State.RECEIVED: 2, State.READ: 3, State.DONE: 4}


def when(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339, None where there is no time."""
    return None if seconds is None else format_time(seconds)


# -- messages ---------------------------------------------------------------------------------


def letter(
    row: Incoming | Outgoing, *, now: float, full: bool = False, home: Path | None = None
) -> dict[str, Any]:
    """A message's headers and how it stands; with `full` the message whole under `message`, with
    `home` where its files lie there."""
    parts = {name: value for name, value in _PARTS.decode(row.raw).items() if bytes(value) != b"null"}
    view: dict[str, Any] = {name: msgspec.json.decode(parts[name]) for name in HEADERS if name in parts}
    view |= {
        "state": str(row.state),
        "bytes": len(row.raw),
        "overdue": is_overdue(row, now),
        "received_at": when(row.received_at),
        "peer": row.peer or None,
    }
    if row.re is not None and "re" not in parts:
        # What it answers is told by its subject alone.
        view |= {"re": row.re, "re_inferred": True}
    if row.thread is not None:
        # Told by what it answers, where it does not say so itself.
        view["thread"] = row.thread
    if isinstance(row, Outgoing):
        view |= {
            "queued_at": when(row.queued_at),
            "attempts": row.attempts,
            "far_host": row.far_host,
            "reason": row.reason,
            **({"held": True} if is_held(row) else {}),
        }
    if row.outcome is not None:
        view |= {"outcome": row.outcome, "note": row.note}
    if home is not None and (named := message_of(row).attachments):
        view["attachments"] = files(named, home)
    if full:
        # Line breaks stand only between the values of valid JSON: one object stays one line.
        view["message"] = msgspec.Raw(row.raw.replace(b"\r", b" ").replace(b"\n", b" "))
    return view


def files(named: Sequence[Attachment], home: Path) -> list[dict[str, Any]]:
    """The files of a message, each with its path in this home; no path where it is not here."""
    from spool.folder import Folder

    folder = Folder(home)
    return [
        {**msgspec.to_builtins(file), "path": str(folder.path(file.sha256)) if folder.has(file) else None}
        for file in named
    ]


def brought(spool: Spool, row: Outgoing) -> tuple[int, int] | None:
    """How many bytes of a message's files the next hop has, and of how many; None where it has all."""
    if row.due is None or b'"attachments"' not in row.raw:
        return None
    with spool.store.read() as tx:
        shipments = tx.attachments.attached(row.seq)
    if all(each.there for each in shipments):
        return None
    return sum(each.got for each in shipments), sum(each.bytes for each in shipments)


def is_overdue(row: Incoming | Outgoing, now: float) -> bool:
    """Whether an answer was wanted by now and there is none."""
    ended = row.state in (State.DONE, State.DEAD, Held.DONE, Held.DEAD)
    return row.deadline_at is not None and row.deadline_at <= now and not row.answered and not ended


def posted(spool: Spool, sent: Posted) -> dict[str, Any]:
    """What `send` says of a message it took."""
    return next(posted_all(spool, [sent]))


def posted_all(spool: Spool, sent: Sequence[Posted]) -> Iterator[dict[str, Any]]:
    """The same of many; each recipient is looked at once."""
    from spool import whereabouts

    known: dict[tuple[str, str], tuple[dict[str, Any], str | None]] = {}
    for each in sent:
        agent = split_address(each.to)[0]
        if (agent, each.peer) not in known:
            known[agent, each.peer] = whereabouts.recipient(spool, agent, each.peer, now=spool.now())
        view, warning = known[agent, each.peer]
        yield _posted(spool, each, view, [warning] if warning else [])


def _posted(spool: Spool, sent: Posted, recipient: dict[str, Any], more: list[str]) -> dict[str, Any]:
    try:
        carrier, warnings = spool.outlook(sent.peer)
    except UnknownPeer:
        # It is stored: an answer goes back to where the question came from, peer or no peer.
        carrier, warnings = "none", [f"{sent.peer} is no peer any more: `spool peer add {sent.peer} URL`"]
    if sent.held:
        from spool import loop_views

        warnings = [loop_views.warning(spool, sent.id), *warnings]
    return {
        "id": sent.id,
        "state": str(sent.state),
        "to": sent.to,
        "peer": sent.peer or None,
        "carrier": carrier,
        "recipient": recipient,
        "warnings": [*warnings, *more],
        **({"held": True} if sent.held else {}),
        **({"attachments": files(sent.attachments, spool.home)} if sent.attachments else {}),
    }


def escalation(told: Escalation) -> dict[str, Any]:
    """What a person is told of a message, and how far that got."""
    return {
        "id": told.id,
        "from": told.sender,
        "peer": told.peer,
        "state": told.state,
        "reasons": [
            {"rule": each.rule, "at": when(each.at), "text": each.text or None} for each in told.reasons
        ],
        "opened_at": when(told.opened_at),
        "resolved_at": when(told.resolved_at),
        "number": told.number,
        "url": told.url,
        "posted": told.posted >= told.revision,
        "error": told.error,
    }


def quarantined(found: Quarantined, *, full: bool = False) -> dict[str, Any]:
    """One of the quarantine; with `full` its bytes, as text where they are text."""
    view: dict[str, Any] = {
        "n": found.n,
        "at": when(found.at),
        "peer": found.peer,
        "name": found.name,
        "reason": found.reason,
        "bytes": len(found.raw),
    }
    if full:
        try:
            view["text"] = found.raw.decode("utf-8")
        except UnicodeDecodeError:
            view["base64"] = found.raw
    return view


# -- one message's history --------------------------------------------------------------------


def trace(spool: Spool, id: str) -> dict[str, Any]:
    """One message's history in the order of cause. Raises NotFound, AmbiguousId."""
    sent, received = spool.find(id)
    row = sent or received
    assert row is not None
    with spool.store.read() as tx:
        told = tx.ledger.events(row.id, row.sender)
        answers = tx.inbox.answers(row.id, row.sender) if sent is not None else []
    events = history(row, told, spool.config.host.name)
    return {
        "id": row.id,
        "state": str(row.state),
        "ending": _ending(row),
        "answers": [answer.id for answer in answers],
        "events": events,
    }


def _ending(row: Incoming | Outgoing) -> str | None:
    """How it ended where its state does not say it: rejected and why, the reason of a dead one, a note."""
    if isinstance(row, Outgoing) and row.state is State.DEAD:
        return row.reason
    rejected = "rejected" if row.outcome == "rejected" else None
    return ": ".join(filter(None, [rejected, row.note])) or None


def history(row: Incoming | Outgoing, told: list[Event], here: str) -> list[dict[str, Any]]:
    """The milestones of a row and what was told besides, in the order of cause."""
    if isinstance(row, Outgoing):
        return list(_woven(_sent_milestones(row, here), told))
    return list(_woven(_held_milestones(row, here), told))


def _sent_milestones(row: Outgoing, here: str) -> list[dict[str, Any]]:
    """The steps of a message that goes out, each with the word of the host where it happened."""
    came = f"from {row.origin}, " if row.origin is not None else ""
    steps = [_event(row.queued_at, here, State.QUEUED, row.peer, None, f"{came}to {row.recipient}")]
    if row.sent_at is not None and row.peer:
        steps.append(_event(row.sent_at, here, State.SENT, row.peer, row.attempts or None, None))
    ending = " ".join(filter(None, [row.outcome, f"({row.note})" if row.note else None])) or None
    for state, known, there, more in (
        (State.RECEIVED, row.received_at, row.received_there, None),
        (State.READ, row.read_at, row.read_there, None),
        (State.DONE, row.done_at, row.done_there, ending),
    ):
        if known is None or (state is State.READ and implied(row)):
            continue
        if there is None:
            detail = "; ".join(filter(None, [more, None if row.peer == "" else "no time was told for this"]))
            steps.append(_event(known, here, state, row.peer, None, detail))
            continue
        seen = "" if row.peer == "" else f"known here {when(known)}"
        steps.append(
            _event(
                there, row.far_host or row.peer, state, row.peer, None, "; ".join(filter(None, [more, seen]))
            )
        )
    return steps


def implied(row: Outgoing | Incoming) -> bool:
    """Whether it counts as read only since it is done: nobody said that it was read."""
    told = isinstance(row, Outgoing) and row.read_there is not None
    return row.read_at == row.done_at and not told


def _held_milestones(row: Incoming, here: str) -> list[dict[str, Any]]:
    """The steps of a message that came, as this host saw them."""
    way = f"from {row.sender}" + (f" by way of {', '.join(row.hops)}" if row.hops else "")
    steps = [_event(row.received_at, here, State.RECEIVED, row.peer, None, f"{way}, for {row.agent}")]
    if row.read_at is not None and not implied(row):
        steps.append(_event(row.read_at, here, State.READ, row.peer, row.attempts or None, None))
    if row.done_at is not None:
        ending = " ".join(filter(None, [row.outcome, f"({row.note})" if row.note else None]))
        steps.append(_event(row.done_at, here, State.DONE, row.peer, None, ending))
    return steps


def _woven(milestones: list[dict[str, Any]], told: list[Event]) -> Iterator[dict[str, Any]]:
    """Milestones and events in order of cause: an event comes after the state it happened in.

    A revival takes `sent` back, so that one can only have come after the last of them.
    """
    waiting = list(milestones)
    revived = max((at for at, event in enumerate(told) if event.what == "retried"), default=-1)
    for at, event in enumerate(told):
        rank = _RANK.get(State(event.state), -1)
        while waiting and _RANK[State(waiting[0]["state"])] <= rank:
            if waiting[0]["state"] == State.SENT and at < revived:
                break
            yield waiting.pop(0)
        yield _told(event)
    yield from waiting


_AFTER: Final = {"retried": State.QUEUED}
# What became of an escalation; the message goes its own way.
_ROAD: Final = ("escalated", "posted", "updated", "resolved")


def _told(event: Event) -> dict[str, Any]:
    stays = {"deferred", "inferred", "lost", "held", "released", "restored", *_ROAD}
    state = State(event.state) if event.what in stays else _AFTER.get(event.what, State.DEAD)
    detail = f"{event.what}: {event.detail}" if event.detail not in (None, "", event.what) else event.what
    return _event(event.at, event.host, state, event.peer, event.attempt, detail)


def _event(
    at: float, host: str | None, state: str, peer: str | None, attempt: int | None, detail: str | None
) -> dict[str, Any]:
    return {
        "at": when(at),
        "host": host,
        "state": str(state),
        "peer": peer or None,
        "attempt": attempt,
        "detail": detail or None,
    }


# -- the host ---------------------------------------------------------------------------------


def status(spool: Spool, *, now: float) -> dict[str, Any]:
    """What runs here, what waits, and how old the oldest is."""
    consumer = consumer_of(spool)
    with spool.store.read() as tx:
        out, inn = tx.outbox.counts(), tx.inbox.counts()
        oldest, unread = tx.outbox.oldest_queued(), tx.inbox.oldest_unread()
        overdue = tx.outbox.late(now=now) + tx.inbox.late(now=now)
        held = tx.ledger.count_quarantined()
        waiting, rows = tx.outbox.waiting(), tx.peers.all()
        loop_held, escalated = tx.loops.count(), tx.escalations.count()
    return {
        "host": spool.config.host.name,
        "home": str(spool.home),
        "version": VERSION,
        "running": consumer is not None,
        "pid": consumer.pid if consumer else None,
        "since": when(consumer.since) if consumer else None,
        "outbox": {str(state): out.get(state, 0) for state in State},
        "inbox": {str(state): inn.get(state, 0) for state in Held},
        "dead": out.get(State.DEAD, 0),
        "quarantine": held,
        "held": loop_held,
        "escalated": escalated,
        "overdue": overdue,
        "oldest_queued_s": None if oldest is None else round(now - oldest, 1),
        "oldest_unread_s": None if unread is None else round(now - unread, 1),
        "peers": [
            peer_status(spool, peer, rows.get(name) or PeerRow(name=name), waiting.get(name, 0))
            for name, peer in spool.config.peers.items()
        ],
    }


def silent_s(home: Path, *, now: float) -> float | None:
    """Seconds since the log of a home was last written to; None where there is none."""
    from spool import log

    try:
        return max(0.0, now - (home / "log" / log.FILE).stat().st_mtime)
    except FileNotFoundError:
        # Between two files, too, while it is rotated.
        return None


def consumer_of(spool: Spool) -> Process | None:
    """The consumer of this home that lives, the oldest of several."""
    return next(iter(living(spool.home / "run", "consumer")), None)


def presence(spool: Spool, agent: str, peer: str) -> dict[str, Any]:
    """When an agent was last heard of and what waits for it, at a peer or, where that is "", here."""
    from spool import whereabouts

    return whereabouts.of_agent(spool, agent, peer, now=spool.now()).view()


def peer_status(spool: Spool, peer: Peer, row: PeerRow, queued: int) -> dict[str, Any]:
    """How a peer stands."""
    from spool import whereabouts

    return {
        "name": peer.name,
        "url": peer.url or None,
        "state": peer_state(spool, peer, row),
        "last_contact": when(row.last_contact),
        "queued": queued,
        "retry_at": when(row.retry_at),
        "last_error": row.error,
        "far": {"unread": row.far_unread, "queued": row.far_queued, "version": row.far_version},
        "agents": [each.view() for each in whereabouts.of_peer(spool, peer, now=spool.now())],
        "here": brought_by(spool, peer, now=spool.now()),
        **({"rate": _rate(spool, peer)} if peer.is_issues else {}),
    }


def _rate(spool: Spool, peer: Peer) -> dict[str, Any] | None:
    """How many requests a service still takes of so many, and until when; None before it was asked."""
    with spool.store.read() as tx:
        kept = tx.ledger.fact(f"rate:{peer.name}")
    if kept is None:
        return None
    left, limit, reset_at = msgspec.json.decode(kept, type=tuple[int, int, float])
    return {"left": left if reset_at > spool.now() else limit, "limit": limit, "reset_at": when(reset_at)}


def brought_by(spool: Spool, peer: Peer, *, now: float) -> dict[str, Any]:
    """What of a peer waits here, and why no more of it is taken just now, if that is so."""
    from spool import quotas

    host = spool.config.host
    room = spool.store.free_bytes() - host.low_water_mb * quotas.MB
    with spool.store.read() as tx:
        quota = tx.quotas.get(peer.name)
    over = quotas.problem(quota, quotas.limits(host, peer), room=room, now=now)
    return {"messages": quota.messages, "bytes": quota.bytes, "over_quota": over}


def quota_remedy(peer: Peer) -> str:
    """What to do about a peer that is over its quota."""
    return (
        "its agents' mail here: `spool inbox`, then `spool done ID`; or raise the quota under"
        f" [peers.{peer.name}]; docs/runbook.md has more"
    )


def there(peer: dict[str, Any]) -> str:
    """What the far side of a `peer_status` said last of its mail, and its version where that is another."""
    far = peer["far"]
    counts = [f"{far[key]} {key}" for key in ("unread", "queued") if far[key]]
    other = [f"spool {far['version']}"] if far["version"] not in (None, VERSION) else []
    return ", ".join([*counts, *other])


def peer_state(spool: Spool, peer: Peer, row: PeerRow) -> str:
    """linked, dialling, stopped; else waiting, or dials-us for a peer without a url."""
    if row.state == "stopped":
        return "stopped"
    # What a process wrote that is gone says nothing of now.
    if row.state in ("linked", "dialling") and row.holder and lives(spool.home / "run", row.holder):
        return row.state
    return "waiting" if peer.url else "dials-us"


def stuck(spool: Spool, view: dict[str, Any], *, now: float, max_age_s: float = MAX_AGE_S) -> list[str]:
    """What does not move by itself, one line each with what to do; `view` is from `status`."""
    from spool import loop_views

    return [
        *_stuck_peers(spool, view),
        *_stuck_home(spool, view, now),
        *_stuck_mail(view, max_age_s),
        *_stuck_escalations(spool, now),
        *loop_views.stuck(spool, now=now),
    ]


def unwritable(spool: Spool) -> list[str]:
    """A line where nothing can be written to the database; what is tried is taken back."""
    try:
        with spool.store.write(sync=False) as tx:
            tx.ledger.set_fact("written_at", "")
            raise _TakenBack
    except _TakenBack:
        return []
    except StoreError as exc:
        path = spool.store.path
        files = f"{path}, {path.name}-wal and {path.name}-shm"
        return [f"the database cannot be written ({exc.message}): its owner must be able to write {files}"]


class _TakenBack(Exception):
    """Undoes the transaction it is raised in."""


def notes(spool: Spool, *, now: float) -> list[str]:
    """What is worth a look and is not stuck, one line each."""
    fresh = sum(row.dead_at is not None and now - row.dead_at < DAY_S for row in spool.dead(limit=-1))
    what = "1 message is" if fresh == 1 else f"{fresh} messages are"
    return [f"{what} dead since the last 24 h: `spool dead list`"] if fresh else []


def _stuck_peers(spool: Spool, view: dict[str, Any]) -> Iterator[str]:
    with spool.store.read() as tx:
        acks = tx.acks.waiting()
    for peer in view["peers"]:
        name, queued = peer["name"], peer["queued"]
        if not spool.config.peer(name).is_files:
            queued += acks.get(name, 0)
        if peer["state"] == "stopped":
            yield f"peer {name} is stopped ({peer['last_error']}): mend it, then `spool peer resume {name}`"
        elif queued and peer["url"] and not view["running"] and peer["state"] != "linked":
            yield f"no consumer runs and {queued} wait for {name}: `spool up --detach`"
    with spool.store.read() as tx:
        waiting = tx.outbox.waiting()
    for name in sorted(waiting.keys() - spool.config.peers.keys() - {""}):
        yield f"{waiting[name]} wait for {name}, which is no peer any more: `spool peer add {name} URL`"


def _stuck_home(spool: Spool, view: dict[str, Any], now: float) -> Iterator[str]:
    from spool import settings, sweep

    with spool.store.read() as tx:
        problem, swept = tx.ledger.fact(settings.FACT), tx.ledger.fact(sweep.FACT)
    if problem:
        yield f"the consumer keeps its old config, since the new one is bad: {problem}"
    consumer = consumer_of(spool)
    if consumer is not None:
        last = max(consumer.since, float(swept) if swept else 0.0)
        if now - last > SWEPT_S:
            yield f"the consumer (pid {consumer.pid}) has not swept for {ago(now - last)}: `spool restart`"
    low = spool.config.host.low_water_mb * 1024 * 1024
    if (free := spool.store.free_bytes()) < low:
        yield f"{free // 1024 // 1024} MB free, no mail is taken below {low // 1024 // 1024}: free some space"


def _stuck_escalations(spool: Spool, now: float) -> Iterator[str]:
    with spool.store.read() as tx:
        untold = [told for told in tx.escalations.due(limit=MANY) if now - told.changed_at > UNTOLD_S]
    for peer in sorted({told.peer for told in untold}):
        theirs = [told for told in untold if told.peer == peer]
        what = f"{len(theirs)} escalations have" if len(theirs) > 1 else "1 escalation has"
        why = next((f" ({told.error})" for told in theirs if told.error), "")
        if peer not in spool.config.peers:
            yield f"{what} no way to {peer}, which is no peer any more: `spool peer add {peer} URL`"
        else:
            yield f"{what} not reached {peer}{why}: `spool peer check {peer}`"


def _stuck_mail(view: dict[str, Any], max_age_s: float) -> Iterator[str]:
    oldest = view["oldest_queued_s"]
    if oldest is not None and oldest > max_age_s:
        yield f"the oldest message waits for {ago(oldest)}: `spool outbox`, then `spool trace ID`"

"""`spool inbox`, `spool done` and `spool cancel`: what an agent does with its mail."""

from __future__ import annotations

import time

from spool import views
from spool.cli import screen
from spool.cli.common import Call
from spool.cli.declared import AtLeast, Choice, argument, command, option, usage
from spool.cli.kinds import priority as priority_kind
from spool.cli.kinds import since as since_time
from spool.looking import ago
from spool.message import load


@command
@option("--unread", is_flag=True, help="Only what was not read yet.")
@option("--full", is_flag=True, help="The bodies too; still marks nothing.")
@option("--from", "sender", metavar="AGENT", help="From this agent.")
@option("--re", metavar="ID", help="Answers to this message.")
@option("--thread", metavar="ID", help="Of this thread.")
@option("--since", type=since_time, metavar="WHEN", help="That came since then: RFC 3339, or 30m, 2h, 1d.")
@option("--priority", type=priority_kind, metavar="P1", help="This urgent or more.")
@option("--limit", type=AtLeast(1), default=20, help="How many at most.  [20]")
@option("--follow", is_flag=True, help="A line for each unread message, and for each that comes.")
@option("--new-only", is_flag=True, help="With --follow: not what is unread already.")
def inbox(
    call: Call,
    unread: bool,
    full: bool,
    sender: str | None,
    re: str | None,
    thread: str | None,
    since: float | None,
    priority: str | None,
    limit: int,
    follow: bool,
    new_only: bool,
) -> None:
    """List what is not done for this agent, overdue and urgent first. Changes nothing.

    \b
    Examples:
      spool inbox
      spool inbox --unread --priority P1
      spool inbox --from builder --since 2h --json
      spool inbox --follow
    """
    if follow and (full or since is not None):
        raise usage("--follow: without --full and --since")
    if new_only and not follow:
        raise usage("--new-only: only with --follow")
    spool = call.spool()
    newest = spool.newest() if follow else 0
    rows = spool.inbox(
        unread_only=unread or follow,
        sender=sender,
        re=re,
        thread=thread,
        since=since,
        priority=priority,
        limit=limit + 1,
    )
    now = time.time()
    shown = rows[:limit]
    if follow:
        from spool.cli import following

        wanted = following.Wanted(sender=sender, re=re, thread=thread, priority=priority)
        if new_only:
            shown = []
        elif len(rows) > limit:
            call.warn(f"there is more than these {limit}: --limit shows more")
        following.follow(call, spool, wanted, unread=shown, beyond=newest)
        return
    if call.json:
        for row in shown:
            call.tell(views.letter(row, now=now, full=full, home=call.home if full else None))
    elif shown and full:
        from spool.cli.whole import text_of

        for row in shown:
            call.say(text_of(row, call.home).decode().rstrip("\n") + "\n")
    elif shown:
        lines = [
            (
                id,
                f"P{row.priority}",
                "OVERDUE" if views.is_overdue(row, now) else str(row.state),
                row.sender,
                ago(now - row.received_at),
                load(row.raw, filled=row.filled, digest=row.digest).subject,
            )
            for id, row in zip(screen.ids([row.id for row in shown]), shown, strict=True)
        ]
        call.draw(screen.listing(lines, state=2))
    else:
        fits = " that fits" if any((sender, re, thread, since is not None, priority)) else ""
        call.warn(f"no {'unread' if unread else 'open'} mail for {spool.agent()}{fits}")
    if len(rows) > limit:
        call.warn(f"there is more than these {limit}: --limit shows more")


@command
@argument("ids", metavar="ID...", nargs=-1, required=True)
@option("--outcome", type=Choice("done", "rejected"), default="done", help="done or rejected.")
@option("--note", metavar="TEXT", help="A word to the sender, such as why not.")
def done(call: Call, ids: tuple[str, ...], outcome: str, note: str | None) -> None:
    """Acknowledge messages: their senders see `done` in `trace`, with outcome and note.

    All in one commit, or none. One that is done already stays as it was.

    \b
    Examples:
      spool done 93a788 0b41c2
      spool done 93a788 --outcome rejected --note "not my part of the house"
    """
    spool = call.spool()
    for id in spool.done(ids, outcome=outcome, note=note):
        row = spool.received(id)
        if row.outcome != outcome or (note is not None and row.note != note):
            noted = f" ({row.note})" if row.note else ""
            call.warn(f"{id} was done before as {row.outcome}{noted}: it stays as it was")
        call.tell({"id": id, "state": str(row.state), "outcome": row.outcome, "note": row.note}, id)


@command
@argument("id")
def cancel(call: Call, id: str) -> None:
    """Take back a message that is still queued; it is dead then, with the reason `cancelled`.

    \b
    Example:
      spool cancel 93a788
    """
    spool = call.spool()
    call.log_to(spool)
    whole = spool.cancel(id)
    call.tell({"id": whole, "state": str(spool.state(whole)), "reason": "cancelled"}, whole)

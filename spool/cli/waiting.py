"""`spool wait`: returns when there is something to do."""

from __future__ import annotations

import time

from spool import views
from spool.api import Spool
from spool.cli.common import Call
from spool.cli.declared import argument, command, option, usage
from spool.cli.kinds import length
from spool.cli.text import table
from spool.errors import BadMessage, NoRoute
from spool.message import load
from spool.states import State
from spool.store.base import Incoming, Outgoing


@command
@argument("id", required=False)
@option("--from", "sender", metavar="AGENT", help="Wait for mail from this agent.")
@option("--timeout", type=length, metavar="S", default=100.0, help="How long to wait.  [100 s]")
def wait(call: Call, id: str | None, sender: str | None, timeout: float) -> None:
    """Wait for unread mail, or for an answer to the message ID that you sent.

    Prints headers and marks nothing. With ID it also returns when the message is
    done without an answer, and fails when it is dead. Exit 3 when the time is up.

    \b
    Examples:
      spool wait --timeout 10m && spool read
      spool wait 93a788
      spool wait --from builder --json
    """
    if id is not None and sender is not None:
        raise usage("ID and --from: give one of them")
    spool = call.spool()
    if id is not None:
        row = spool.sent(id)
        if row.state not in (State.DONE, State.DEAD) and not row.answered:
            warn_idle(call, spool, row.peer)
        _print(call, [spool.wait_for_end(id, timeout=timeout)])
        return
    if not spool.inbox(unread_only=True, sender=sender, limit=1):
        _warn_of(call, spool, sender)
    _print(call, spool.wait_for_mail(sender=sender, timeout=timeout))


def warn_idle(call: Call, spool: Spool, *peers: str) -> None:
    """One line where nothing carries mail to or from any of these peers; "" is this host."""
    known = [peer for peer in peers if peer in spool.config.peers]
    if not known or len(known) < len(peers) or any(spool.outlook(peer)[0] != "none" for peer in known):
        return
    dialled = any(spool.config.peer(peer).url for peer in known)
    how = "`spool up --detach` starts a consumer" if dialled else "it comes when a peer dials us"
    call.warn(f"warning: no consumer runs here and no link is up, so no mail comes; {how}")


def _warn_of(call: Call, spool: Spool, sender: str | None) -> None:
    if sender is None:
        warn_idle(call, spool, *spool.config.peers)
        return
    try:
        peer = spool.comes_from(sender)
    except (NoRoute, BadMessage):
        call.warn(f"warning: nobody here or on a peer is called {sender!r}")
    else:
        warn_idle(call, spool, peer)


def _print(call: Call, rows: list[Incoming] | list[Incoming | Outgoing]) -> None:
    now = time.time()
    if call.json:
        for row in rows:
            call.tell(views.letter(row, now=now))
        return
    lines = []
    for row in rows:
        message = load(row.raw, filled=row.filled, digest=row.digest)
        state = str(row.state)
        if row.outcome is not None:
            state += f" ({row.outcome})"
        lines.append((row.id, f"P{row.priority}", state, row.sender, f"re {row.re or '-'}", message.subject))
    call.say(table(lines))

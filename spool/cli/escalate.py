"""`spool escalate`: a person is told of a message now, by the road of `[escalation]`."""

from __future__ import annotations

import time

import click

from spool import views
from spool.cli.common import Call, common
from spool.cli.text import table
from spool.escalations import said
from spool.looking import ago
from spool.store.base import Escalation


@click.command()
@common
@click.argument("id", required=False)
@click.option("--reason", metavar="TEXT", default="", help="Why; it stands in the issue.")
@click.option("--resolve", is_flag=True, help="It is dealt with: close the issue.")
def escalate(call: Call, id: str | None, reason: str, resolve: bool) -> None:
    """Open an issue for a message that was sent from here, whatever its state: a person should know.

    What [escalation] in spool.toml does by rule, now and by hand. Once more, it only changes
    the reason: each message has one issue. It is closed by itself when the message is done.
    Without an ID: what is escalated now.

    \b
    Examples:
      spool escalate
      spool escalate 93a788 --reason "blocked since noon, the link is down"
      spool escalate 93a788 --resolve
    """
    if resolve and reason:
        raise click.UsageError("--resolve: without --reason")
    if id is None:
        if reason or resolve:
            raise click.UsageError("which message? give its ID")
        _list(call)
        return
    spool = call.spool()
    call.log_to(spool)
    told = spool.resolve(id) if resolve else spool.escalate(id, reason=reason)
    call.tell(views.escalation(told), told.id)
    if told.number is None and not resolve:
        for warning in spool.outlook(told.peer)[1]:
            call.warn(warning)


def _list(call: Call) -> None:
    spool = call.spool()
    found, now = spool.escalated(), time.time()
    if call.json:
        for told in found:
            call.tell(views.escalation(told))
    elif found:
        call.say(table([_line(told, now) for told in found]))
    else:
        call.warn("nothing is escalated")


def _line(told: Escalation, now: float) -> tuple[str, ...]:
    where = told.url or (f"issue {told.number}" if told.number is not None else "not there yet")
    return told.id, ago(now - told.opened_at), told.peer, where, "; ".join(map(said, told.reasons))

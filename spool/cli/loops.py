"""`spool held` and `spool release`: agents that answered each other too often."""

from __future__ import annotations

import sys
import time

import click

from spool import loop_views
from spool.api import Spool
from spool.cli.common import Call, common
from spool.cli.text import table
from spool.errors import BadInput
from spool.store.base import Hold, Outgoing


@click.command()
@common
def held(call: Call) -> None:
    """List who is held in which thread, for having answered too often with no person between.

    How often is too often stands in spool.toml: loop_turns (16) within loop_window_s (1 hour).

    \b
    Examples:
      spool held
      spool held --json
    """
    found = call.spool().held()
    if call.json:
        for hold, rows in found:
            call.tell(loop_views.held(hold, rows))
    elif found:
        now = time.time()
        call.say(table([loop_views.line(hold, rows, now=now) for hold, rows in found]))
    else:
        call.warn("nothing is held")


@click.command()
@common
@click.argument("ids", metavar="ID|THREAD...", nargs=-1, required=True)
@click.option("--drop", is_flag=True, help="Send none of it: it is dead, with the reason.")
@click.option("--yes", is_flag=True, help="Do not ask; for people's scripts.")
def release(call: Call, ids: tuple[str, ...], drop: bool, yes: bool) -> None:
    """Let go of what is held in a thread, in order. Turns count from zero then.

    For people: an agent that releases itself goes round in circles again. Ask the person
    you work for. Asks at a terminal; elsewhere it needs --yes.

    \b
    Examples:
      spool release 93a788
      spool release 93a788 --drop
    """
    spool = call.spool()
    found = {(hold.thread, hold.agent): (hold, rows) for id in ids for hold, rows in spool.holds(id)}
    if not yes:
        _ask(list(found.values()), drop=drop)
    call.log_to(spool)
    for hold, _ in found.values():
        _let_go(call, spool, hold, drop=drop)


def _let_go(call: Call, spool: Spool, hold: Hold, *, drop: bool) -> None:
    rows = spool.drop_held(hold) if drop else spool.release(hold)
    view = {"thread": hold.thread, "agent": hold.agent, "messages": [row.id for row in rows], "dropped": drop}
    done = "dropped" if drop else "released"
    call.tell(view, f"{hold.thread}: {loop_views.counted(rows)} of {hold.agent} {done}")


def _ask(found: list[tuple[Hold, list[Outgoing]]], *, drop: bool) -> None:
    """Raises BadInput: nobody is there to be asked, or they do not want it."""
    if not _at_terminal():
        raise BadInput("nothing was released: that is for a person", hint="at a terminal, or with --yes")
    now = time.time()
    click.echo(table([loop_views.line(hold, rows, now=now) for hold, rows in found]), err=True)
    if not click.confirm("Drop all of it?" if drop else "Let it go on?", err=True):
        raise BadInput("nothing was released", hint="`spool held` lists what is held")


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()

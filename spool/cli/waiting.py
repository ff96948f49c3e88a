"""`spool wait`: returns when there is something to do."""

from __future__ import annotations

import time

import click

from spool import views
from spool.cli.common import Call, common
from spool.cli.kinds import length
from spool.cli.text import table
from spool.message import load
from spool.store.base import Incoming, Outgoing


@click.command()
@common
@click.argument("id", required=False)
@click.option("--from", "sender", metavar="AGENT", help="Wait for mail from this agent.")
@click.option("--timeout", type=length, metavar="S", default=100.0, help="How long to wait.  [100 s]")
def wait(call: Call, id: str | None, sender: str | None, timeout: float) -> None:
    """Wait for unread mail, or for an answer to the message ID that you sent.

    Prints headers and marks nothing. With ID it also returns when the message is
    done without an answer, and fails when it is dead. Exit 3 when the time is up.

    \b
    Examples:
      spool wait --timeout 10m && spool read
      spool wait msg-0199c2
      spool wait --from builder --json
    """
    if id is not None and sender is not None:
        raise click.UsageError("ID and --from: give one of them")
    spool = call.spool()
    if id is not None:
        _print(call, [spool.wait_for_end(id, timeout=timeout)])
    else:
        _print(call, spool.wait_for_mail(sender=sender, timeout=timeout))


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

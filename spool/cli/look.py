"""`spool outbox` and `spool trace`: how far messages got."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from spool import views
from spool.api import Spool
from spool.cli import screen
from spool.cli.attaching import brought_text
from spool.cli.common import Call, common
from spool.looking import ago
from spool.message import load
from spool.store.base import Outgoing, is_held


@click.command()
@common
@click.option("--limit", type=click.IntRange(min=1), default=100, help="How many at most.  [100]")
def outbox(call: Call, limit: int) -> None:
    """List what was sent from here and is not done, most urgent first.

    \b
    Examples:
      spool outbox
      spool outbox --json --limit 500
    """
    spool = call.spool()
    rows = spool.outbox(limit=limit + 1)
    print_sent(call, rows[:limit], nothing="nothing is on its way", spool=spool)
    if len(rows) > limit:
        call.warn(f"there is more than these {limit}: --limit shows more")


def print_sent(call: Call, rows: list[Outgoing], *, nothing: str, spool: Spool | None = None) -> None:
    """Messages that were sent from here, a line each; with `spool` how far their files got."""
    now = time.time()
    files = [None if spool is None else views.brought(spool, row) for row in rows]
    if call.json:
        for row, got in zip(rows, files, strict=True):
            more = {} if got is None else {"attached": {"there": got[0], "bytes": got[1]}}
            call.tell(views.letter(row, now=now) | more)
    elif rows:
        ids = screen.ids([row.id for row in rows])
        lines = [_line(id, row, now, got) for id, row, got in zip(ids, rows, files, strict=True)]
        call.draw(screen.listing(lines, state=2))
    else:
        call.warn(nothing)


def _line(id: str, row: Outgoing, now: float, files: tuple[int, int] | None) -> tuple[str, ...]:
    subject = load(row.raw, filled=row.filled, digest=row.digest).subject
    return (
        id,
        f"P{row.priority}",
        ("held" if is_held(row) else str(row.state)) + (" OVERDUE" if views.is_overdue(row, now) else ""),
        f"to {row.recipient}",
        f"by {row.peer}" if row.peer else "here",
        ago(now - row.queued_at),
        row.reason or (f"{brought_text(*files)}: {subject}" if files else subject),
    )


@click.command()
@common
@click.argument("id")
def trace(call: Call, id: str) -> None:
    """Print one message's history: how far it got, how it ended, what answered it.

    In the order in which one thing led to the next. Each line has the time by the
    clock of the host named beside it; clocks of two hosts may differ.

    \b
    Examples:
      spool trace 93a788
      spool trace 93a788 --json
    """
    view = views.trace(call.spool(), id)
    if call.json:
        call.tell(view)
    else:
        call.draw([screen.folded(_headline(view)), *(_by_day(view) if screen.width() else _whole(view))])


def _headline(view: dict[str, Any]) -> str:
    """How far it got, and how it ended: whoever reads one line must not take a rejected one for done."""
    ending = f" ({view['ending']})" if view["ending"] else ""
    answers = f"; answered by {', '.join(view['answers'])}" if view["answers"] else ""
    return f"{view['id']} is {view['state']}{ending}{answers}"


def _whole(view: dict[str, Any]) -> list[str]:
    """Each event with every value."""
    lines = [
        (
            event["at"].replace("T", " "),
            event["host"] or "-",
            event["state"],
            f"try {event['attempt']}" if event["attempt"] else "",
            f"peer {event['peer']}" if event["peer"] else "",
            event["detail"] or "",
        )
        for event in view["events"]
    ]
    return screen.listing(lines, indent="  ")


def _by_day(view: dict[str, Any]) -> Iterator[str]:
    """The same for a terminal: the time of day alone, each day above its events."""
    lines = [
        (
            event["at"][11:].rstrip("Z"),
            event["host"] or "-",
            event["state"],
            "; ".join(
                filter(
                    None,
                    [
                        f"peer {event['peer']}" if event["peer"] else "",
                        f"try {event['attempt']}" if event["attempt"] else "",
                        event["detail"],
                    ],
                )
            ),
        )
        for event in view["events"]
    ]
    day = ""
    for event, text in zip(view["events"], screen.report(lines, indent="  ", state=2), strict=True):
        if day != event["at"][:10]:
            day = event["at"][:10]
            yield click.style(f"{day} UTC", bold=True)
        yield text

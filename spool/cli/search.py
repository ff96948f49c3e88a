"""`spool search`: messages by their words, live and archived."""

from __future__ import annotations

import time

import click

from spool import history_views, terms
from spool.cli.common import Call, common
from spool.cli.kinds import since as since_time
from spool.cli.text import moment, table
from spool.looking import message_of
from spool.store.base import Incoming, Outgoing, written_at


@click.command()
@common
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option("--from", "sender", metavar="AGENT", help="From this agent.")
@click.option("--to", "recipient", metavar="AGENT", help="To this agent.")
@click.option("--since", type=since_time, metavar="WHEN", help="Since then: RFC 3339, or 30m, 2h, 1d.")
@click.option("--until", type=since_time, metavar="WHEN", help="Before then.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="How many at most.  [20]")
def search(
    call: Call,
    words: tuple[str, ...],
    sender: str | None,
    recipient: str | None,
    since: float | None,
    until: float | None,
    limit: int,
) -> None:
    """Find messages that have all WORDS, sent and received, archived or not, the newest first.

    A phrase stands in quotes of its own, within those of the shell; word* stands for
    all words that begin so. Case and accents do not count. Searched are the subject,
    body, type, agents, the context, and fields of the sender's own.

    \b
    Examples:
      spool search red lamp
      spool search '"red lamp" flick*' --from builder --since 30d
      spool search deploy --json --limit 50
    """
    given = " ".join(words)
    rows = call.spool().search(
        given, sender=sender, recipient=recipient, since=since, until=until, limit=limit + 1
    )
    asked, now = terms.parse(given), time.time()
    if call.json:
        for row in rows[:limit]:
            call.tell(history_views.found(row, asked, now=now))
    elif rows:
        call.say(table([_line(row, asked) for row in rows[:limit]]))
    else:
        call.warn("no message fits; `spool show ID` finds one by its id")
    if len(rows) > limit:
        call.warn(f"there is more than these {limit}: --limit shows more")


def _line(row: Outgoing | Incoming, asked: tuple[terms.Term, ...]) -> tuple[str, ...]:
    message = message_of(row)
    texts = (message.subject, history_views.excerpt_of(message, asked))
    return (*summary(row), " | ".join(" ".join(text.split()) for text in texts if text))


def summary(row: Outgoing | Incoming) -> tuple[str, ...]:
    """Which message, whose, of when, and how it stands: what is listed of one that is past."""
    return (
        row.id,
        "sent" if isinstance(row, Outgoing) else "came",
        str(row.state),
        f"{row.sender} to {row.recipient}",
        moment(written_at(row)),
    )

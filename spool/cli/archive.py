"""`spool archive`: what is past, listed, moved there, and handed out whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

import click

from spool import history_views
from spool.cli.common import Call, common, json_line
from spool.cli.kinds import length
from spool.cli.kinds import since as since_time
from spool.cli.outfile import replaced
from spool.cli.root import Group
from spool.cli.search import summary
from spool.cli.text import table
from spool.looking import message_of

# How often something that takes long says how far it is.
TELL_S: Final = 5.0
_PIECE: Final = 65_536


@click.group(cls=Group)
def archive() -> None:
    """Messages that ended, a day after their end. `spool show ID` prints one, `spool search` finds some.

    \b
    Examples:
      spool archive list --limit 50
      spool archive run --older-than 1h
      spool archive export --since 30d --out november.ndjson
    """


@archive.command("list")
@common
@click.option("--from", "sender", metavar="AGENT", help="From this agent.")
@click.option("--to", "recipient", metavar="AGENT", help="To this agent.")
@click.option("--since", type=since_time, metavar="WHEN", help="Since then: RFC 3339, or 30m, 2h, 1d.")
@click.option("--limit", type=click.IntRange(min=1), default=20, help="How many at most.  [20]")
def archive_list(
    call: Call, sender: str | None, recipient: str | None, since: float | None, limit: int
) -> None:
    """List the newest of it, sent and received together, by when it was queued or came.

    \b
    Examples:
      spool archive list --from builder --since 7d
      spool archive list --json
    """
    rows = call.spool().archived(sender=sender, recipient=recipient, since=since, limit=limit + 1)
    now = time.time()
    if call.json:
        for row in rows[:limit]:
            call.tell(history_views.past(row, now=now))
    elif rows:
        call.say(table([(*summary(row), message_of(row).subject) for row in rows[:limit]]))
    else:
        fits = any((sender, recipient, since is not None))
        call.warn("nothing in the archive fits" if fits else "the archive is empty")
    if len(rows) > limit:
        call.warn(f"there is more than these {limit}: --limit shows more")


@archive.command("run")
@common
@click.option(
    "--older-than",
    type=length,
    metavar="S",
    help="How long ago they ended; the config's archive_after_s where not given.",
)
def archive_run(call: Call, older_than: float | None) -> None:
    """Move what ended long enough ago to the archive, now. The consumer does so each minute.

    What asked for an answer and has none stays where it is until the answer comes,
    unless it was rejected or is dead.

    \b
    Examples:
      spool archive run
      spool archive run --older-than 1h
    """
    moved = call.spool().archive(older_than_s=older_than, tell=_telling(call, "moved"))
    call.tell({"moved": moved}, f"{moved} moved")


@archive.command("export")
@common
@click.option("--since", type=since_time, metavar="WHEN", help="Queued or come since then.")
@click.option("--until", type=since_time, metavar="WHEN", help="Queued or come before then.")
@click.option("--out", "file", metavar="FILE", default="-", help="A file; - is standard output.  [-]")
def archive_export(call: Call, since: float | None, until: float | None, file: str) -> None:
    """Write the archive as JSON, one line a message, the oldest first.

    Each line has the message whole, its history, and who acknowledged it. A file
    appears only when it is whole. What was broken off goes on with --since and the
    time of its last line; what ended late was archived late, so let regular exports
    overlap.

    \b
    Examples:
      spool archive export --since 30d --out november.ndjson
      spool archive export | gzip > archive.ndjson.gz
    """
    lines = _lines(call, since, until)
    if file == "-":
        _pour(lines, sys.stdout.buffer)
        return
    with replaced(file) as out:
        written = _pour(lines, out)
    call.tell({"written": written, "file": file}, f"{written} written to {file}")


def _lines(call: Call, since: float | None, until: float | None) -> Iterator[bytes]:
    spool, now = call.spool(), time.time()
    tell = _telling(call, "written")
    for n, record in enumerate(spool.records(since=since, until=until), 1):
        yield json_line(history_views.record(record, here=spool.config.host.name, now=now))
        tell(n)


def _pour(lines: Iterable[bytes], out: BinaryIO) -> int:
    count, piece = 0, bytearray()
    for line in lines:
        count += 1
        piece += line
        if len(piece) >= _PIECE:
            out.write(piece)
            piece.clear()
    out.write(piece)
    return count


def _telling(call: Call, what: str) -> Callable[[int], None]:
    """Says how far it is, now and then, on stderr."""
    last = time.monotonic()

    def tell(count: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= TELL_S:
            last = now
            call.warn(f"{count:,} {what} so far")

    return tell

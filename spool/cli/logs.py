"""`spool log`: the structured log of this home, with its rotated files, in order."""

from __future__ import annotations

import fnmatch
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from spool import config, presence, views
from spool.cli import logline
from spool.cli.common import Call, common
from spool.cli.kinds import since as since_time
from spool.cli.tail import Tail
from spool.errors import BadMessage
from spool.log import LEVELS
from spool.looking import CITATION, SHORTEST_PART, ago
from spool.message import parse_time
from spool.presence import SILENT_S


class Wanted(NamedTuple):
    """Which lines are wanted; None means any."""

    id: str | None
    peer: str | None
    event: str | None
    since: float | None
    level: str

    def has(self, line: dict[str, Any]) -> bool:
        """Whether a line is wanted."""
        return (
            (self.id is None or _is_part(self.id, str(line.get("id", ""))))
            and (self.peer is None or line.get("peer") == self.peer)
            and (self.event is None or fnmatch.fnmatchcase(str(line.get("event")), self.event))
            and LEVELS.get(str(line.get("level")), 0) >= LEVELS[self.level]
            and (self.since is None or _at(line) >= self.since)
        )


def _is_part(part: str, id: str) -> bool:
    """Whether a shortened id means this one: its beginning, or its ending."""
    return id.startswith(part) or (len(part) >= SHORTEST_PART and id.endswith(part))


@click.command()
@common
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written.")
@click.option("--id", metavar="ID", help="Of this message; its beginning or ending is enough.")
@click.option("--peer", metavar="NAME", help="Of this peer.")
@click.option("--event", metavar="NAME", help="This event; message.* is allowed.")
@click.option("--since", type=since_time, metavar="WHEN", help="Since then: RFC 3339, or 30m, 2h, 1d.")
@click.option("--level", type=click.Choice(list(LEVELS)), default="debug", help="This bad or worse.")
def log(
    call: Call,
    follow: bool,
    id: str | None,
    peer: str | None,
    event: str | None,
    since: float | None,
    level: str,
) -> None:
    """Print the log of this home, oldest first; with --json the lines as they are.

    On a terminal an id is shown by its ending, which every command takes. Where nothing was
    written for longer than a consumer is ever silent, a line on stderr says so.

    \b
    Examples:
      spool log --since 1h --level warning
      spool log --id 93a788
      spool log -f --event "message.*"
    """
    config.load(call.home)
    wanted = Wanted(id and id.removeprefix(CITATION), peer, event, since, level)
    tail = Tail(call.home / "log")
    try:
        _tell(call, _read(tail, call, follow=follow), wanted)
    except KeyboardInterrupt:
        # How one ends it.
        if not follow:
            raise
    finally:
        tail.close()


def _read(tail: Tail, call: Call, *, follow: bool) -> Iterator[bytes]:
    """The lines; where the newest is old, or none comes any more, a word of that on stderr, once."""
    warned = False
    for line in tail.lines(follow=follow):
        if line is not None:
            warned = False
            yield line
        elif not warned and (said := _silence(call.home)):
            warned = True
            call.warn(said)


def _silence(home: Path) -> str:
    """What to say of a log into which nothing comes; empty where all is well."""
    silent_s = views.silent_s(home, now=time.time())
    if silent_s is None or silent_s <= SILENT_S:
        return ""
    if presence.living(home / "run", "consumer"):
        return f"the log is silent for {ago(silent_s)} while a consumer runs: `spool doctor`"
    if any(peer.url for peer in config.load(home).peers.values()):
        return f"the log is silent for {ago(silent_s)}, no consumer runs: `spool up --detach`"
    return ""


def _tell(call: Call, lines: Iterable[bytes], wanted: Wanted) -> None:
    printed, day = False, ""
    wide = sys.stdout.isatty()
    for line in lines:
        try:
            read = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            # A line that a power cut left half written.
            continue
        if not wanted.has(read):
            continue
        printed = True
        if call.json:
            click.echo(line)
        elif not wide:
            call.say(logline.plain_text(read))
        else:
            if day != logline.day(read):
                day = logline.day(read)
                click.secho(f"{day} UTC", bold=True)
            click.echo(logline.columns(read, shutil.get_terminal_size().columns))
    if not printed:
        call.warn("nothing in the log fits")


def _at(line: dict[str, Any]) -> float:
    try:
        return parse_time("at", str(line.get("at")))
    except BadMessage:
        return 0.0

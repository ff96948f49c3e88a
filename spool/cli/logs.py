"""`spool log`: the structured log of this home, with its rotated files, in order."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec

from spool import config
from spool.cli.common import Call, common
from spool.cli.kinds import since as since_time
from spool.cli.text import field
from spool.errors import BadMessage
from spool.log import FILE, KEEP, LEVELS
from spool.looking import CITATION, SHORTEST_PART
from spool.message import parse_time

LOOK_S: Final = 0.2
_QUIET: Final = frozenset({"at", "level", "event", "host", "pid", "role", "version"})


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

    \b
    Examples:
      spool log --since 1h --level warning
      spool log --id 93a788
      spool log -f --event "message.*"
    """
    config.load(call.home)
    printed = False
    wanted = Wanted(id and id.removeprefix(CITATION), peer, event, since, level)
    for line in _lines(call.home / "log", follow=follow):
        try:
            read = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            # A line that a power cut left half written.
            continue
        if wanted.has(read):
            printed = True
            if call.json:
                click.echo(line)
            else:
                call.say(_text(read))
    if not printed:
        call.warn("nothing in the log fits")


def _text(line: dict[str, Any]) -> str:
    values = " ".join(
        f"{name}={_value(value)}" for name, value in line.items() if name not in _QUIET and value is not None
    )
    head = (
        f"{str(line.get('at', ''))[:23].replace('T', ' ')} {line.get('level', ''):<7} {line.get('event', '')}"
    )
    return field(f"{head} {values}".rstrip())


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return msgspec.json.encode(text).decode() if " " in text or text == "" else text


def _at(line: dict[str, Any]) -> float:
    try:
        return parse_time("at", str(line.get("at")))
    except BadMessage:
        return 0.0


def _lines(folder: Path, *, follow: bool) -> Iterator[bytes]:
    """Whole lines, oldest first, over all files; `follow` waits for more, across rotations."""
    file: int | None = None
    rest = b""
    while True:
        for path in _after(folder, file):
            if file is not None:
                os.close(file)
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                file = None
                continue
            rest = b""
            for piece in _pieces(file):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
        if not follow:
            return
        time.sleep(LOOK_S)
        if file is not None:
            # What was still written to a file that has been rotated since comes first.
            for piece in _pieces(file):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole


def _pieces(file: int) -> Iterator[bytes]:
    while piece := os.read(file, 65_536):
        yield piece


def _after(folder: Path, file: int | None) -> list[Path]:
    """The files to read next, oldest first: those that are newer than the one that is open."""
    paths = [folder / f"{FILE}.{n}" for n in range(KEEP, 0, -1)] + [folder / FILE]
    there = [(path, found) for path in paths if (found := _stat(path)) is not None]
    if file is None:
        return [path for path, _ in there]
    mine = os.fstat(file)
    same = [
        n for n, (_, found) in enumerate(there) if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
    ]
    return [path for path, _ in (there[same[0] + 1 :] if same else there)]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None

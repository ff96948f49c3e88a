"""`spool inbox --follow`: a line for each unread message as it comes, for a program that reads lines."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Final, NamedTuple

from spool import views
from spool.api import Spool
from spool.cli.common import Call, json_line
from spool.digest import tame
from spool.looking import message_of
from spool.store.base import Incoming

LONGEST: Final = 300


class Wanted(NamedTuple):
    """Which mail is printed; None is any."""

    sender: str | None
    re: str | None
    thread: str | None
    priority: str | None

    def has(self, row: Incoming) -> bool:
        """Whether it is of this mail."""
        return (
            self.sender in (None, row.sender)
            and self.re in (None, row.re)
            and self.thread in (None, row.thread)
            and (self.priority is None or row.priority <= int(self.priority[1]))
        )


def follow(call: Call, spool: Spool, wanted: Wanted, *, unread: list[Incoming], beyond: int) -> None:
    """Print what is unread now, then what comes; until Ctrl-C, or until the reader or our parent is gone.

    Args:
        unread: what is printed first.
        beyond: the sequence after which all that comes is new, unless it is in `unread`.

    Raises:
        BrokenPipeError: the reader is gone.
    """
    seen, parent = {row.seq for row in unread}, os.getppid()
    try:
        for row in unread:
            _write(_line(call, row))
        for row in spool.follow(beyond=beyond, goes_on=lambda: os.getppid() == parent and _has_reader()):
            if row.seq not in seen and wanted.has(row):
                _write(_line(call, row))
    except KeyboardInterrupt:
        # That is how a person ends it.
        return


def _line(call: Call, row: Incoming) -> bytes:
    now = time.time()
    if call.json:
        return json_line(views.letter(row, now=now))
    late = " OVERDUE" if views.is_overdue(row, now) else ""
    text = f"{row.id} P{row.priority}{late} {row.sender}: {message_of(row).subject}"
    return tame(text, LONGEST).encode("utf-8", "replace") + b"\n"


def _write(line: bytes) -> None:
    """In one piece where the reader takes it so: a line is all that a reader of lines may see."""
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _has_reader() -> bool:
    """Whether anybody may still read what is printed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    # What is not asked for is told all the same: POLLERR where a pipe has no reader, POLLHUP of a terminal.
    return not poll.poll(0)

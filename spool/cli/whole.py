"""A message whole, as `read` and `show` print it: what its sender wrote stands fenced."""

from __future__ import annotations

import time
from pathlib import Path

from spool import fence, views
from spool.cli.common import json_line
from spool.plain import field
from spool.store.base import Incoming, Outgoing


def json_of(row: Incoming | Outgoing, home: Path) -> bytes:
    """One line of JSON, the message whole under `message`."""
    return json_line(views.letter(row, now=time.time(), full=True, home=home))


def text_of(row: Incoming | Outgoing, home: Path, *, state: bool = True) -> bytes:
    """What spool vouches for, then what others wrote between lines that they cannot have foreseen.

    Args:
        home: where its files lie.
        state: say how it stands; left out where printing it changes just that.
    """
    view = views.letter(row, now=time.time(), home=home)
    lines = list(fence.vouched(view, state))
    lines += fence.fenced(f"text of {field(row.sender)}", fence.written(row, view))
    if told := fence.told(view):
        lines += fence.fenced("word on how it went", told)
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")

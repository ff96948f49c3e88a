"""Rows on a terminal: cut or wrapped to its width, wide letters counted, states coloured.

Elsewhere (a pipe, a file) nothing is cut, wrapped or coloured: scripts and agents get it whole.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from spool.cli.text import field, one_line, table

# What the last column is to have before the others give way, and to what the widest of those is cut
# for it; then the same where that is not enough.
LAST: Final = 24
LEAST: Final = 16
NARROW: Final = ((LEAST, LAST), (6, 8))
# Ids begin alike: their endings tell them apart, and any command takes them.
ENDING: Final = 8
# A command in backticks is copied as a whole, so it stands on one line.
_WORD: Final = re.compile(r"[^\s`]*`[^`\n]*`\S*|\S+")
_COLOURS: Final = {
    "linked": "green",
    "ok": "green",
    "dialling": "yellow",
    "waiting": "yellow",
    "held": "yellow",
    "stopped": "red",
    "dead": "red",
    "OVERDUE": "red",
    "FAILED": "red",
}


def width() -> int | None:
    """How many columns the terminal has; None where standard output is none."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def listing(rows: Sequence[Sequence[str]], *, indent: str = "", state: int | None = None) -> list[str]:
    """Rows in aligned columns, a line for each: what has no room is cut, the last column first.

    Args:
        state: the column that is coloured by its last word.
    """
    if not rows or (room := width()) is None:
        return table(rows, indent=indent).split("\n") if rows else []
    cells = [[field(cell) for cell in row] for row in rows]
    widths = _fitted(_widths(cells), room - len(indent))
    lines = []
    for row in cells:
        *before, last = row
        line = [
            *(middle(cell, each) for cell, each in zip(before, widths, strict=False)),
            cut(last, widths[-1]),
        ]
        lines.append(indent + _joined(line, widths, state))
    return lines


def report(rows: Sequence[Sequence[str]], *, indent: str = "", state: int | None = None) -> list[str]:
    """Rows in aligned columns, nothing cut: the last column goes on below itself, in the same string."""
    if not rows or (room := width()) is None:
        return table(rows, indent=indent).split("\n") if rows else []
    cells = [[field(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    hang = len(indent) + sum(widths[:-1]) + 2 * (len(widths) - 1)
    texts = []
    for *before, last in cells:
        first, *more = wrapped(last, max(room - hang, LAST))
        start = hang
        if any(extent(line) > room - hang for line in (first, *more)):
            # A word as long as this, such as a key's fingerprint, has more room below.
            start = len(indent) + 4
            first, more = "", wrapped(last, room - start)
        line = indent + _joined([*before, first], widths, state)
        texts.append("\n".join([line, *(" " * start + each for each in more)]))
    return texts


def folded(text: str, *, indent: str = "") -> str:
    """Prose, on one line whatever is in it; on a terminal it goes on below, four columns further in."""
    safe = one_line(text)
    if (room := width()) is None:
        return indent + safe
    hang = " " * (len(indent) + 4)
    first, *more = wrapped(safe, room - len(indent))
    rest = wrapped(" ".join(more), room - len(hang)) if more else []
    return "\n".join([indent + first, *(hang + each for each in rest)])


def ids(whole: Sequence[str]) -> list[str]:
    """Ids as a list shows them: on a terminal endings of them, as long as it takes to tell them apart."""
    if width() is None:
        return list(whole)
    length = ENDING
    while len({ending(id, length) for id in whole}) < len(set(whole)):
        length += 4
    return [ending(id, length) for id in whole]


def ending(id: str, length: int = ENDING) -> str:
    """The last so many letters of an id, and those before them that make it one: none begins with a dash."""
    if len(id) <= length + 4:
        return id
    while not id[-length].isalnum():
        length += 1
    return id[-length:]


# -- widths -----------------------------------------------------------------------------------


def extent(text: str) -> int:
    """How many columns a text takes, or at the most takes where terminals do not agree."""
    return len(text) if text.isascii() else sum(map(_extent, text))


def _extent(letter: str) -> int:
    if letter in "\u00ad\ufe0f":
        # A soft hyphen is drawn by some; the other makes a sign before it an emoji, twice as wide.
        return 1
    kind = unicodedata.category(letter)
    if kind in ("Mn", "Me", "Cf"):
        return 0
    # Newer than what Python knows of: most likely an emoji.
    return 2 if kind == "Cn" or unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, room: int) -> str:
    """A text of at most `room` columns, the end left out for `…` where it has more."""
    if extent(text) <= room:
        return text
    return _beginning(text, room - 1).rstrip(" \u200d") + "…"


def middle(text: str, room: int) -> str:
    """The same with the middle left out: names begin alike, and so do addresses."""
    if extent(text) <= room:
        return text
    tail = _beginning(text[::-1], (room - 1) // 2)[::-1]
    return _beginning(text, room - 1 - extent(tail)) + "…" + tail


def wrapped(text: str, room: int) -> list[str]:
    """A text in lines of at most `room` columns; what has no spaces is split only where it is no ASCII."""
    lines = [""]
    for word in _words(text, room):
        if lines[-1] and extent(lines[-1]) + 1 + extent(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _words(text: str, room: int) -> Iterator[str]:
    for word in _WORD.findall(text):
        if " " in word and extent(word) > room:
            yield from word.split()
            continue
        rest = word
        # A command, a path or an id is to be copied: the terminal may break it, not we.
        while not rest.isascii() and extent(rest) > room:
            head = _beginning(rest, room)
            yield head
            rest = rest[len(head) :]
        yield rest


def _beginning(text: str, room: int) -> str:
    taken = 0
    for at, letter in enumerate(text):
        taken += _extent(letter)
        if taken > room:
            return text[:at]
    return text


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(extent, column)) for column in zip(*rows, strict=True)]


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into a line: the last gives way, then the widest of those behind the first."""
    *before, last = widths
    gaps = 2 * len(before)
    for least, kept in NARROW:
        free = room - gaps - min(last, kept)
        while sum(before) > free and (widest := max(before[1:], default=0)) > least:
            before[before.index(widest, 1)] -= 1
    return [*before, max(1, room - gaps - sum(before))]


def _joined(line: Sequence[str], widths: Sequence[int], state: int | None) -> str:
    *before, last = [
        _painted(cell, at == state) + " " * (each - extent(cell))
        for at, (cell, each) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join([*before, last]).rstrip()


def _painted(cell: str, is_state: bool) -> str:
    colour = _COLOURS.get(cell.rpartition(" ")[2]) if is_state else None
    if colour is None:
        return cell
    import click

    return click.style(cell, fg=colour)

"""Text for people and terminals: nothing a peer wrote can move the cursor or forge a line."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

# Control characters but \n and \t, marks that turn the direction of writing, line separators,
# and the invisible tag letters.
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """Text with every unsafe character written out; line ends of both kinds become \\n."""
    return _UNSAFE.sub(_written_out, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on a single line."""
    return plain(" / ".join(line.strip() for line in text.splitlines() if line.strip())).replace("\t", " ")


def field(text: str) -> str:
    """The same for a header's value: line breaks and tabs are written out too."""
    return plain(text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t"))


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as `2025-11-13 10:30:45Z`, or a dash."""
    if seconds is None:
        return "-"
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def table(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Rows in aligned columns, two spaces between them; the last column is left as long as it is."""
    cells = [[field(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

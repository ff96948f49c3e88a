"""Text for people and terminals: nothing a peer wrote can move the cursor or forge a line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from spool.plain import field, one_line, plain

__all__ = ["field", "moment", "one_line", "plain", "table"]


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

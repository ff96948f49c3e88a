"""How much was tried: printed by the long run and asserted by the short one."""

from __future__ import annotations

from collections import Counter
from typing import Final

COUNTS: Final[Counter[str]] = Counter()


def count(what: str, n: int = 1) -> None:
    """Add to one of the counts."""
    COUNTS[what] += n


def table() -> str:
    """All counts, a line each."""
    return "\n".join(f"  {what}: {n:,}" for what, n in sorted(COUNTS.items()))

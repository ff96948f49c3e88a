"""Lengths of time as people write them: 90s, 30m, 2h, 1d, 1w."""

from __future__ import annotations

import re
from typing import Final

_LENGTH: Final = r"(\d+(?:\.\d+)?)\s*([smhdw])"
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def length_s(text: str) -> float | None:
    """A length of time in seconds, None where the text is none."""
    match = re.fullmatch(_LENGTH, text.strip())
    return float(match[1]) * _UNITS[match[2]] if match else None

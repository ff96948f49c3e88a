"""spool-lite, the script for a host where no spool can run, as it lies beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NAME: Final = "spool-lite"


def text() -> str:
    """Read the script; ASCII, for any POSIX sh."""
    return Path(__file__).with_name(NAME).read_text(encoding="ascii")

"""What a check looks at, and what it says of that."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from spool.api import Spool
from spool.config import Config
from spool.store.sqlite import SqliteStore


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `remedy` says what to type about it, empty where all is well."""

    topic: str
    level: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A home as far as it could be opened: what is broken is None. `now` in seconds since the epoch.

    `there` is False where nothing of it can be looked at; `keys` is the authorized_keys that counts.
    """

    home: Path
    now: float
    keys: Path
    quick: bool = False
    there: bool = True
    config: Config | None = None
    store: SqliteStore | None = None
    spool: Spool | None = None


def counted(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def ok(topic: str, found: str) -> Finding:
    """All is well."""
    return Finding(topic, "ok", found)


def warning(topic: str, found: str, remedy: str) -> Finding:
    """Mail goes on; somebody should look."""
    return Finding(topic, "warning", found, remedy)


def failed(topic: str, found: str, remedy: str) -> Finding:
    """Mail stands still, or is about to."""
    return Finding(topic, "failed", found, remedy)

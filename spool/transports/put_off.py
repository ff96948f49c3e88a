"""Files that are left where they are: those not whole yet, those not kept, and what was said of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from spool.transports.base import Entry

# Whole seconds are all that some servers tell of a file's time: what is written within one looks the same.
COARSE_S: Final = 2.0
AGAIN_S: Final = 30.0
AGAIN_FILES: Final = 256
TOLD_NAMES: Final = 1000
TOLD_A_MINUTE: Final = 60


@dataclass(slots=True)
class _Seen:
    size: int
    mtime: float
    since: float
    looked: float


class Growing:
    """Files that were no whole JSON when they were read.

    Args:
        monotonic: a clock that never jumps, in seconds.
        patience_s: how long such a file may stand unchanged before it is taken for what it is.
    """

    def __init__(self, monotonic: Callable[[], float], patience_s: float) -> None:
        self._monotonic = monotonic
        self._patience_s = patience_s
        self._seen: dict[str, _Seen] = {}

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}

    def drop(self, name: str) -> None:
        """This one is whole."""
        self._seen.pop(name, None)

    def is_idle(self, entry: Entry) -> bool:
        """Whether reading it again would show what it showed before, and its time is not over."""
        seen = self._seen.get(entry.name)
        if seen is None or (seen.size, seen.mtime) != (entry.size, entry.mtime):
            return False
        return seen.looked - seen.since >= COARSE_S and self._monotonic() - seen.since < self._patience_s

    def is_over(self, entry: Entry, size: int) -> bool:
        """Note that `size` bytes of it are not whole; True where it has been so for long enough."""
        now, seen = self._monotonic(), self._seen.get(entry.name)
        if seen is None or (seen.size, seen.mtime) != (size, entry.mtime):
            self._seen[entry.name] = _Seen(size, entry.mtime, now, now)
            return False
        seen.looked = now
        return now - seen.since >= self._patience_s


class Declined:
    """Files that could not be kept here: the disk or the quarantine is full, or they wait for others.

    They are tried again a few at a time, and all of them once one could be kept: many of them
    must neither cost a round each time nor stand before what can be kept.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # The longest waiting first.
        self._since: dict[str, float] = {}

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._since = {name: since for name, since in self._since.items() if name in names}

    def forget(self) -> None:
        """What was in their way may be gone: all are tried again."""
        self._since.clear()

    def sort(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Those never declined, and those whose turn it is to be tried again."""
        before = self._monotonic() - AGAIN_S
        due = [name for name, since in self._since.items() if since <= before][:AGAIN_FILES]
        again = set(due)
        return (
            [entry for entry in entries if entry.name not in self._since],
            [entry for entry in entries if entry.name in again],
        )

    def note(self, told: Sequence[tuple[str, bool]]) -> None:
        """Say of each file that was tried whether it was kept."""
        if any(kept and name in self._since for name, kept in told):
            self._since.clear()
        for name, kept in told:
            self._since.pop(name, None)
            if not kept:
                self._since[name] = self._monotonic()


class Told:
    """What was said of files: once of each, and so often at most, since their names are endless."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._reasons: dict[str, str] = {}
        self._minute = 0
        self._count = 0

    def is_new(self, name: str, reason: str) -> bool:
        """Whether to say it now; if so it counts as said."""
        if self._reasons.get(name) == reason or self._said_enough():
            return False
        self._reasons[name] = reason
        if len(self._reasons) > TOLD_NAMES:
            self._reasons.pop(next(iter(self._reasons)))
        self._count += 1
        return True

    def _said_enough(self) -> bool:
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        return self._count >= TOLD_A_MINUTE

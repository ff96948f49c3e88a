"""A home for one input: a copy of one that was made once, with a store, a clock and a log of its own."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from spool import log
from spool.api import Spool
from spool.clock import Clock
from spool.settings import Settings
from spool.store.sqlite import SqliteStore

NOW: Final = 1_763_000_000.0


class Place(NamedTuple):
    """One home, open."""

    home: Path
    store: SqliteStore
    settings: Settings
    clock: Clock


class Ground:
    """Makes the same home again and again.

    Args:
        first: a home that is as every copy is to begin.
    """

    def __init__(self, scratch: Path, first: Path) -> None:
        self._scratch = scratch
        self._first = first
        self._count = 0

    @contextlib.contextmanager
    def copied(self) -> Iterator[Path]:
        """A home as it was at first, until the block ends."""
        self._count += 1
        home = self._scratch / f"home-{self._count}"
        shutil.copytree(self._first, home)
        home.chmod(0o700)
        try:
            yield home
        finally:
            shutil.rmtree(home)

    @contextlib.contextmanager
    def fresh(self, *, monotonic: Callable[[], float] = time.monotonic) -> Iterator[Place]:
        """The same, its store and its config open."""
        clock = Clock(lambda: NOW, monotonic)
        with self.copied() as home, contextlib.closing(SqliteStore(home)) as store:
            yield Place(home, store, Settings(home, store, clock), clock)


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write the log while it is open: what is said of hostile input must be writable too."""
    before = log._sinks
    folder.mkdir(exist_ok=True)
    log.configure(folder, role="fuzz", host="here", version="0", stderr=False)
    try:
        yield
    finally:
        log._sinks = before


def spool_of(place: Place) -> Spool:
    """The Python API over an open home, as the agent `me`."""
    return Spool(place.home, agent="me", clock=place.clock)

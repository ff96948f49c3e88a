"""What `spool doctor --repair` may do to a home: what is safe, all of it known before any of it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spool.doctor import tidy_database, tidy_files
from spool.doctor.opening import opened
from spool.doctor.repair import Repair


@contextmanager
def planned(home: Path, *, now: float, quick: bool = False) -> Iterator[list[Repair]]:
    """All that may be repaired of a home, which stays open for it while the block runs.

    Mail, what keys hold and other people's files are never touched. Args as for `examine`.
    """
    with ExitStack() as stack:
        case, _ = opened(home, stack, now=now, quick=quick, keys=None)
        if not case.there:
            yield []
            return
        # The modes come first: a home that others may write to is not opened, and is, the next time.
        database = [] if case.store is None else tidy_database.look(case, case.store)
        yield [*tidy_files.look(home), *database]

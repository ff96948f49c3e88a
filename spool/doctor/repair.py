"""One thing that `spool doctor --repair` puts in order, and how all of them are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spool import log
from spool.errors import SpoolError
from spool.version import VERSION


class Repair(NamedTuple):
    """What is done, and the call that does it.

    The call raises SpoolError or OSError where that was not to be; nothing is half done then.
    """

    topic: str
    what: str
    act: Callable[[], object]


def carry_out(home: Path, host: str, repairs: Sequence[Repair]) -> Iterator[tuple[Repair, str]]:
    """Do them in order; each with why it failed, "" where it was done. Each is logged."""
    log.configure(home, role="cli", host=host, version=VERSION, stderr=False)
    for repair in repairs:
        try:
            repair.act()
        except (SpoolError, OSError) as exc:
            problem = str(exc) if isinstance(exc, SpoolError) else f"{exc.filename}: {exc.strerror}"
            log.error("doctor.unrepaired", topic=repair.topic, what=repair.what, error=problem)
            yield repair, problem
        else:
            log.info("doctor.repaired", topic=repair.topic, what=repair.what)
            yield repair, ""

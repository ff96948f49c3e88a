"""What `spool doctor` finds: every check of this host, from the machine to the mail, whatever is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from spool.doctor import carrying, database, folders, mail, peers, place, program
from spool.doctor.finding import Case, Finding, failed
from spool.doctor.opening import opened
from spool.errors import SpoolError

__all__ = ["Case", "Finding", "examine"]


def examine(home: Path, *, now: float, quick: bool = False, keys: Path | None = None) -> Iterator[Finding]:
    """Check one home and the machine it lies on, without the network; nothing is changed.

    Args:
        quick: leave out what reads the whole database or starts a shell.
        keys: the `authorized_keys` that peers come in by; sshd's usual place if not given.
    """
    with ExitStack() as stack:
        # Whatever else is wrong follows from these: they come first.
        case, broken = opened(home, stack, now=now, quick=quick, keys=keys)
        yield from broken
        for room in (place, carrying, mail, peers, folders) if case.there else ():
            yield from _guarded(room.__name__.rpartition(".")[2], room.look(case))
        for room in (database, program):
            yield from _guarded(room.__name__.rpartition(".")[2], room.look(case))


def _guarded(topic: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """What a room finds; where it meets what cannot be read, that, and the others go on."""
    try:
        yield from findings
    except SpoolError as exc:
        yield failed(topic, exc.message, exc.hint or "`spool down`, then again")
    except OSError as exc:
        yield failed(topic, f"{exc.filename or topic}: {exc.strerror}", "look who owns it: `ls -ld` it")

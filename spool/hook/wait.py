"""The wait of an idle session for mail, by a process beside it: when it ends with 2, the session goes on.

It may last for hours, so that what it needs to look is all it imports until there is mail.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import apsw

from spool import doorbell, living, resting
from spool.hook import claude
from spool.store.glance import Glance, Rest
from spool.waiters import Waiter

WAKES: Final = 2
# What nobody rings for: the session has ended, its turn has.
EVERY_S: Final = 5.0
SOON_S: Final = 0.5
# A bell that never stops is answered no more often.
LEAST_S: Final = 0.1
# The hook that binds the session runs at the same time as this one.
UNBOUND_S: Final = 30.0
_BUSY: Final = Rest(None, None, busy=True, seen_at=0.0, woken_at=None, news=False)


def run(home: str, session: str, *, stderr: int, timeout_s: float) -> int:
    """Wait until there is mail that an idle session was not told of; 2 once it stands on `stderr`.

    Returns 0 without a word where the session or the process that started this one is gone, where a newer
    one waits, and when the time is up.

    Args:
        session: its id; it may not be bound yet.
    """
    folder, parent = Path(home) / "run", os.getppid()
    began, bound = time.monotonic(), False
    with doorbell.Bell(folder) as bell, Waiter(folder, session) as waiter:
        # An older one leaves at once.
        doorbell.ring_waiting(folder)
        while (left := began + timeout_s - time.monotonic()) > 0:
            if os.getppid() != parent or not waiter.is_newest():
                return 0
            rest = _look(home, session)
            bound = bound or rest is not None
            if _is_gone(rest) if bound else time.monotonic() - began > UNBOUND_S:
                return 0
            due = rest is not None and rest.news and resting.may_be_woken(rest, now=time.time())
            if due and (code := _wake(home, session, stderr)) is not None:
                return code
            _pause(bell, rest, left)
    return 0


def _pause(bell: doorbell.Bell, rest: Rest | None, left: float) -> None:
    soon = rest is None or (rest.news and not rest.busy)
    bell.wait(min(left, SOON_S if soon else EVERY_S))
    time.sleep(LEAST_S)


def _look(home: str, session: str) -> Rest | None:
    try:
        with Glance(f"{home}/spool.db", session) as glance:
            return glance.rest()
    except apsw.BusyError:
        return _BUSY


def _is_gone(rest: Rest | None) -> bool:
    if rest is None:
        return True
    return rest.pid is not None and rest.born is not None and not living.runs(rest.pid, rest.born)


def _wake(home: str, session: str, stderr: int) -> int | None:
    """The exit code once the text is on stderr; None where nothing was to be said after all.

    The text is no word to anybody before this process ends with 2. So a crash before the claim has woken
    nobody, and the next waiter does it.
    """
    from spool import config, log, waking
    from spool.store.sqlite import SqliteStore
    from spool.version import VERSION

    name = config.load(Path(home)).host.name
    log.configure(Path(home), role="hook", host=name, version=VERSION, stderr=False)
    store = SqliteStore(Path(home))
    wake = waking.draft(store, session, now=time.time(), room=claude.MOST_UNITS)
    if wake is None:
        store.close()
        return None
    _write(stderr, wake.text)
    if not waking.claim(store, wake, now=time.time()):
        # Another was faster, or the session works: its next turn begins another wait.
        return 0
    waking.woken(wake, "rewake")
    return WAKES


def _write(stderr: int, text: str) -> None:
    rest = memoryview(f"{text}\n".encode("utf-8", "replace"))
    while rest:
        rest = rest[os.write(stderr, rest) :]

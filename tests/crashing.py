"""A spool process that kills itself with -9 at a chosen point, once.

`python -m tests.crashing POINT MARKER ROLE …`; the marker file says that it has died there, and a
process that finds it lives on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
from huey.bin import huey_consumer

from spool import doorbell, inbox, outbox, waking
from spool.api import Spool
from spool.cli import main as spool_cli
from spool.gate import Gate
from spool.hook import events as hook_events
from spool.hook import run as hook_run
from spool.store import sqlite
from spool.store.huey_storage import SpoolStorage
from tests.hosts import ENV


def command(point: str, marker: Path, *role: str) -> list[str]:
    """What runs a role that dies at a point."""
    return [sys.executable, "-m", "tests.crashing", point, str(marker), *role]


_marker = Path(sys.argv[2]) if __name__ == "__main__" else Path()


def _die() -> None:
    _marker.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _before(where: Any, name: str) -> None:
    setattr(where, name, lambda *_args, **_more: _die())


def _after(where: Any, name: str, here: Callable[[Any], object] = lambda _: True) -> None:
    real = getattr(where, name)

    def call(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        if here(found):
            _die()
        return found

    setattr(where, name, call)


def _breaks(where: Any, name: str) -> None:
    """Not a death: an error that nobody has thought of, once."""
    real = getattr(where, name)

    def call(*args: Any, **more: Any) -> Any:
        if _marker.exists():
            return real(*args, **more)
        _marker.touch()
        raise ValueError("nobody has thought of this")

    setattr(where, name, call)


def _in_commit() -> None:
    """Within SQLite's COMMIT, before it has written anything, of the first synced transaction."""
    real = sqlite.connect

    def connect(path: Path, *, synchronous: str, vfs: str | None = None) -> apsw.Connection:
        connection = real(path, synchronous=synchronous, vfs=vfs)
        if synchronous == "FULL":
            connection.set_commit_hook(_die)
        return connection

    sqlite.connect = connect


POINTS: Final[dict[str, Callable[[], None]]] = {
    "in the commit": _in_commit,
    "committed, not rung": lambda: _before(doorbell, "ring"),
    "leased": lambda: _after(outbox, "lease", lambda load: load.parcels),
    "taken, not answered": lambda: _after(inbox, "accept"),
    "answered, not settled": lambda: _before(outbox, "settle"),
    "settled": lambda: _after(outbox, "settle"),
    "task taken": lambda: _after(SpoolStorage, "dequeue", lambda found: found and b"push" in found),
    "ack leased": lambda: _after(outbox, "lease", lambda load: load.acks),
    "ack taken, not answered": lambda: _after(outbox, "apply_acks"),
    "ack answered, not dropped": lambda: _before(Gate, "drop_acks"),
    "the writer breaks": lambda: _breaks(outbox, "lease"),
    "the reader breaks": lambda: _breaks(outbox, "settle"),
    "hook looked, not told": lambda: _before(hook_run, "_write"),
    "hook told, not noted": lambda: _before(hook_events, "note"),
    "wake told, not claimed": lambda: _before(waking, "claim"),
    "wake claimed, not told": lambda: _after(waking, "claim", bool),
    "nowhere": lambda: None,
}


def _send(home: str, to: str, id: str) -> None:
    with Spool(home) as spool:
        print(spool.send(to, subject="crash", id=id), flush=True)


if __name__ == "__main__":
    _, point, _, role, *rest = sys.argv
    if not _marker.exists():
        POINTS[point]()
    match role:
        case "send":
            _send(*rest)
        case "serve" | "hook":
            sys.argv = ["spool", *rest]
            sys.exit(spool_cli())
        case "consumer":
            os.environ.update({**ENV, "SPOOL_HOME": rest[0]})
            sys.argv = ["huey_consumer", "workers.app.huey"]
            huey_consumer.consumer_main()

"""A spool process that sends itself a signal at a chosen step, once, and goes on with the step.

`python -m tests.signalled STEP NUMBER MARKER ROLE …`; the marker file says that it has done so.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from huey.bin import huey_consumer
from huey.consumer import Consumer

from spool import doorbell, inbox, outbox, sweep
from spool.cli import main as spool_cli
from spool.store.sqlite_outbox import SqliteOutbox
from tests.hosts import ENV

# Within the step: so long the signal has before what the step does is done.
WITHIN_S: Final = 0.2
STEPS: Final[dict[str, tuple[Any, str]]] = {
    "starting": (Consumer, "start"),
    "writing what was sent": (SqliteOutbox, "put"),
    "ringing": (doorbell, "ring"),
    "leasing": (outbox, "lease"),
    "accepting": (inbox, "accept"),
    "settling": (outbox, "settle"),
    "sweeping": (sweep, "run"),
}


def command(step: str, number: int, marker: Path, *role: str) -> list[str]:
    """What runs a role that has a signal at a step."""
    return [sys.executable, "-m", "tests.signalled", step, str(int(number)), str(marker), *role]


def _signal_at(step: str, number: int, marker: Path) -> None:
    where, name = STEPS[step]
    real = getattr(where, name)

    def call(*args: Any, **more: Any) -> Any:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), number)
            time.sleep(WITHIN_S)
        return real(*args, **more)

    setattr(where, name, call)


if __name__ == "__main__":
    _, step, number, marker, role, *rest = sys.argv
    _signal_at(step, int(number), Path(marker))
    if role == "consumer":
        os.environ.update({**ENV, "SPOOL_HOME": rest[0]})
        sys.argv = ["huey_consumer", "workers.app.huey"]
        huey_consumer.consumer_main()
    else:
        # A shell that starts something in the background lets it ignore SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["spool", *rest]
        sys.exit(spool_cli())

"""The Huey of this host's home: `huey_consumer workers.app.huey`."""

from __future__ import annotations

import os

from spool import home
from spool.errors import SpoolError
from spool.running import Running
from workers import tasks
from workers.consumer import SpoolHuey


def _open() -> Running:
    os.umask(0o077)
    try:
        return Running(home.default(), "consumer")
    except SpoolError as exc:
        # One line on stderr and exit 1, no traceback: it is read in a service's log.
        raise SystemExit(f"spool: {exc}") from None


huey = SpoolHuey(_open())
TASKS = tasks.register(huey, huey.running)

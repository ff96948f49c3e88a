"""When a periodic task is due, at a grain of seconds; Huey's own crontab knows minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def every(seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> Callable[[Any], bool]:
    """A validator for `huey.periodic_task`: due at once, then each time `seconds` have passed.

    Counted on a clock that never jumps; what was missed during a stall is due once.
    """
    due = float("-inf")

    def is_due(_timestamp: Any) -> bool:
        nonlocal due
        now = monotonic()
        if now < due:
            return False
        due = now + seconds
        return True

    return is_due

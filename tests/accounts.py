"""Accounts made for a test have fixed names: one test has them at a time, whoever else runs tests here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOCK: Final = Path(tempfile.gettempdir()) / "spool-test-accounts.lock"
# Long enough for all the others to be through with theirs.
WAITING_S: Final = 600


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """`with alone():` nobody else makes accounts; the kernel frees it however the process ends."""
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)

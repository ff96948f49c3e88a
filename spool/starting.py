"""The consumer's process: how it is started, by one of many who want it at once, and left to itself."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Final

from spool import presence
from spool.presence import Process

LOCK: Final = "up.lock"
TRIED: Final = "autostart.tried"
APP: Final = "workers.app.huey"
# What it said, where it has no terminal to say it.
OUT: Final = Path("log") / "consumer.out"
# One that ends as soon as it was started is not started by every `send`.
AGAIN_S: Final = 10.0


def consumers(home: Path) -> list[Process]:
    """The consumers of this home that live."""
    return presence.living(home / "run", "consumer")


def command() -> list[str]:
    """What is run: Huey's own consumer."""
    # -P: a folder `workers` in the current one must not be taken for ours.
    return [sys.executable, "-P", "-m", "huey.bin.huey_consumer", APP]


def environment(home: Path) -> dict[str, str]:
    """What it finds around it."""
    found = {**os.environ, "SPOOL_HOME": str(home)}
    if path := import_path():
        found["PYTHONPATH"] = path
    return found


def import_path() -> str:
    """PYTHONPATH, whole: the consumer may start in another folder."""
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(str(Path(part).absolute()) for part in parts if part)


def open_lock(home: Path) -> int:
    """The file whose lock is the right to start one. A consumer holds it for as long as it lives."""
    return os.open(home / "run" / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def locked(file: int) -> bool:
    """Take the lock; False where somebody else has it."""
    for patience_s in (0.001, 0.001, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Who only looks, as `starts` does, has it for some microseconds.
            time.sleep(patience_s)
        else:
            return True
    return False


def open_out(home: Path) -> int:
    """The file for what it says, empty."""
    return os.open(home / OUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def starts(home: Path) -> bool:
    """Whether one is just starting, or ending."""
    lock = open_lock(home)
    try:
        return not locked(lock)
    finally:
        os.close(lock)


def start(home: Path, *, now: float) -> bool:
    """Start a consumer in the background where none runs and none starts, without waiting for it.

    Returns:
        True: started now. False: there is one, or one was started so within `AGAIN_S` and is gone.
    """
    if consumers(home):
        return False
    lock = open_lock(home)
    try:
        # Another one may have come up before the lock was free.
        if not locked(lock) or consumers(home) or _tried(home, now):
            return False
        _leave(home, lock)
    finally:
        os.close(lock)
    return True


def _tried(home: Path, now: float) -> bool:
    """Whether it was tried just now; from here on it was."""
    mark = home / "run" / TRIED
    try:
        if abs(now - mark.stat().st_mtime) < AGAIN_S:
            return True
    except FileNotFoundError:
        mark.touch(mode=0o600)
    os.utime(mark, (now, now))
    return False


def _leave(home: Path, lock: int) -> None:
    import subprocess  # here: every `send` pays for what is imported above

    out = open_out(home)
    try:
        # A shell between: the consumer is nobody's child, so that a caller who lives long has no
        # zombie of it. SIGHUP and SIGINT of the caller's terminal do not reach its new session.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command()],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=home,
            env=environment(home),
            start_new_session=True,
            pass_fds=(lock,),
            check=True,
        )
    finally:
        os.close(out)

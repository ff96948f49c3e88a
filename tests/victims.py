"""Processes to be killed: who they are, stopping one to look around, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.sshd import processes


def session_of(pid: int) -> int | None:
    """The sshd process that runs a command: the nearest sshd among its ancestors; None if it is gone."""
    table = {each: (parent, name) for each, parent, name in processes()}
    while pid in table:
        pid = table[pid][0]
        if pid in table and table[pid][1].startswith("sshd"):
            return pid
    return None


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[bool]:
    """Stop a process where it stands; nothing it would have done happens meanwhile.

    Gives False where it is gone. In the end it goes on, if nobody has killed it.
    """
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        yield False
        return
    try:
        yield _stands(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _stands(pid: int) -> bool:
    """Wait until every thread has stopped."""
    tasks = Path(f"/proc/{pid}/task")
    if not Path("/proc/self/stat").exists():
        time.sleep(0.01)
        return True
    while True:
        try:
            states = {_state(task) for task in tasks.iterdir()}
        except OSError:
            return False
        if "Z" in states or "X" in states:
            return False
        if states == {"T"}:
            return True
        time.sleep(0.0005)


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    if Path("/proc/self/stat").exists():
        try:
            return _state(Path(f"/proc/{pid}")) in "ZX"
        except OSError:
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def mentioning(text: str) -> dict[int, str]:
    """Processes with `text` in their command line or, where it can be seen, their environment."""
    found: dict[int, str] = {}
    if not Path("/proc/self/stat").exists():
        listed = subprocess.check_output(["ps", "-Aww", "-o", "pid=,args="], text=True)
        lines = (line.split(None, 1) for line in listed.splitlines())
        found = {int(pid): args for pid, args in lines if text in args}
    else:
        for pid, _, _ in processes():
            with contextlib.suppress(OSError):
                words = [(Path("/proc") / str(pid) / name).read_bytes() for name in ("cmdline", "environ")]
                if any(text.encode() in each for each in words):
                    found[pid] = words[0].replace(b"\0", b" ").decode(errors="replace")
    found.pop(os.getpid(), None)
    return found

"""Run a command and kill it with -9 at its k-th write or sync, whichever thread makes it.

`python -m tests.kills.tracer FOLDER COMMAND …` does so for the first run after `arm(FOLDER, k)`; any other
run is the command itself. strace can inject a signal at the k-th call too, but counts for each thread and
each kind of call by itself: in a program with threads most points are met by no k. Here all count together.
Only the standard library, so that it starts at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.kills import filter as calls

# <sys/ptrace.h>
_TRACEME: Final = 0
_CONT: Final = 7
_SETOPTIONS: Final = 0x4200
_GETEVENTMSG: Final = 0x4201
_FORK_EVENTS: Final = 0x02 | 0x04 | 0x08  # fork, vfork, clone
_SECCOMP: Final = 7
_OPTIONS: Final = _FORK_EVENTS | (1 << _SECCOMP) | 0x100000  # the last: nobody outlives the tracer
_ALL_THREADS: Final = 0x40000000

# What is in the folder of a victim.
ARMED: Final = "kill_at"
TAKEN: Final = "taken"
CALLS: Final = "calls"
ENDED: Final = "ended"

_BY_NAME: Final = ("rename", "link", "unlink", "unlinkat", "renameat", "linkat", "renameat2")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Tracer:
    """One command, from its start to its end; `run` gives its exit status, negative for a signal.

    What it forks is let run and is not counted; its threads are.
    """

    def __init__(self, machine: calls.Machine, kill_at: int, log: Path) -> None:
        self._names = {number: name for name, number in machine.calls.items()}
        self._machine = machine
        self._kill_at = kill_at
        self._log = log.open("w", buffering=1)
        self._count = 0
        self._pid = 0

    def run(self, command: list[str]) -> int:
        """Run it, killed or not."""
        self._pid = os.fork()
        if self._pid == 0:
            _begin(self._machine, command)
        _, status = os.waitpid(self._pid, 0)
        if not os.WIFSTOPPED(status):
            raise OSError(f"nobody may be traced here: {os.waitstatus_to_exitcode(status)}")
        _ptrace(_SETOPTIONS, self._pid, _OPTIONS)
        _ptrace(_CONT, self._pid)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(self._pid, number))
        while True:
            pid, status = os.waitpid(-1, _ALL_THREADS)
            if os.WIFSTOPPED(status):
                self._go_on(pid, status)
            elif pid == self._pid:
                return os.waitstatus_to_exitcode(status)

    def _go_on(self, pid: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        if event == _SECCOMP and _leader_of(pid) == self._pid:
            self._meet(pid)
        # A stop that is no signal of its own is not to be passed on: events, and a new thread's first.
        own = event == 0 and number not in (signal.SIGTRAP, signal.SIGSTOP)
        _ptrace(_CONT, pid, number if own else 0)

    def _meet(self, pid: int) -> None:
        self._count += 1
        message = ctypes.c_ulong()
        _libc.ptrace(_GETEVENTMSG, pid, None, ctypes.byref(message))
        name = self._names[message.value]
        self._log.write(f"{name} {_target(pid, name)}\n")
        if self._count == self._kill_at:
            os.kill(self._pid, signal.SIGKILL)


def _begin(machine: calls.Machine, command: list[str]) -> None:
    """In the child: wait for the tracer, and become the command."""
    try:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        calls.put_on(machine)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def _ptrace(request: int, pid: int, value: int = 0) -> None:
    """A thread that was killed meanwhile is none to go on with. Raises OSError where the kernel refuses."""
    if _libc.ptrace(request, pid, None, value) == -1 and (number := ctypes.get_errno()) != errno.ESRCH:
        raise OSError(number, f"ptrace: {os.strerror(number)}")


def _leader_of(tid: int) -> int:
    try:
        lines = Path(f"/proc/{tid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


def _target(tid: int, name: str) -> str:
    """The file that a call is about, by its name or by what the descriptor is."""
    try:
        words = Path(f"/proc/{tid}/syscall").read_text().split()
        first, second = int(words[1], 16), int(words[2], 16)
        if name in _BY_NAME:
            return _text(tid, second if "at" in name else first)
        return os.readlink(f"/proc/{tid}/fd/{first}")
    except (OSError, IndexError, ValueError):
        return "-"


def _text(tid: int, address: int) -> str:
    with Path(f"/proc/{tid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(512).partition(b"\0")[0].decode(errors="replace")


def arm(folder: Path, kill_at: int) -> None:
    """Let the next run die at its k-th call, and forget what an earlier one left; 0 only counts calls."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Whole at once: who starts meanwhile finds it or does not.
    (folder / "new").write_text(str(kill_at))
    (folder / "new").rename(folder / ARMED)


def ended(folder: Path) -> bool:
    """Whether the run that was armed for is over."""
    return (folder / ENDED).exists()


def met(folder: Path) -> list[str]:
    """The calls of that run: their kind and the file they are about."""
    log = folder / CALLS
    return log.read_text().splitlines() if log.exists() else []


def why_not(folder: Path) -> str:
    """Why nothing can be traced on this machine; "" where it can."""
    if calls.MACHINE is None:
        return "calls can be counted on Linux with x86_64 or aarch64 only"
    arm(folder, 0)
    command = [sys.executable, "-S", "-m", "tests.kills.tracer", str(folder), "true"]
    tried = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    return "" if tried.returncode == 0 else f"no process may be traced: {tried.stderr[-200:]}"


def main() -> int:
    """The command's own exit status, 128 and its signal where one killed it."""
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    try:
        (folder / ARMED).rename(folder / TAKEN)
    except FileNotFoundError:
        os.execvp(command[0], command)
    assert calls.MACHINE is not None, "tests.kills.filter knows no calls of this processor"
    kill_at = int((folder / TAKEN).read_text())
    status = Tracer(calls.MACHINE, kill_at, folder / CALLS).run(command)
    (folder / ENDED).touch()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())

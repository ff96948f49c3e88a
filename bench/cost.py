"""What running programs cost: CPU time, memory, wake-ups. From /proc; without one there are no figures."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

TICKS: Final = os.sysconf("SC_CLK_TCK")


class Meter:
    """Watches programs by name and id: `with Meter({"near": pid}) as meter`, then ask."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        here = Path("/proc/self/stat").exists()
        self._pids = dict(pids) if here else {}
        self._before: dict[str, float] = {}

    def __enter__(self) -> Meter:
        for pid in self._pids.values():
            # proc(5): 5 begins the peak anew. Where that is not allowed, it is the peak since the start.
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def cpu_us(self, count: int, *, more_s: float = 0.0) -> float | None:
        """Microseconds of CPU for each of `count`, all programs together; `more_s` is of those that ended."""
        if not self._pids:
            return None
        spent = sum(cpu_s(pid) - self._before[name] for name, pid in self._pids.items())
        return (spent + more_s) / count * 1e6

    def peak_mb(self) -> dict[str, float]:
        """The most memory each had resident since the beginning."""
        return {name: kib(pid, "VmHWM") / 1024 for name, pid in self._pids.items()}


class Ran(NamedTuple):
    """What a program that ran to its end cost."""

    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], env: Mapping[str, str]) -> Ran:
    """Run a program; CalledProcessError where it fails."""
    made = subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert made.stderr is not None
    with made.stderr:
        said = made.stderr.read()
    _, status, used = os.wait4(made.pid, 0)
    made.returncode = os.waitstatus_to_exitcode(status)
    if made.returncode:
        raise subprocess.CalledProcessError(made.returncode, command, stderr=said)
    return Ran(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def own_cpu_s() -> float:
    """CPU seconds of this program so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_s(pid: int) -> float:
    """CPU seconds of a program so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wakeups(pid: int) -> int:
    """How often its threads have slept and woken."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int(_field(task / "status", "voluntary_ctxt_switches")) for task in tasks)


def kib(pid: int, name: str) -> float:
    """A field of its status, such as VmRSS."""
    return float(_field(Path(f"/proc/{pid}/status"), name).split()[0])


def _field(path: Path, name: str) -> str:
    lines = path.read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))

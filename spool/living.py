"""Which process is which: an id is given again, the time it began with it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# proc(5): after the name in parentheses stand the state, the parent, and, 22nd of all, the start time.
_STATE: Final = 0
_PARENT: Final = 1
_START: Final = 19
_DEAD: Final = ("Z", "X", "x")
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox"})
_PS_S: Final = 1.0


def born(pid: int) -> str | None:
    """When a process began, in the machine's own terms; None where no such process runs."""
    if not (_PROC / "self" / "stat").exists():
        return _ps(pid, "lstart=")
    fields = _fields(pid)
    return None if fields is None or fields[_STATE] in _DEAD else fields[_START]


def runs(pid: int, since: str) -> bool:
    """Whether the process that began then under this id still runs."""
    return born(pid) == since


def caller(pid: int) -> int:
    """The process that stands behind one: itself, or its parent where it is a shell that runs one
    command (`sh -c`) and ends with it."""
    words = _words(pid)
    shell = words and words[0].lstrip("-").rpartition("/")[2] in _SHELLS
    if not shell or not any(word.startswith("-") and word.endswith("c") for word in words[1:3]):
        return pid
    return _parent(pid) or pid


def _fields(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _words(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return (_ps(pid, "args=") or "").split()


def _parent(pid: int) -> int | None:
    fields = _fields(pid)
    found = fields[_PARENT] if fields is not None else _ps(pid, "ppid=") or ""
    return int(found) if found.isdigit() and int(found) > 1 else None


def _ps(pid: int, what: str) -> str | None:
    # macOS and the BSDs have no /proc; elsewhere this is not worth its import.
    import subprocess

    try:
        done = subprocess.run(
            ["/bin/ps", "-ww", "-o", what, "-p", str(pid)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PS_S,
            env={"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return " ".join(done.stdout.split()) or None

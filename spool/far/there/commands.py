"""Programs of the far host, run to their end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

from spool.far.there.place import Trouble

LOOK_S: Final = 30
RUN_S: Final = 120


def output(command: list[str], *, failed: str = "") -> str:
    """What a command prints, or `failed` where it cannot be run to a good end."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LOOK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return failed
    return done.stdout.strip() if done.returncode == 0 else failed


def must(command: list[str], limit_s: float) -> str:
    """What a command prints; it must end well."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Trouble(f"{Path(command[0]).name}: {exc}") from exc
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
        raise Trouble(" / ".join(errors)[:600])
    return done.stdout


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command; its status and what it said."""
    done = subprocess.run(
        request["argv"], input=request["stdin"], capture_output=True, text=True, timeout=RUN_S, check=False
    )
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}

"""Whether a test finds what is wrong with a tree: it is run there, in a program of its own."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from tests.breaks.base import MACHINE

LIMIT_S: Final = 900.0
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::\S+.*)$", re.MULTILINE)
_SAID: Final = re.compile(r"^(?:AssertionError|[\w.]+(?:Error|Exception|Exists)): .*$", re.MULTILINE)
_SEED: Final = re.compile(r"--seed (\d+)")


class Caught(NamedTuple):
    """What came of one run.

    Attributes:
        by: the test and what it said, None where all is well by it.
        cpu_s: what it took of a processor, which other programs change less.
        trouble: the end of what was printed, where it neither passed nor found anything.
    """

    by: str | None
    seconds: float
    cpu_s: float
    trouble: str = ""


def catch(root: Path, what: str, *, seeds: int = 1) -> Caught:
    """Run one of `Break.caught_by` in a tree.

    Args:
        seeds: how many the machine tries, where it is asked.
    """
    began, used = time.monotonic(), _cpu_s()
    try:
        ended = _run(root, _machine(seeds) if what == MACHINE else _pytest(what))
    except subprocess.TimeoutExpired:
        return Caught(None, LIMIT_S, _cpu_s() - used, f"did not end within {LIMIT_S:.0f} s")
    took, text = (time.monotonic() - began, _cpu_s() - used), ended.stdout
    if ended.returncode == 0:
        return Caught(None, *took)
    by = _machine_said(text) if what == MACHINE else _pytest_said(text)
    # A tree that cannot be imported, or a test that is not there, is nothing found.
    found = by is not None and ended.returncode == 1
    return Caught(by, *took) if found else Caught(None, *took, text[-2000:])


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(root: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    _require_own(root)
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=_environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )


def _environment(root: Path) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SPOOL_"))}
    return {**mine, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}


def _require_own(root: Path) -> None:
    """Raise unless it is this tree's spool that is imported there, and not one that is installed."""
    found = subprocess.run(
        [sys.executable, "-c", "import spool; print(spool.__file__)"],
        cwd=root,
        env=_environment(root),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(found).is_relative_to(root):
        raise RuntimeError(f"the broken tree is not what is tested: {found}; run it without PYTHONSAFEPATH")


def _pytest(what: str) -> list[str]:
    return ["-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-rfE", "--tb=short", what]


def _machine(seeds: int) -> list[str]:
    return ["-m", "tests.machine", "--from", "1", "--seeds", str(seeds), "--no-paths"]


def _pytest_said(text: str) -> str | None:
    found = _FAILED.search(text)
    return found and found.group(1)


def _machine_said(text: str) -> str | None:
    seed, said = _SEED.search(text), _SAID.findall(text)
    return f"seed {seed.group(1)}: {said[-1] if said else 'it failed'}" if seed else None

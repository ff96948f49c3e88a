"""The wheels that a far host needs, fetched by the pip of this one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

from spool.errors import CannotInstall
from spool.far.facts import Facts, platforms

FETCH_S: Final = 600
_LINUX_ONLY: Final = 'sys_platform == "linux"'


def fetch(facts: Facts, requires: list[str], folder: Path) -> list[Path]:
    """Fetch wheels of what is required, and pip's own, for a far host; their paths.

    Raises:
        CannotInstall: this environment has no pip, the index is not reached, or it has no wheels for
            that host.
    """
    if importlib.util.find_spec("pip") is None:
        raise CannotInstall(
            "the Python that runs spool here has no pip to fetch packages with",
            hint=f"`{sys.executable} -m ensurepip`, or `uv pip install --python {sys.executable} pip`",
        )
    version = "".join(map(str, facts.version))
    tags = [word for tag in platforms(facts) for word in ("--platform", tag)]
    abis = [word for abi in (f"cp{version}", "abi3", "none") for word in ("--abi", abi)]
    wanted = ["--python-version", ".".join(map(str, facts.version)), "--implementation", "cp"]
    pip = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet", "download"]
    command = [*pip, "--only-binary=:all:", *wanted, *abis, *tags, "-d", str(folder)]
    done = _run([*command, *_for(facts, requires), "pip"])
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = (errors or done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotInstall(f"no packages for {facts.where}: pip says: {said[:300]}")
    return sorted(folder.glob("*.whl"))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CannotInstall(
            f"pip here did not end well: {exc}", hint="is the package index reached?"
        ) from exc


def _for(facts: Facts, requires: list[str]) -> list[str]:
    """The requirements as they are for the far host: pip would judge their markers by this one."""
    wanted = []
    for each in requires:
        name, _, marker = each.partition(";")
        if marker.strip().replace("'", '"') != _LINUX_ONLY:
            wanted.append(each)
        elif facts.system == "linux":
            wanted.append(name.strip())
    return wanted

"""The examples, run as a newcomer runs them: one command each, and nothing of them stays behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import ENV, ROOT
from tests.waiting import soon

LIMIT_S = 90
ID = r"msg-[0-9a-f-]{36}"
RUNS = {
    "two_agents": [sys.executable, "examples/two_agents.py"],
    "shell": ["sh", "examples/shell/run.sh"],
    "reviewer_builder": [sys.executable, "examples/reviewer_builder/run.py"],
}


def run(name: str, folder: Path) -> str:
    """What an example prints; it must end well and leave neither a file nor a process."""
    env = {**ENV, "TMPDIR": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        RUNS[name],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert soon(lambda: not living(folder), within_s=20.0), living(folder)
    assert not list(folder.iterdir())
    return done.stdout


def living(folder: Path) -> list[str]:
    """The processes that were told of this folder, by their arguments or their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            told = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
        except OSError:
            # It ended meanwhile, or is another user's.
            continue
        if str(folder).encode() in told and int(each.name) != os.getpid():
            found.append(f"{each.name}: {told[:200]!r}")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tmp"
    made.mkdir()
    return made


def test_two_agents(folder: Path) -> None:
    """The README of the examples begins with it: asked, answered, told, and refused."""
    said = run("two_agents", folder)

    assert "claude-local: claude-cloud answers '10'\n" in said
    assert "claude-local: goodbye is done on cloud\n" in said
    assert "refused: nobody here or on a peer is called 'claude-clowd'; near: claude-cloud" in said


def test_two_shell_agents(folder: Path) -> None:
    """Plain sh and the command line carry a question, its answer and a rejection."""
    said = run("shell", folder)

    assert re.search(r"\nSubject: Re: How many lines\n\n3 lines\n--- \w+ end", said)
    assert re.search(rf"\n{ID} is done\b", said)
    assert "rejected (I count lines, and nothing else)" in said


def test_reviewer_and_builder(folder: Path) -> None:
    """Work on request: accepted, failed, stopped at its deadline, and not to be had."""
    said = run("reviewer_builder", folder)

    assert "reviewer: hears 'greet has begun'\n" in said
    assert "reviewer: accepts greet, 1 lines of log\n" in said
    assert "reviewer: rejects broken: failed with exit status 1: no such module: tests\n" in said
    # A slow machine may not even begin in that second.
    assert re.search(r"rejects sleep: stopped at the deadline|no sleep: rejected: its deadline", said)
    assert "reviewer: no deploy: rejected: no task 'deploy' here; there are broken, greet, sleep\n" in said
    traces = re.findall(rf"\n\$ spool trace {ID}\n{ID} is done\b", said)
    assert len(traces) == 4

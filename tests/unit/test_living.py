"""Processes told apart: by the time they began, since an id is given again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import living
from tests.waiting import soon


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    with subprocess.Popen(["sleep", "60"]) as made:
        yield made
        made.kill()


def test_a_process_is_known_by_when_it_began(child: subprocess.Popen[bytes]) -> None:
    """The same each time one looks, also from another process."""
    began = living.born(child.pid)
    assert began is not None
    assert living.runs(child.pid, began)
    code = f"from spool import living; print(living.born({child.pid}))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == began


def test_one_that_ended_runs_no_more(child: subprocess.Popen[bytes]) -> None:
    """Not while nobody has reaped it, either: a zombie reads no mail."""
    began = living.born(child.pid)
    assert began is not None
    child.send_signal(signal.SIGKILL)
    assert soon(lambda: not living.runs(child.pid, began), 20.0)
    child.wait()
    assert living.born(child.pid) is None


def test_another_with_the_same_id_is_another(child: subprocess.Popen[bytes]) -> None:
    """A session must not live on in whoever was given its process id."""
    assert not living.runs(child.pid, "1")


def test_without_proc_it_is_asked_of_ps(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """macOS has none. A process that is not there has no beginning there either."""
    if not os.access("/bin/ps", os.X_OK):
        pytest.skip("no /bin/ps here")
    monkeypatch.setattr(living, "_PROC", tmp_path)
    began = living.born(child.pid)
    assert began is not None and ":" in began
    assert living.runs(child.pid, began)
    child.kill()
    child.wait()
    assert living.born(child.pid) is None


@pytest.mark.parametrize("proc", [True, False], ids=["proc", "ps"])
def test_behind_a_shell_that_runs_one_command_stands_its_caller(
    proc: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some clients start a hook by `sh -c`: that shell is gone in a moment."""
    if not proc:
        if not os.access("/bin/ps", os.X_OK):
            pytest.skip("no /bin/ps here")
        monkeypatch.setattr(living, "_PROC", tmp_path)
    with subprocess.Popen(["sh", "-c", "read line; true"], stdin=subprocess.PIPE) as shell:
        # A child that has not become the shell yet still is this process.
        assert soon(lambda: living.caller(shell.pid) == os.getpid(), 20.0)
        assert living.caller(os.getpid()) == os.getpid()


def test_behind_a_shell_of_a_person_stands_nobody(tmp_path: Path) -> None:
    """It goes on: a session is bound to it, not to the terminal around it."""
    script = tmp_path / "script"
    script.write_text("read line\n")
    with subprocess.Popen(["sh", str(script)], stdin=subprocess.PIPE) as shell:
        assert soon(lambda: "script" in " ".join(living._words(shell.pid)), 20.0)
        assert living.caller(shell.pid) == shell.pid

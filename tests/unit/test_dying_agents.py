"""Agents whose process dies while it works on a message: it is tried again, counted, and given up in time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.inbox import LEASE_S, MAX_ATTEMPTS
from spool.states import State
from tests.desk import Turned, clocked, make_home
from tests.hosts import ENV

# Works on what it is given, at a time of day of its own, and dies within the block.
WORKER = """
import os, pathlib, signal, sys
from tests.desk import Turned, clocked
home, at, how, effect = sys.argv[1:]
with clocked(pathlib.Path(home), Turned(float(at)), agent="me") as spool:
    for message in spool.receive(limit=1):
        with message:
            if message.id == "poison":
                with open(effect, "a") as file:
                    file.write(message.id + chr(10))
                    file.flush()
                    os._exit(3) if how == "exits" else os.kill(os.getpid(), signal.SIGKILL)
            print(message.id)
"""


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with two agents."""
    return make_home(tmp_path, "me", "you")


@pytest.fixture
def spool(home: Path, now: Turned) -> Iterator[Spool]:
    """For who sent it; an agent of the same host, so that its state is told by the same rows."""
    with clocked(home, now, agent="you") as made:
        yield made


def works(home: Path, now: Turned, how: str, effect: Path) -> subprocess.CompletedProcess[str]:
    """A process that takes the next message."""
    command = [sys.executable, "-c", WORKER, str(home), str(now.at), how, str(effect)]
    return subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=30)


def test_an_agent_killed_at_work_has_done_nothing(spool: Spool, home: Path, now: Turned) -> None:
    """Its message is read and not done; nobody else gets it before the lease is over, and then it is there.

    What the agent did outside the database is done, and will be done again: that is not spool's to undo.
    """
    spool.send("me", id="poison", body="x", priority="P0")
    effect = home / "effect"
    assert works(home, now, "killed", effect).returncode == -signal.SIGKILL
    assert spool.state("poison") is State.READ
    assert list(spool.receive(agent="me")) == []

    now.at += LEASE_S + 1
    [again] = spool.receive(agent="me")
    assert (again.id, again.row.attempts, effect.read_text()) == ("poison", 2, "poison\n")


def test_a_message_that_kills_its_reader_is_given_up(spool: Spool, home: Path, now: Turned) -> None:
    """It was counted before the agent had it, so that no way of dying gets round it; the others go on."""
    spool.send("me", id="poison", body="x", priority="P0")
    spool.send("me", id="good", body="x")
    effect = home / "effect"
    for _ in range(MAX_ATTEMPTS):
        assert works(home, now, "exits", effect).returncode == 3
        now.at += LEASE_S + 1

    done = works(home, now, "exits", effect)

    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert effect.read_text() == "poison\n" * MAX_ATTEMPTS
    row = spool.sent("poison")
    assert (row.state, row.outcome, row.note) == (State.DONE, "rejected", f"given back {MAX_ATTEMPTS} times")
    assert spool.state("good") is State.DONE

"""What the kills rest on: that they come where they are counted, and that a broken promise is seen."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.hosts import Host, hosts
from tests.kills import tracer
from tests.kills.actors import read_all, send
from tests.kills.ground import run
from tests.kills.points import judge
from tests.kills.truth import Truth

TWO_THREADS = """
import os, sys, threading
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
def write():
    for _ in range(3):
        os.write(fd, b"x")
thread = threading.Thread(target=write)
thread.start()
thread.join()
write()
os.fsync(fd)
os.rename(sys.argv[1], sys.argv[1] + ".new")
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts that no link joins."""
    with hosts(tmp_path, near=["alice"], far=["bob"]) as (near, far):
        yield near, far


@pytest.mark.parametrize(("kill_at", "size", "calls"), [(5, 4, 5), (7, 6, 7), (0, 6, 8), (9, 6, 8)])
def test_it_dies_before_the_call_that_is_counted(tmp_path: Path, kill_at: int, size: int, calls: int) -> None:
    """The calls of all threads count together; the k-th is not made, whatever thread would make it."""
    if reason := tracer.why_not(tmp_path / "tried"):
        pytest.skip(reason)
    tracer.arm(tmp_path / "armed", kill_at)
    traced = [sys.executable, "-S", "-m", "tests.kills.tracer", str(tmp_path / "armed")]
    done = run([*traced, sys.executable, "-c", TWO_THREADS, str(tmp_path / "file")])
    killed = 0 < kill_at <= calls
    assert done.returncode == (137 if killed else 0)
    written = tmp_path / ("file" if killed else "file.new")
    assert written.stat().st_size == size
    met = tracer.met(tmp_path / "armed")
    assert len(met) == calls and met[0] == f"write {tmp_path / 'file'}"
    assert killed or met[-1] == f"rename {tmp_path / 'file'}"


def test_only_the_first_run_dies(tmp_path: Path) -> None:
    """What starts in its place is not harmed, and not counted."""
    if reason := tracer.why_not(tmp_path / "tried"):
        pytest.skip(reason)
    tracer.arm(tmp_path / "armed", 1)
    traced = [sys.executable, "-S", "-m", "tests.kills.tracer", str(tmp_path / "armed"), "echo", "said"]
    assert run(traced).returncode == 137 and tracer.ended(tmp_path / "armed")
    assert run(traced).stdout == "said\n"
    assert len(tracer.met(tmp_path / "armed")) == 1


def test_a_message_that_is_nowhere_is_lost(pair: tuple[Host, Host]) -> None:
    """It was promised and is on no disk but its sender's."""
    near, far = pair
    near.peer("far", agents=["bob"])
    truth = Truth({})
    id = send(truth, near, far, to="bob", subject="x")
    truth.after_a_death(near, far)
    assert truth.wrong == []
    truth.at_rest(near, far)
    assert f"{id} was promised and is 0 times at far" in truth.wrong
    assert truth.counted(far) == (1, 0)


def test_a_message_that_its_agent_got_twice_is_doubled(pair: tuple[Host, Host]) -> None:
    """However often it is stored."""
    near, _ = pair
    truth = Truth({})
    id = send(truth, near, near, to="alice", subject="x")
    read_all(truth, near, "alice")
    assert truth.counted(near) == (0, 0)
    truth.given[id] += 1
    truth.check_mail(near, near)
    assert truth.wrong == [f"{id} was given 2 times at near"]
    assert truth.counted(near) == (0, 1)


def test_a_message_that_is_not_whole_is_seen(pair: tuple[Host, Host]) -> None:
    """Its text is not what goes with its subject."""
    near, _ = pair
    truth = Truth({})
    with near.api() as spool:
        id = spool.send("alice", subject="x", body="half")
    truth.after_a_death(near)
    assert truth.wrong == [f"{id} is not whole in the outbox of near"]


def test_a_proof_without_its_message_is_seen(pair: tuple[Host, Host]) -> None:
    """`received` at the sender says that the row is there, also in the very moment of a death."""
    near, far = pair
    truth = Truth({})
    id = send(truth, near, near, to="alice", subject="x")
    truth.promised[id] = (near, far)
    truth.after_a_death(near, far)
    assert truth.wrong == [f"{id} is received at near and not stored at far"]


def test_a_state_that_goes_back_is_seen(pair: tuple[Host, Host]) -> None:
    """From one look to the next."""
    near, _ = pair
    truth = Truth({})
    id = send(truth, near, near, to="alice", subject="x")
    truth.look(near)
    read_all(truth, near, "alice")
    truth.look(near)
    assert truth.wrong == []
    with contextlib.closing(apsw.Connection(str(near.home / "spool.db"))) as database:
        database.execute("UPDATE outbox SET state = 'sent' WHERE id = ?", (id,))
    truth.look(near)
    assert truth.wrong == [f"{id} went back from done to sent at near"]


def test_what_never_settles_is_stuck() -> None:
    """And what takes longer than a lease is late."""
    gone = Truth({}).counted()
    assert judge(1, ["write x"], [], None, gone).wrong == ("something is stuck",)
    assert judge(1, ["write x"], [], 55.0, gone).late and not judge(1, [], [], 5.0, gone).late

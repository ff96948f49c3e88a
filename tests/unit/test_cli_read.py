"""What a reader cuts off stays unread: `spool read` into real pipes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spool import home as homes
from spool.api import Spool
from spool.store.base import Incoming

ROOT = Path(__file__).parents[2]
ENV = {**{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with two agents."""
    homes.init(tmp_path / "home", name="laptop", agents=["alice", "bob"])
    return tmp_path / "home"


def fill(home: Path, count: int, size: int) -> None:
    """So many unread messages for bob, of so many bytes."""
    with Spool(home, agent="alice") as spool:
        spool.send_many(
            [{"to": "bob", "subject": f"n{n}", "body": "x" * size + f"\nend {n}"} for n in range(count)]
        )


def unread(home: Path) -> list[Incoming]:
    """What bob has not read."""
    with Spool(home, agent="bob") as spool:
        return spool.inbox(unread_only=True, limit=1000)


def read_into(home: Path, reader: str, *args: str) -> subprocess.CompletedProcess[str]:
    """`spool read ARGS | READER`."""
    line = f"{sys.executable} -m spool.cli --home {home} --agent bob read {' '.join(args)} | {reader}"
    return subprocess.run(line, shell=True, capture_output=True, text=True, env=ENV, timeout=60, check=True)


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_message_that_head_cuts_off_stays_unread(home: Path, form: str) -> None:
    """All of the first message fits into the pipe, and head takes only a part of it."""
    fill(home, 100, 50_000)
    done = read_into(home, "head -c 30000", "--all", form)
    assert len(done.stdout) == 30_000
    assert len(unread(home)) == 100
    assert done.stderr.splitlines() == ["spool: 100 more unread for bob; `spool read` shows the next"]


@pytest.mark.parametrize("reader", ["head -n 1", "head -c 100", "grep -q Subject", "true"])
def test_short_messages_that_are_cut_off_stay_unread(home: Path, reader: str) -> None:
    """Here the whole message is in the first block that the reader takes, and the reader stops in it."""
    fill(home, 3, 200)
    line = f"{sys.executable} -m spool.cli --home {home} --agent bob read --all | {reader}"
    subprocess.run(line, shell=True, capture_output=True, env=ENV, timeout=60, check=False)
    assert len(unread(home)) == 3


def test_what_was_taken_before_the_cut_is_read(home: Path) -> None:
    """Only what was cut off is shown again."""
    fill(home, 5, 50_000)
    read_into(home, "head -c 120000", "--all")
    assert len(unread(home)) == 3


def test_a_reader_that_takes_all_has_read_all(home: Path) -> None:
    """Also a slow one, in small pieces."""
    fill(home, 20, 5_000)
    slow = f"{sys.executable} -c 'import sys, time\nwhile sys.stdin.buffer.read(9000): time.sleep(0.01)'"
    read_into(home, slow, "--all")
    assert unread(home) == []


def test_into_a_file_all_is_read(home: Path, tmp_path: Path) -> None:
    """A file has what was written to it."""
    fill(home, 3, 5_000)
    read_into(home, "cat > /dev/null", "--all", f"> {tmp_path / 'out'}")
    assert unread(home) == []
    assert (tmp_path / "out").read_text().count("Subject: ") == 3


def test_a_socket_is_read_like_a_pipe(home: Path) -> None:
    """Some harnesses give their children one for standard output."""
    fill(home, 2, 5_000)
    for taken, left in ((100, 2), (0, 0)):
        ours, theirs = socket.socketpair()
        child = subprocess.Popen(
            [sys.executable, "-m", "spool.cli", "--home", str(home), "--agent", "bob", "read", "--all"],
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env=ENV,
        )
        theirs.close()
        if taken:
            ours.recv(taken)
        else:
            while ours.recv(65_536):
                pass
        ours.close()
        child.wait(30)
        assert len(unread(home)) == left


def test_a_reader_that_takes_nothing_does_not_hold_it_up_for_ever(home: Path) -> None:
    """Some wait for the end before they read; what they had no time for is shown again."""
    fill(home, 1, 100)
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "spool.cli", "--home", str(home), "--agent", "bob", "read", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV,
    )
    child.wait(30)
    assert time.monotonic() - began < 20
    assert child.stdout is not None and child.stderr is not None
    assert json.loads(child.stdout.read())["subject"] == "n0"
    assert b"stay unread" in child.stderr.read()
    child.stdout.close()
    child.stderr.close()
    assert len(unread(home)) == 1

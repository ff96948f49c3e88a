"""Which processes of a home live: the kernel says so, whatever became of them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.errors import StoreFull
from spool.presence import Presence, lives, living
from tests.waiting import soon

CHILD = (
    "import sys, pathlib, time; from spool.presence import Presence\n"
    "mine = Presence(pathlib.Path(sys.argv[1]), sys.argv[2], now=float(sys.argv[3]), version='9')\n"
    "print(mine.token, flush=True); sys.stdin.read()"
)

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that announces itself; it and its token."""
    started: list[subprocess.Popen[str]] = []

    def begin(role: str, now: float = 1.0) -> tuple[subprocess.Popen[str], str]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), role, str(now)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def test_a_process_that_announced_itself_lives(tmp_path: Path) -> None:
    """It says what it is, who, since when, and which version."""
    mine = Presence(tmp_path, "consumer", now=7.5, version="1.2")

    assert living(tmp_path) == [mine.process]
    assert (mine.process.role, mine.process.pid, mine.process.since) == ("consumer", os.getpid(), 7.5)
    assert mine.process.version == "1.2"
    assert lives(tmp_path, mine.token)
    mine.close()


def test_one_that_took_it_back_does_not(tmp_path: Path) -> None:
    """As often as it likes; nothing is left in the folder."""
    mine = Presence(tmp_path, "serve", now=1.0, version="1")
    mine.close()
    mine.close()

    assert living(tmp_path) == [] and not lives(tmp_path, mine.token)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_does_not_live(tmp_path: Path, start: Start) -> None:
    """SIGKILL: it had no time to take anything back. What it left is removed."""
    child, token = start("consumer")
    assert lives(tmp_path, token)
    child.send_signal(signal.SIGKILL)
    child.wait()

    assert not lives(tmp_path, token)
    assert living(tmp_path) == [] and list(tmp_path.glob("*.live")) == []


def test_a_stopped_process_lives(tmp_path: Path, start: Start) -> None:
    """SIGSTOP is not death: it may go on at any moment."""
    child, token = start("consumer")
    child.send_signal(signal.SIGSTOP)

    assert lives(tmp_path, token)
    child.send_signal(signal.SIGCONT)


def test_the_oldest_comes_first(tmp_path: Path, start: Start) -> None:
    """Of all roles, or of one."""
    (_, young), (_, old), (_, serve) = start("consumer", 9.0), start("consumer", 3.0), start("serve", 5.0)

    assert [each.token for each in living(tmp_path)] == [old, serve, young]
    assert [each.token for each in living(tmp_path, "consumer")] == [old, young]
    assert [each.token for each in living(tmp_path, "serve")] == [serve]
    assert living(tmp_path, "cli") == []


def test_an_unknown_token_does_not_live(tmp_path: Path) -> None:
    """Nor does anything in a folder that is not there."""
    assert not lives(tmp_path, "consumer-1-abcd")
    assert living(tmp_path / "missing") == []


def test_two_of_one_process_are_told_apart(tmp_path: Path) -> None:
    """Tests do that, and a process that serves two homes."""
    one = Presence(tmp_path, "serve", now=1.0, version="1")
    two = Presence(tmp_path, "serve", now=1.0, version="1")
    one.close()

    assert [each.token for each in living(tmp_path)] == [two.token]
    two.close()


def test_a_child_does_not_keep_its_parents_announcement(tmp_path: Path) -> None:
    """The lock goes with the process that announced itself, not with what it started."""
    mine = Presence(tmp_path, "serve", now=1.0, version="1")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        os.close(mine._file)
        mine._file = -1

        # Not at once: exec(2) lets the parent go on before it has closed the files.
        assert soon(lambda: not lives(tmp_path, mine.token))
        child.communicate(b"\n")


def test_nobody_is_taken_for_dead_while_announcing(tmp_path: Path) -> None:
    """Others look all the time; whoever is announced is found until it ends, however close the race."""
    stop = threading.Event()
    lookers = [
        threading.Thread(target=lambda: [living(tmp_path) for _ in iter(stop.is_set, True)]) for _ in range(3)
    ]
    for looker in lookers:
        looker.start()
    missed = 0
    for n in range(300):
        mine = Presence(tmp_path, "serve", now=float(n), version="1")
        missed += not lives(tmp_path, mine.token)
        missed += mine.token not in [each.token for each in living(tmp_path)]
        mine.close()
    stop.set()
    for looker in lookers:
        looker.join()

    assert missed == 0
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer or a far end that starts meanwhile names the disk, and leaves no half announcement."""

    def full(_file: int, _what: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("spool.presence.os.write", full)

    with pytest.raises(StoreFull, match="this serve cannot begin") as raised:
        Presence(tmp_path, "serve", now=1.0, version="1")
    assert "free some space" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_announcement_is_its_owners_alone(tmp_path: Path) -> None:
    """Others could hold its lock, and the dead would live."""
    mine = Presence(tmp_path, "serve", now=1.0, version="1")

    assert (tmp_path / f"{mine.token}.live").stat().st_mode & 0o777 == 0o600
    mine.close()

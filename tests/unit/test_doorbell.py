"""The doorbell: who waits is woken, across processes, and nothing is left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.doorbell import Bell, Listener, ring, ring_waiting
from tests.waiting import soon

WAITER = (
    "import sys, pathlib, time; from spool.doorbell import Bell\n"
    "with Bell(pathlib.Path(sys.argv[1]), carries=True) as bell:\n"
    "    print('ready', flush=True); print(bell.wait(10), time.time(), flush=True)"
)


@pytest.fixture(params=["short", "long"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder `run/` of a home; one is too deep for the name of a socket (unix(7): 108 bytes)."""
    folder = tmp_path / ("d" * 120 if request.param == "long" else "d") / "run"
    folder.mkdir(parents=True)
    assert (len(os.fsencode(folder)) > 108) == (request.param == "long")
    return folder


def bells(run: Path) -> list[str]:
    return [path.name for path in run.iterdir()]


def test_a_ring_wakes_who_waits(run: Path) -> None:
    """At once, not at the end of the wait."""
    with Bell(run) as bell:
        threading.Timer(0.1, ring, [run]).start()
        begun = time.monotonic()

        assert bell.wait(10)
        assert time.monotonic() - begun < 2


def test_without_a_ring_the_wait_ends(run: Path) -> None:
    """After the time that was asked for."""
    with Bell(run) as bell:
        begun = time.monotonic()

        assert not bell.wait(0.15)
        assert 0.14 <= time.monotonic() - begun < 2


def test_a_ring_before_the_wait_is_not_lost(run: Path) -> None:
    """Who looks for work and then waits must not sleep over what came between."""
    with Bell(run) as bell:
        ring(run)

        assert bell.wait(0)


def test_many_rings_are_one(run: Path) -> None:
    """More than the socket holds; ringing never blocks or fails, and the bell is quiet after one wait."""
    with Bell(run) as bell:
        for _ in range(2_000):
            ring(run)

        assert bell.wait(0)
        assert not bell.wait(0)


def test_every_bell_of_the_home_rings(run: Path) -> None:
    """It is broadcast: any of them may be the one that has the link."""
    with Bell(run) as one, Bell(run) as two, Bell(run, carries=True) as three:
        ring(run)

        assert [bell.wait(1) for bell in (one, two, three)] == [True] * 3


def test_those_that_only_wait_can_be_rung_alone(run: Path) -> None:
    """Something happened, and there is nothing to carry."""
    with Bell(run) as waits, Bell(run, carries=True) as carries:
        ring_waiting(run)

        assert waits.wait(1)
        assert not carries.wait(0)


def test_a_bell_of_another_home_is_not_rung(run: Path, tmp_path: Path) -> None:
    """Two homes of one user."""
    other = tmp_path / "other"
    other.mkdir()
    with Bell(run) as bell:
        ring(other)

        assert not bell.wait(0)


def test_it_rings_across_processes(run: Path) -> None:
    """From the one that committed to the one that carries, within milliseconds."""
    waiter = subprocess.Popen([sys.executable, "-c", WAITER, str(run)], stdout=subprocess.PIPE, text=True)
    assert waiter.stdout is not None and waiter.stdout.readline() == "ready\n"
    at = time.time()
    ring(run)
    rung, when = waiter.stdout.read().split()
    waiter.stdout.close()

    assert waiter.wait(10) == 0
    assert rung == "True" and float(when) - at < 1
    assert bells(run) == []


def test_a_dead_process_bell_is_cleared_away(run: Path) -> None:
    """By the next ring; a living one stays."""
    waiter = subprocess.Popen([sys.executable, "-c", WAITER, str(run)], stdout=subprocess.PIPE, text=True)
    assert waiter.stdout is not None and waiter.stdout.readline() == "ready\n"
    waiter.send_signal(signal.SIGKILL)
    waiter.wait()
    waiter.stdout.close()
    assert len(bells(run)) == 1

    with Bell(run) as bell:
        ring(run)

        assert len(bells(run)) == 1
        assert bell.wait(1)


def test_other_files_in_the_folder_are_left_alone(run: Path) -> None:
    """Locks and the announcements of living processes."""
    (run / "home.lock").write_text("")
    (run / "serve-1-2.live").write_text("")
    ring(run)

    assert sorted(bells(run)) == ["home.lock", "serve-1-2.live"]


def test_closing_takes_the_bell_down(run: Path) -> None:
    """As often as one likes."""
    bell = Bell(run)
    bell.close()
    bell.close()

    assert bells(run) == []
    assert not bell.wait(0)


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_ringing_never_raises(tmp_path: Path, what: str) -> None:
    """Losing a ring costs time; the message is committed."""
    if what == "a file":
        (tmp_path / "run").write_text("")

    ring(tmp_path / "run")


def test_a_bell_is_its_owners_alone(run: Path) -> None:
    """Others could keep a process awake by it."""
    with Bell(run):
        (name,) = bells(run)

        assert (run / name).stat().st_mode & 0o777 == 0o600


def test_a_bell_that_cannot_be_hung_leaves_no_socket(tmp_path: Path) -> None:
    """pytest turns an unclosed socket into an error."""
    with pytest.raises(OSError):
        Bell(tmp_path / "missing")


@pytest.fixture
def many_files() -> Iterator[None]:
    """More open files than select() can name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.fail(f"this test needs 1,200 open files, the limit is {hard}", pytrace=False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1050)]
    yield
    for file in files:
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_with_many_open_files_waits_too(run: Path, many_files: None) -> None:
    """And does not spin."""
    with Bell(run) as bell:
        begun = time.monotonic()
        assert not bell.wait(0.1)
        assert time.monotonic() - begun >= 0.09
        ring(run)
        assert bell.wait(1)


def test_a_listener_calls_whoever_subscribed(run: Path) -> None:
    """Until they end it; then the others still."""
    listener = Listener(run)
    one, two = threading.Event(), threading.Event()
    end = listener.subscribe(one.set)
    listener.subscribe(two.set)
    ring(run)
    assert one.wait(2) and two.wait(2)

    end()
    end()
    one.clear()
    two.clear()
    ring(run)
    assert two.wait(2)
    listener.close()
    assert not one.is_set()


def test_a_listener_takes_its_thread_and_bell_with_it(run: Path) -> None:
    """A process that ends leaves nothing."""
    before = threading.active_count()
    listener = Listener(run)
    listener.close()

    assert bells(run) == []
    assert soon(lambda: threading.active_count() == before)

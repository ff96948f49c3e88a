"""What every pipe promises, whether a child process or an ssh channel carries it."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import LinkLost, NoSpoolThere
from spool.transports import exec as exec_transport
from spool.transports import ssh
from spool.transports.base import Pipe
from tests.sshd import Sshd, make_home, processes
from tests.waiting import our_children, raised_while_closing, soon

pytestmark = pytest.mark.timeout(20)

MEGABYTE = os.urandom(1_000_000)
ANYTHING = 'restrict,command="eval \\"$SSH_ORIGINAL_COMMAND\\"" '

# Does not read. Not for long: sshd leaves a command running whose connection is gone.
DEAF = ("sleep", "6")

Open = Callable[..., Pipe]


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path]]:
    """An sshd that knows our key, with a forced command that runs what the test asks for."""
    folder = tmp_path_factory.mktemp("pipes")
    home, key = make_home(folder)
    with Sshd(folder / "far") as sshd:
        sshd.authorize(ANYTHING + key)
        yield sshd, home


@pytest.fixture
def tidy() -> Iterator[None]:
    """Whatever a test opened and closed is gone soon after: threads and child processes."""
    threads, children = set(threading.enumerate()), our_children()

    yield

    assert soon(lambda: set(threading.enumerate()) <= threads), threading.enumerate()
    assert soon(lambda: our_children() <= children), our_children() - children


@pytest.fixture
def open_ssh(far: tuple[Sshd, Path], tidy: None) -> Iterator[Open]:
    """Open a pipe over ssh."""
    sshd, home = far
    opened: list[Pipe] = []

    def start(*argv: str) -> Pipe:
        command = shlex.join(argv)
        peer = Peer(name="far", url=sshd.url, host_key=sshd.host_key, remote_command=command)
        opened.append(ssh.dial(peer, home, as_name="near"))
        return opened[-1]

    yield start
    for pipe in opened:
        pipe.close()
    assert soon(lambda: not sshd.sessions()), sshd.sessions()


@pytest.fixture
def open_exec(tmp_path: Path, tidy: None) -> Iterator[Open]:
    """Open a pipe to a child process."""
    opened: list[Pipe] = []

    def start(*argv: str) -> Pipe:
        peer = Peer(name="far", url=f"exec:{shlex.join(argv)}")
        opened.append(exec_transport.dial(peer, tmp_path, as_name="near"))
        return opened[-1]

    yield start
    for pipe in opened:
        pipe.close()


@pytest.fixture(params=["exec", "ssh"])
def open_pipe(request: pytest.FixtureRequest) -> Open:
    """Open a pipe of either kind to a command."""
    found: Open = request.getfixturevalue(f"open_{request.param}")
    return found


def test_a_megabyte_goes_both_ways_at_once(open_pipe: Open) -> None:
    """Neither direction waits for the other; nothing is lost or changed."""
    pipe = open_pipe("cat")
    sender = threading.Thread(target=pipe.send, args=(MEGABYTE,))
    sender.start()

    got = take(pipe, len(MEGABYTE))

    sender.join()
    assert got == MEGABYTE


def test_receive_returns_what_is_there_without_waiting_for_more(open_pipe: Open) -> None:
    """A short frame must not wait until the buffer is full."""
    pipe = open_pipe("cat")

    pipe.send(b"ping\n")

    assert take(pipe, 5) == b"ping\n"


def test_the_end_of_the_far_command_is_an_empty_receive(open_pipe: Open) -> None:
    """And stays one, however often it is asked."""
    pipe = open_pipe("echo", "bye")

    assert read_all(pipe) == b"bye\n"
    assert pipe.receive(100) == b""
    assert pipe.exit_status() == 0


def test_last_words_are_the_end_of_stderr(open_pipe: Open) -> None:
    """Twenty lines at most, and nothing that a terminal would obey."""
    pipe = python(open_pipe, "for n in range(50): print('line', n, '\\033[2J', file=sys.stderr)")

    assert pipe.receive(100) == b""
    lines = pipe.last_words().splitlines()
    assert len(lines) == 20
    assert lines[-1] == "line 49 ?[2J (exit status 0)"


def test_exit_status_tells_a_command_that_is_missing(open_pipe: Open) -> None:
    """127 is how every shell says that there is no such program."""
    pipe = open_pipe("sh", "-c", "spool-is-not-here")

    assert pipe.receive(100) == b""
    assert pipe.exit_status() == 127
    assert "spool-is-not-here" in pipe.last_words()


def test_a_running_command_has_no_exit_status_and_no_words(open_pipe: Open) -> None:
    """Asking does not wait for its end."""
    pipe = open_pipe("cat")

    assert pipe.exit_status() is None
    assert pipe.last_words() == ""


def test_much_on_stderr_blocks_nothing(open_pipe: Open) -> None:
    """More than any buffer on the way holds, and stdout still comes."""
    pipe = python(open_pipe, "sys.stderr.write('x' * 6_000_000); print('done')")

    assert read_all(pipe) == b"done\n"


def test_close_wakes_a_waiting_receive(open_pipe: Open) -> None:
    """The thread that reads gets LinkLost, not an end it could take for the far side's."""
    pipe = open_pipe(*DEAF)

    assert isinstance(raised_while_closing(pipe, lambda: pipe.receive(100)), LinkLost)


def test_close_wakes_a_send_that_the_far_side_does_not_read(open_pipe: Open) -> None:
    """The far command sleeps; the pipe is full."""
    pipe = open_pipe(*DEAF)

    assert isinstance(raised_while_closing(pipe, lambda: pipe.send(bytes(20_000_000))), LinkLost)


def test_a_closed_pipe_says_so(open_pipe: Open) -> None:
    """Close as often as one likes; then nothing goes any more."""
    pipe = open_pipe("cat")

    for _ in range(3):
        pipe.close()

    with pytest.raises(LinkLost):
        pipe.send(b"x")
    with pytest.raises(LinkLost):
        pipe.receive(1)


def test_sending_to_a_command_that_ended_is_a_lost_link(open_pipe: Open) -> None:
    """Not a silence, and not a signal that ends us."""
    pipe = open_pipe("true")
    assert pipe.receive(1) == b""

    with pytest.raises(LinkLost):
        for _ in range(200):
            pipe.send(b"x" * 1000)
            time.sleep(0.01)


def test_close_ends_a_command_that_does_not_want_to(open_exec: Open) -> None:
    """SIGTERM ignored, and a grandchild in the background: both are gone, within about two seconds."""
    pipe = open_exec("sh", "-c", 'trap "" TERM; sleep 61 & echo $!; while :; do sleep 62; done')
    grandchild = int(pipe.receive(100))
    begun = time.monotonic()

    pipe.close()

    assert time.monotonic() - begun < 3
    assert soon(lambda: not any(pid == grandchild and name == "sleep" for pid, _, name in processes()))


def test_close_wakes_receive_though_a_stranger_holds_the_pipe(open_exec: Open) -> None:
    """A grandchild in a session of its own is out of reach; it must not hold us up."""
    pipe = python(open_exec, "import os, time\nif os.fork(): os._exit(0)\nos.setsid(); time.sleep(4)")

    assert isinstance(raised_while_closing(pipe, lambda: pipe.receive(100)), LinkLost)


def test_a_command_that_is_not_there_is_named(open_exec: Open) -> None:
    """The error says which peer, which program and what to do."""
    with pytest.raises(NoSpoolThere, match=r"far \(spool-is-not-here\).*full path"):
        open_exec("spool-is-not-here", "serve")


def python(open_pipe: Open, program: str) -> Pipe:
    return open_pipe(sys.executable, "-c", f"import sys\n{program}")


def take(pipe: Pipe, n_bytes: int) -> bytes:
    got = b""
    while len(got) < n_bytes and (piece := pipe.receive(65536)):
        got += piece
    return got


def read_all(pipe: Pipe) -> bytes:
    return take(pipe, sys.maxsize)

"""The key that `authorize` let in can run `spool serve` for its own peer, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.dialogue import Dialogue
from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import generation, rows
from tests.sshd import Sshd, free_port

pytestmark = pytest.mark.timeout(30)


class Login:
    """The system's own `ssh` and `sftp`, with the home's key and nothing else."""

    def __init__(self, near: Host, sshd: Sshd, folder: Path) -> None:
        known = folder / "known_hosts"
        known.write_text(sshd.known_hosts)
        self.options = [
            *("-F", "none", "-i", str(near.home / "keys" / "id_ed25519")),
            *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none"),
            *("-o", f"Port={sshd.port}"),
        ]
        self.target = f"{sshd.user}@127.0.0.1"

    def ssh(self, *args: str) -> list[str]:
        return ["ssh", *self.options, *args]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[Host, Login]]:
    """`far`, which lets `near` in, and knows a peer `other` as well."""
    with Sshd(tmp_path / "sshd") as sshd, hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"])
        far.peer("other", agents=["oto"])
        yield far, Login(near, sshd, tmp_path)


@pytest.mark.parametrize(
    "asked", ["id", "sh -c 'echo pwned >&1'", "", "scp -t /tmp", "spool serve --peer other"]
)
def test_whatever_command_is_asked_for_serve_answers(there: tuple[Host, Login], asked: str) -> None:
    """Its first frame is hello, and nothing stands before it."""
    _, login = there
    done = subprocess.run(
        login.ssh(login.target, *[asked] * bool(asked)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )

    hello = msgspec.json.decode(done.stdout.splitlines()[0])
    assert (hello["f"], hello["host"]) == ("hello", "far")
    assert b"uid=" not in done.stdout and b"pwned" not in done.stdout


def test_the_key_cannot_speak_for_another_peer(there: tuple[Host, Login]) -> None:
    """SSH_ORIGINAL_COMMAND asks for `--peer other`; the link is that of `near` all the same."""
    far, login = there
    with Dialogue(login.ssh(login.target, "spool serve --peer other")) as line:
        line.say(f="hello", host="other", agents=["oto"])
        line.say(f="messages", n=1, items=[line.item("oto", "fay")])
        (result,) = line.expect("results")["items"]

    assert result["r"] == "refused" and "may not be spoken for by near" in result["why"]
    assert (generation(far, "near"), generation(far, "other")) == (1, 0)
    assert rows(far, "SELECT 1 FROM inbox") == []


def test_there_is_no_file_transfer(there: tuple[Host, Login], tmp_path: Path) -> None:
    """The sftp subsystem is not reached."""
    _, login = there
    (tmp_path / "batch").write_text(f"put {tmp_path / 'batch'} {tmp_path / 'landed'}\n")
    done = subprocess.run(
        ["sftp", "-b", str(tmp_path / "batch"), *login.options, login.target],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )

    assert done.returncode != 0
    assert not (tmp_path / "landed").exists()


def test_no_port_is_forwarded_to_there(there: tuple[Host, Login]) -> None:
    """-L: what connects here gets nothing, not even the sshd's own banner."""
    _, login = there
    port, target = free_port(), login.options[-1].removeprefix("Port=")
    with running(login.ssh("-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{target}", login.target)):
        until(lambda: listens(port), 10)
        assert heard(port) == b""


def test_no_port_is_forwarded_from_there(there: tuple[Host, Login]) -> None:
    """-R is refused outright."""
    _, login = there
    done = subprocess.run(
        login.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", login.target),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )

    assert done.returncode == 255 and b"forward" in done.stderr


def test_there_is_no_terminal(there: tuple[Host, Login]) -> None:
    """-tt insists on one: the client gives up."""
    _, login = there
    done = subprocess.run(
        login.ssh("-tt", login.target), stdin=subprocess.DEVNULL, capture_output=True, timeout=20
    )

    assert b"PTY allocation request failed" in done.stderr
    assert (done.returncode, done.stdout) == (255, b"")


def heard(port: int) -> bytes:
    """What is said to who connects; nothing where that is cut off at once."""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as one,
    ):
        return one.recv(100)
    return b""


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[None]:
    """A command that is ended with the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        # Now and then ssh sleeps on, with the signal it has had.
        process.kill()
        process.wait(10)

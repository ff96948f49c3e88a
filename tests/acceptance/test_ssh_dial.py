"""Dialling a real sshd: the login, the way there, the far command, and the error for each failure."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import (
    AuthRefused,
    CannotResolve,
    HostKeyUnknown,
    NoSpoolThere,
    SpoolError,
    Unreachable,
)
from spool.transports import ssh
from tests.proxy import FaultProxy
from tests.sshd import Sshd, free_port, make_home, new_key, require_sshd
from tests.waiting import soon

pytestmark = pytest.mark.timeout(20)

ECHO = 'restrict,command="cat" '


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)[0]


@pytest.fixture
def public(home: Path) -> str:
    return (home / "keys" / "id_ed25519.pub").read_text()


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Also a dial that failed leaves no thread behind, paramiko's handshake timer included."""
    before = set(threading.enumerate())
    yield
    assert soon(lambda: set(threading.enumerate()) <= before), threading.enumerate()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "far") as running:
        yield running


def peer(sshd: Sshd, **more: object) -> Peer:
    fields: dict[str, object] = {"name": "far", "url": sshd.url, "host_key": sshd.host_key, **more}
    return Peer(**fields)  # type: ignore[arg-type]  # the tests name fields that Peer has


def echoes(peer: Peer, home: Path, *, ssh_config: Path | None = None) -> bool:
    """Whether a pipe to the peer carries a word there and back."""
    with contextlib.closing(ssh.dial(peer, home, as_name="near", ssh_config=ssh_config)) as pipe:
        pipe.send(b"hello")
        return pipe.receive(100) == b"hello"


def refusal(call: Callable[[], object]) -> SpoolError:
    """The error that a call ends with; it must be one of ours."""
    with pytest.raises(SpoolError) as caught:
        call()
    return caught.value


def config(folder: Path, text: str) -> Path:
    """An ssh config in the place of the user's own, with known_hosts beside it."""
    path = folder / "ssh_config"
    known = f"UserKnownHostsFile {folder}/known_hosts\n GlobalKnownHostsFile none"
    path.write_text(f"{text}\nHost *\n {known}\n")
    return path


def test_a_pinned_host_with_our_key_gives_a_pipe(sshd: Sshd, home: Path, public: str) -> None:
    """The plain case."""
    sshd.authorize(ECHO + public)

    assert echoes(peer(sshd), home)


def test_a_refused_key_is_offered_once_and_nothing_else(sshd: Sshd, home: Path) -> None:
    """A host that bans for failed logins must not ban us."""
    error = refusal(lambda: ssh.dial(peer(sshd), home, as_name="near"))

    assert isinstance(error, AuthRefused) and error.stops
    assert "peer authorize near" in error.hint and f"127.0.0.1:{sshd.port}" in error.message
    assert sshd.logged().count("Failed publickey") == 1


def test_a_host_that_hangs_up_after_one_try_has_refused_too(tmp_path: Path, home: Path) -> None:
    """With MaxAuthTries used up, sshd says goodbye instead of no."""
    with Sshd(tmp_path / "far", config="MaxAuthTries 1") as sshd:
        assert isinstance(refusal(lambda: ssh.dial(peer(sshd), home, as_name="near")), AuthRefused)


def test_a_home_without_a_key_asks_for_init(sshd: Sshd, tmp_path: Path) -> None:
    """And no attempt is made that would count as failed."""
    error = refusal(lambda: ssh.dial(peer(sshd), tmp_path / "none", as_name="near"))

    assert isinstance(error, AuthRefused) and "spool init" in error.hint
    assert "Failed" not in sshd.logged()


def test_failures_leave_no_noise_on_stderr(sshd: Sshd, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """paramiko would print tracebacks of its own."""
    refusal(lambda: ssh.dial(peer(sshd), home, as_name="near"))
    with FaultProxy(sshd.port) as proxy:
        proxy.cut_after(5, "down")
        lost = peer(sshd, url=f"ssh://127.0.0.1:{proxy.port}")
        refusal(lambda: ssh.dial(lost, home, as_name="near"))

    assert capfd.readouterr() == ("", "")


def test_the_users_identity_comes_from_ssh_config(sshd: Sshd, tmp_path: Path) -> None:
    """HostName, Port, User and IdentityFile by an alias; no key of spool's is needed."""
    mine = new_key(tmp_path / "mine" / "id")
    sshd.authorize(ECHO + mine)
    alias = f"Host Box\n HostName 127.0.0.1\n Port {sshd.port}\n User {sshd.user}\n IdentityAgent none\n"
    path = config(tmp_path, alias + f" IdentityFile {tmp_path}/mine/id")

    assert echoes(peer(sshd, url="ssh://Box", identity="user"), tmp_path / "none", ssh_config=path)


def test_a_key_with_a_passphrase_is_named_in_the_error(sshd: Sshd, tmp_path: Path) -> None:
    """Nobody is there to type it."""
    sshd.authorize(ECHO + new_key(tmp_path / "locked", passphrase="secret"))
    path = config(tmp_path, f"Host *\n IdentityAgent none\n IdentityFile {tmp_path}/locked")

    error = refusal(lambda: ssh.dial(peer(sshd, identity="user"), tmp_path, as_name="near", ssh_config=path))

    assert isinstance(error, AuthRefused)
    assert f"{tmp_path}/locked has a passphrase" in error.message


def test_the_users_agent_is_asked(sshd: Sshd, tmp_path: Path) -> None:
    """IdentityAgent names its socket; IdentitiesOnly and a public file pick one of its keys."""
    new_key(tmp_path / "other")
    sshd.authorize(ECHO + new_key(tmp_path / "mine"))
    with agent(tmp_path / "a", tmp_path / "other", tmp_path / "mine") as where:
        (tmp_path / "mine").unlink()
        asked = f"Host *\n IdentityAgent {where}\n IdentityFile {tmp_path}/mine\n IdentitiesOnly "
        for only, failed in (("no", 1), ("yes", 1)):
            path = config(tmp_path, asked + only)
            assert echoes(peer(sshd, identity="user"), tmp_path, ssh_config=path)
            assert failed == sshd.logged().count("Failed publickey")


def test_the_key_that_was_taken_is_offered_alone_from_then_on(sshd: Sshd, tmp_path: Path) -> None:
    """A host counts each key that it does not know; it must not see those at every login again."""
    (tmp_path / "run").mkdir()
    for name in ("one", "two"):
        new_key(tmp_path / name)
    sshd.authorize(ECHO + new_key(tmp_path / "mine"))
    files = "".join(f"\n IdentityFile {tmp_path}/{name}" for name in ("one", "two", "mine"))
    path = config(tmp_path, f"Host *\n IdentityAgent none{files}")
    for _ in range(3):
        assert echoes(peer(sshd, identity="user"), tmp_path, ssh_config=path)
        assert sshd.logged().count("Failed publickey") == 2


def test_a_key_that_is_taken_no_more_is_not_held_on_to(sshd: Sshd, tmp_path: Path) -> None:
    """One offer, refused; what the user does about it counts the next time."""
    (tmp_path / "run").mkdir()
    new_key(tmp_path / "one")
    sshd.authorize(ECHO + new_key(tmp_path / "mine"))
    path = config(tmp_path, f"Host *\n IdentityAgent none\n IdentityFile {tmp_path}/one")
    with path.open("a") as file:
        file.write(f" IdentityFile {tmp_path}/mine\n")
    user = peer(sshd, identity="user")
    assert echoes(user, tmp_path, ssh_config=path)
    (sshd.folder / "authorized_keys").write_text("")

    error = refusal(lambda: ssh.dial(user, tmp_path, as_name="near", ssh_config=path))

    assert isinstance(error, AuthRefused) and "1 key offered" in error.message
    assert sshd.logged().count("Failed publickey") == 2
    sshd.authorize(ECHO + (tmp_path / "one.pub").read_text())
    assert echoes(user, tmp_path, ssh_config=path)


def test_the_way_may_lead_through_two_jump_hosts(sshd: Sshd, tmp_path: Path, home: Path, public: str) -> None:
    """Each is an alias with its own user key; the peer gets spool's key only."""
    mine = new_key(tmp_path / "mine")
    sshd.authorize(ECHO + public)
    with Sshd(tmp_path / "j1") as first, Sshd(tmp_path / "j2") as second:
        for jump in (first, second):
            jump.authorize(mine)
        (tmp_path / "known_hosts").write_text(first.known_hosts + second.known_hosts)
        path = config(
            tmp_path,
            f"Host one\n HostName 127.0.0.1\n Port {first.port}\nHost two\n HostName 127.0.0.1\n"
            f" Port {second.port}\nHost box\n HostName 127.0.0.1\n Port {sshd.port}\n ProxyJump one,two\n"
            f"Host *\n IdentityAgent none\n IdentityFile {tmp_path}/mine",
        )
        box = peer(sshd, url=f"ssh://{sshd.user}@box")

        assert echoes(box, home, ssh_config=path)
        assert sshd.host_key == ssh.key_line(ssh.fetch_host_key(box, ssh_config=path))
        assert "Accepted publickey" in first.logged() and "Accepted publickey" in second.logged()
        second.restart_with_new_host_key()
        error = refusal(lambda: ssh.dial(box, home, as_name="near", ssh_config=path))
        assert f"127.0.0.1:{second.port} (two)" in error.message and "accepted was" in error.message


def test_a_jump_host_that_we_do_not_know_is_not_used(sshd: Sshd, tmp_path: Path, home: Path) -> None:
    """It would see who we are; it is as strict there as at the peer."""
    with Sshd(tmp_path / "jump") as jump:
        path = config(tmp_path, f"Host 127.0.0.1\n ProxyJump localhost:{jump.port}")
        error = refusal(lambda: ssh.dial(peer(sshd), home, as_name="near", ssh_config=path))

    assert isinstance(error, HostKeyUnknown) and f"localhost:{jump.port}" in error.message


def test_a_jump_host_that_cannot_go_on_says_where(
    sshd: Sshd, tmp_path: Path, home: Path, public: str
) -> None:
    """Without user keys the jump host gets spool's; the port behind it is closed."""
    sshd.authorize(public)
    (tmp_path / "known_hosts").write_text(sshd.known_hosts)
    target = free_port()
    path = config(
        tmp_path,
        f"Host 127.0.0.1\n IdentityAgent none\n IdentityFile none\nHost gone\n"
        f" HostName 127.0.0.1\n Port {target}\n ProxyJump 127.0.0.1:{sshd.port}",
    )

    error = refusal(lambda: ssh.dial(peer(sshd, url="ssh://gone"), home, as_name="near", ssh_config=path))

    assert isinstance(error, Unreachable) and f"127.0.0.1:{target} (gone)" in error.message


def test_a_name_that_does_not_resolve(home: Path) -> None:
    error = refusal(lambda: ssh.dial(Peer(name="x", url="ssh://no-such-host.invalid"), home, as_name="near"))

    assert isinstance(error, CannotResolve) and "no-such-host.invalid:22" in error.message


def test_a_closed_port_is_unreachable(home: Path) -> None:
    port = free_port()
    error = refusal(lambda: ssh.dial(Peer(name="x", url=f"ssh://127.0.0.1:{port}"), home, as_name="near"))

    assert isinstance(error, Unreachable) and f"127.0.0.1:{port}" in error.message


def test_a_host_that_takes_no_more_connections_is_unreachable(tmp_path: Path, home: Path) -> None:
    """MaxStartups, or a penalty: sshd hangs up before its banner. Trying later may help."""
    with contextlib.ExitStack() as stack:
        sshd = stack.enter_context(Sshd(tmp_path / "far", config="MaxStartups 1"))
        first = stack.enter_context(socket.create_connection(("127.0.0.1", sshd.port)))
        first.recv(1)
        error = refusal(lambda: ssh.dial(peer(sshd), home, as_name="near"))

    assert isinstance(error, Unreachable) and "MaxStartups" in error.hint and not error.stops


def test_remote_command_is_run_as_it_is_written(sshd: Sshd, home: Path, public: str) -> None:
    """By the far user's shell."""
    sshd.authorize(f"restrict {public}")
    far = peer(sshd, remote_command='echo "$((40 + 2))" here; exit 3')

    with contextlib.closing(ssh.dial(far, home, as_name="near")) as pipe:
        assert pipe.receive(100) == b"42 here\n"
        assert pipe.receive(100) == b""
        assert pipe.exit_status() == 3


def test_a_forced_command_sees_what_was_asked_for(sshd: Sshd, home: Path, public: str) -> None:
    """The line in authorized_keys wins over us."""
    sshd.authorize(f'restrict,command="echo \\"$SSH_ORIGINAL_COMMAND\\"" {public}')

    with contextlib.closing(ssh.dial(peer(sshd), home, as_name="near")) as pipe:
        assert ssh.remote_command("near") == pipe.receive(10_000).decode().strip()


def test_a_host_without_sessions_has_no_spool(tmp_path: Path, home: Path, public: str) -> None:
    """Logged in, and then nothing may be run."""
    with Sshd(tmp_path / "far", config="MaxSessions 0") as sshd:
        sshd.authorize(public)
        error = refusal(lambda: ssh.dial(peer(sshd), home, as_name="near"))

    assert isinstance(error, NoSpoolThere)


def answers(where: Path) -> bool:
    """Whether somebody listens there: the socket has its name a moment before."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(where)) == 0


@contextlib.contextmanager
def agent(where: Path, *keys: Path) -> Iterator[Path]:
    """A running ssh-agent that holds the keys."""
    require_sshd()
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(where)], stdout=subprocess.DEVNULL)
    try:
        assert soon(lambda: answers(where))
        env = {**os.environ, "SSH_AUTH_SOCK": str(where)}
        subprocess.run(["ssh-add", "-q", *map(str, keys)], env=env, check=True)
        yield where
    finally:
        running.terminate()
        running.wait(5)

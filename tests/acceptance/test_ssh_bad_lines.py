"""An ssh pipe on lines that delay, cut, stall and reset, and on one that changes its keys often."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import LinkLost, NoSpoolThere, SpoolError, TimedOut, Unreachable
from spool.transports import ssh
from spool.transports.base import Pipe
from tests.proxy import FaultProxy
from tests.sshd import Sshd, make_home
from tests.waiting import Background, raised_while_closing, soon

pytestmark = pytest.mark.timeout(20)

MEGABYTE = os.urandom(1_000_000)

Open = Callable[..., Pipe]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("near"))[0]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Sshd]:
    """An sshd that echoes what we send, and changes its keys after each megabyte."""
    with Sshd(tmp_path_factory.mktemp("far"), config="RekeyLimit 1M") as running:
        running.authorize('restrict,command="cat" ' + (home / "keys" / "id_ed25519.pub").read_text())
        yield running


@pytest.fixture
def open_pipe(sshd: Sshd, home: Path) -> Iterator[Open]:
    """Open a pipe through a port; whatever happened to it, no thread and no session stays."""
    threads = set(threading.enumerate())
    opened: list[Pipe] = []

    def start(port: int, connect_timeout_s: float = 10.0) -> Pipe:
        peer = Peer(
            name="far",
            url=f"ssh://{sshd.user}@127.0.0.1:{port}",
            host_key=sshd.host_key,
            connect_timeout_s=connect_timeout_s,
        )
        opened.append(ssh.dial(peer, home, as_name="near"))
        return opened[-1]

    yield start
    for pipe in opened:
        pipe.close()
    assert soon(lambda: set(threading.enumerate()) <= threads), threading.enumerate()
    assert soon(lambda: not sshd.sessions()), sshd.sessions()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97])
@pytest.mark.parametrize("how", ["cut", "stall"])
def test_a_bad_line_never_looks_like_a_refusal(sshd: Sshd, open_pipe: Open, how: str, share: float) -> None:
    """Wherever in the dialogue it fails: soon, and with an error that does not stop the peer."""
    with FaultProxy(sshd.port) as proxy:
        open_pipe(proxy.port).close()
        n_bytes = int(proxy.passed["down"] * share)
    with FaultProxy(sshd.port) as proxy:
        (proxy.cut_after if how == "cut" else proxy.stall_after)(n_bytes, "down")
        begun = time.monotonic()
        with pytest.raises(SpoolError) as caught:
            open_pipe(proxy.port, connect_timeout_s=0.7)

    assert time.monotonic() - begun < 3
    assert isinstance(caught.value, TimedOut if how == "stall" else Unreachable | NoSpoolThere)
    assert f"127.0.0.1:{proxy.port}" in caught.value.message


@pytest.mark.parametrize("what", ["send", "receive"])
def test_close_wakes_what_waits_on_a_dead_line(sshd: Sshd, open_pipe: Open, what: str) -> None:
    """No FIN, no RST, nothing: the line is silent; close still returns at once."""
    with FaultProxy(sshd.port) as proxy:
        pipe = open_pipe(proxy.port)
        proxy.stall()
        blocked = (lambda: pipe.send(bytes(40_000_000))) if what == "send" else (lambda: pipe.receive(1))

        assert isinstance(raised_while_closing(pipe, blocked), LinkLost)


@pytest.mark.parametrize("n_bytes", [1, 20_000, 300_000])
def test_a_cut_line_ends_both_directions(sshd: Sshd, open_pipe: Open, n_bytes: int) -> None:
    """Wherever it is cut: what came before is right, then LinkLost, and never a hang."""
    with FaultProxy(sshd.port) as proxy:
        pipe = open_pipe(proxy.port)
        proxy.cut_after(n_bytes, "down")
        sender = Background(lambda: pipe.send(MEGABYTE * 30))

        got = b""
        with pytest.raises(LinkLost):
            while piece := pipe.receive(65536):
                got += piece

        assert MEGABYTE.startswith(got)
        assert isinstance(sender.raised(), LinkLost)


def test_a_reset_is_a_lost_link(sshd: Sshd, open_pipe: Open) -> None:
    """RST, as from a firewall that forgot us."""
    with FaultProxy(sshd.port) as proxy:
        pipe = open_pipe(proxy.port)
        reader = Background(lambda: pipe.receive(1))
        proxy.reset()

        assert isinstance(reader.raised(), LinkLost)


def test_a_killed_sshd_session_is_a_lost_link_or_an_end(sshd: Sshd, open_pipe: Open) -> None:
    """The far machine takes the session away."""
    pipe = open_pipe(sshd.port)
    reader = Background(lambda: pipe.receive(1))
    sshd.kill_sessions()

    assert isinstance(reader.raised(), LinkLost | None)


def test_a_slow_line_changes_nothing_but_the_time(sshd: Sshd, open_pipe: Open) -> None:
    """20 ms each way: one round trip takes 40, and a megabyte comes whole."""
    with FaultProxy(sshd.port, latency_s=0.02) as proxy:
        pipe = open_pipe(proxy.port)
        begun = time.monotonic()
        pipe.send(b"x")
        pipe.receive(1)
        assert time.monotonic() - begun >= 0.04

        sender = Background(lambda: pipe.send(MEGABYTE))
        assert take(pipe, len(MEGABYTE)) == MEGABYTE
        assert sender.raised() is None
        assert proxy.passed["up"] > 1_000_000
        assert proxy.connections == 1


def test_new_keys_on_the_way_lose_nothing(sshd: Sshd, open_pipe: Open) -> None:
    """Old paramikos raced here (#822); ten times, with both directions full."""
    pipe = open_pipe(sshd.port)
    sender = Background(lambda: pipe.send(MEGABYTE * 10))

    assert take(pipe, 10 * len(MEGABYTE)) == MEGABYTE * 10
    assert sender.raised() is None


def take(pipe: Pipe, n_bytes: int) -> bytes:
    pieces: list[bytes] = []
    while n_bytes > 0 and (piece := pipe.receive(65536)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)

"""The proxy that breaks lines does exactly the breaking that it was asked for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import FaultProxy

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that sends back what comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def dial(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def test_a_cut_comes_after_exactly_so_many_bytes(echo: int) -> None:
    """Not one less, though more are on their way."""
    with FaultProxy(echo) as proxy, dial(proxy) as line:
        proxy.cut_after(1234, "down")
        line.sendall(bytes(100_000))

        assert len(read_all(line)) == 1234
        assert proxy.so_far("down") == 1234


def test_a_stall_holds_what_comes_until_it_is_resumed(echo: int) -> None:
    """No error and no end in between; new connections are taken as well."""
    with FaultProxy(echo) as proxy, dial(proxy) as line:
        proxy.stall()
        line.sendall(b"hello")
        with dial(proxy):
            line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.recv(1)
            proxy.resume()
            assert line.recv(5) == b"hello"


def test_a_reset_is_an_rst(echo: int) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as line:
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"
        proxy.reset()

        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_refusing_leaves_old_connections_alone(echo: int) -> None:
    with FaultProxy(echo) as proxy, dial(proxy) as line:
        line.sendall(b"a")
        assert line.recv(1) == b"a"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
        line.sendall(b"b")
        assert line.recv(1) == b"b"
        proxy.accept()
        with dial(proxy) as again:
            again.sendall(b"c")
            assert again.recv(1) == b"c"
        assert proxy.connections == 2


def test_latency_delays_and_does_not_throttle(echo: int) -> None:
    """A megabyte takes one round trip, not sixteen."""
    with FaultProxy(echo, latency_s=0.1) as proxy, dial(proxy) as line:
        begun = time.monotonic()
        threading.Thread(target=line.sendall, args=(bytes(1_000_000),), daemon=True).start()
        got = 0
        while got < 1_000_000:
            got += len(line.recv(65536))

        # Sixteen round trips would take 3.2 s.
        assert 0.2 <= time.monotonic() - begun < 3


def test_bandwidth_is_kept(echo: int) -> None:
    """Half a second for 100 kB at 200 kB a second, twice over as both directions are slow."""
    with FaultProxy(echo, bandwidth_bps=200_000) as proxy, dial(proxy) as line:
        begun = time.monotonic()
        line.sendall(bytes(100_000))
        line.shutdown(socket.SHUT_WR)

        assert len(read_all(line)) == 100_000
        assert time.monotonic() - begun >= 0.4


def read_all(line: socket.socket) -> bytes:
    got = b""
    while piece := line.recv(65536):
        got += piece
    return got


def _serve(server: socket.socket) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(line,), daemon=True).start()


def _echo(line: socket.socket) -> None:
    with line:
        try:
            while piece := line.recv(65536):
                line.sendall(piece)
        except OSError:
            return

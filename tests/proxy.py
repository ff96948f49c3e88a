"""A TCP proxy on loopback that delays, throttles, stalls, cuts and resets, for tests.

One thread turns the wheel; the test's thread changes the weather under the same lock.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final, Literal

Direction = Literal["up", "down"]  # up: from who connects to the target

CHUNK: Final = 64 * 1024
HOLD_BYTES: Final = 16 * 1024 * 1024  # held per direction; beyond that the sender feels it
DRAIN_S: Final = 0.3


class FaultProxy:
    """Carries every connection to `port` on to `target_port`: `with FaultProxy(sshd.port) as proxy`.

    Attributes:
        port: where to connect to.
        latency_s: how long each byte is on its way, in each direction; throughput is not limited.
        bandwidth_bps: bytes a second in each direction of each connection; 0 is no limit.
        passed: bytes delivered so far, by direction.
        connections: how many were taken so far.
    """

    def __init__(self, target_port: int, *, latency_s: float = 0.0, bandwidth_bps: float = 0.0) -> None:
        self.latency_s = latency_s
        self.bandwidth_bps = bandwidth_bps
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self.connections = 0
        self.port = 0
        self._target_port = target_port
        self._listener: socket.socket | None = None
        self._flows: list[_Flow] = []
        self._stranded: list[_Flow] = []
        self._dying: list[tuple[float, tuple[socket.socket, socket.socket]]] = []
        self._stalled = False
        self._stall_next = False  # what happens when nothing is left: a stall, or else a cut
        self._left: dict[Direction, int] = {}
        self._lock = threading.Lock()
        self._bell, self._knob = socket.socketpair()
        self._stopped = False
        self._thread = threading.Thread(target=self._turn, name="fault proxy", daemon=True)

    def __enter__(self) -> FaultProxy:
        self._bell.setblocking(False)
        self._knob.setblocking(False)
        self.accept()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopped = True
        self._ring()
        self._thread.join(5)
        self.refuse()
        for flow in (*self._flows, *self._stranded):
            flow.source.close()
        for _, pair in self._dying:
            _close(pair)
        self._bell.close()
        self._knob.close()

    def stall(self) -> None:
        """Deliver nothing more, and take connections and bytes all the same: no error, no end."""
        with self._lock:
            self._stalled = True

    def resume(self) -> None:
        """Deliver again, what was held first."""
        with self._lock:
            self._stalled = False
        self._ring()

    def strand(self) -> None:
        """Deliver nothing more on what stands, as a router that forgot it; new connections go on."""
        with self._lock:
            self._stranded += self._flows
            self._flows = []
        self._ring()

    def cut_after(self, n_bytes: int, direction: Direction) -> None:
        """End the connection on both sides once exactly `n_bytes` more have passed in a direction."""
        with self._lock:
            self._left[direction] = n_bytes
            self._stall_next = False
        self._ring()

    def stall_after(self, n_bytes: int, direction: Direction) -> None:
        """Stall once exactly `n_bytes` more have passed in a direction."""
        with self._lock:
            self._left[direction] = n_bytes
            self._stall_next = True
        self._ring()

    def reset(self) -> None:
        """Break every connection with RST on both sides, as a firewall or a crash does."""
        with self._lock:
            for flow in self._flows:
                flow.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                flow.source.close()
            self._flows.clear()
        self._ring()

    def refuse(self) -> None:
        """Refuse new connections; those that stand go on."""
        with self._lock:
            if self._listener is not None:
                with contextlib.suppress(OSError):
                    # Linux: a close alone leaves it listening while the other thread selects on it.
                    self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
        if not self._stopped:
            self._ring()

    def so_far(self, direction: Direction) -> int:
        """How many bytes were passed on; what somebody has received is counted."""
        with self._lock:
            return self.passed[direction]

    def accept(self) -> None:
        """Take connections (again), on the same port."""
        with self._lock:
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
                self._listener.setblocking(False)
                self.port = self._listener.getsockname()[1]
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._knob.send(b"x")

    def _turn(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    return
                wait_s = self._deliver(time.monotonic())
                readers: list[socket.socket] = [self._bell]
                readers += [self._listener] if self._listener is not None else []
                readers += [flow.source for flow in self._flows if flow.wants_to_read()]
                writers = [flow.sink for flow in self._flows if flow.blocked and not self._stalled]
            try:
                ready, _, _ = select.select(readers, writers, [], wait_s)
            except (OSError, ValueError):
                continue  # the test's thread closed one meanwhile
            with self._lock:
                self._take(set(ready))

    def _take(self, ready: set[socket.socket]) -> None:
        if self._bell in ready:
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(CHUNK)
        if self._listener is not None and self._listener in ready:
            self._open()
        due = time.monotonic() + self.latency_s
        for flow in self._flows:
            if flow.source in ready:
                flow.read(due)

    def _open(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listener.accept()
            self.connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
            except OSError:
                near.close()
                return
            for sock in (near, far):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._flows += [_Flow("up", near, far), _Flow("down", far, near)]

    def _deliver(self, now: float) -> float | None:
        """Pass on what is due; return how long nothing more can be, None for until something comes."""
        waits: list[float] = []
        for pair in [pair for since, pair in self._dying if now - since >= DRAIN_S]:
            _close(pair)
        self._dying = [(since, pair) for since, pair in self._dying if now - since < DRAIN_S]
        waits += [DRAIN_S] * bool(self._dying)
        for flow in list(self._flows):
            if flow not in self._flows or self._stalled:
                continue
            left = self._left.get(flow.direction)
            passed, wait_s = flow.write(now, self.bandwidth_bps, left)
            self.passed[flow.direction] += passed
            if left is not None:
                self._left[flow.direction] = left - passed
            used_up = left is not None and left == passed
            if used_up and self._stall_next:
                self._stalled = True
                self._left.pop(flow.direction)
            elif flow.broken or used_up:
                self._cut(flow, now)
            elif wait_s is not None:
                waits.append(wait_s)
        self._forget_finished()
        return min(waits, default=None)

    def _forget_finished(self) -> None:
        over = {flow.source for flow in self._flows if flow.finished}
        done = [flow for flow in self._flows if flow.source in over and flow.sink in over]
        for flow in done:
            self._flows.remove(flow)
            flow.source.close()

    def _cut(self, flow: _Flow, now: float) -> None:
        # Closed a little later than shut down: a close with bytes unread is a RST, which could
        # take away at the other end what has passed already.
        self._left.pop(flow.direction, None)
        self._flows = [other for other in self._flows if other.source not in (flow.source, flow.sink)]
        for sock in (flow.source, flow.sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
        self._dying.append((now, (flow.source, flow.sink)))


class _Flow:
    """One direction of one connection: bytes with the time at which they are due."""

    def __init__(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.blocked = False
        self.broken = False
        self.finished = False
        self._held: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._ended = False
        self._free_at = 0.0

    def wants_to_read(self) -> bool:
        """Whether there is room for more."""
        return not self._ended and self._bytes < HOLD_BYTES

    def read(self, due: float) -> None:
        """Take what came; it may be passed on at `due`."""
        try:
            piece = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.broken = True
            return
        self._ended = not piece
        self._held.append((due, piece))  # an empty piece is the end
        self._bytes += len(piece)

    def write(self, now: float, bandwidth_bps: float, left: int | None) -> tuple[int, float | None]:
        """Pass on what is due, at most `left` bytes; return how many, and when to come again."""
        passed = 0
        self.blocked = False
        while self._held and not self.broken and passed != left:
            due, piece = self._held[0]
            if (wait_s := max(due, self._free_at) - now) > 0:
                return passed, wait_s
            sent = self._send(piece[: _share(bandwidth_bps, left, passed)])
            if sent is None:
                break
            passed += sent
            self._bytes -= sent
            self._held.popleft()
            if sent < len(piece):
                self._held.appendleft((due, piece[sent:]))
            if bandwidth_bps:
                self._free_at = now + sent / bandwidth_bps
        return passed, None

    def _send(self, piece: bytes) -> int | None:
        try:
            if not piece:
                self.finished = True
                self.sink.shutdown(socket.SHUT_WR)
                return 0
            return self.sink.send(piece)
        except BlockingIOError:
            self.blocked = True
        except OSError:
            self.broken = True
        return None


def _share(bandwidth_bps: float, left: int | None, passed: int) -> int:
    """How many bytes may go at once: a twentieth of a second's worth, and no more than are left."""
    share = max(1, int(bandwidth_bps / 20)) if bandwidth_bps else CHUNK
    return share if left is None else min(share, left - passed)


def _close(pair: tuple[socket.socket, socket.socket]) -> None:
    for sock in pair:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            while sock.recv(CHUNK):
                pass
        sock.close()

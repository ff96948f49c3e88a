"""Many SFTP requests on their way at once over one channel: a round trip is paid once, not per file."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from spool.transports.sftp_packets import INIT, VERSION, Garbled, Reply, Request, decode, extensions

# What comes back for all that is on its way fits into the channel's window of 2 MiB: so the
# server can always answer, always reads on, and neither side waits for the other.
MAX_BYTES: Final = 1024 * 1024
MAX_REQUESTS: Final = 1024
MAX_PACKET: Final = 4 * 1024 * 1024
SEND_BYTES: Final = 64 * 1024
RECEIVE_BYTES: Final = 128 * 1024

T = TypeVar("T")
# A job asks for things side by side, gets every answer in the order asked, and so on.
Job = Generator[Sequence[Request], list[Reply], T]


class Wire(Protocol):
    """The bytes under it; both calls raise LinkError when that ends."""

    def send(self, packets: bytes) -> None:
        """Write all of it."""

    def receive(self, max_bytes: int) -> bytes:
        """At least one byte."""


@dataclass(slots=True)
class _Flight(Generic[T]):
    """The requests of one job that are on their way, or are to be."""

    place: int
    job: Job[T]
    replies: list[Reply | None]
    missing: int


class Pipeline:
    """SFTP version 3 over a wire, many jobs at once. One thread uses it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._buffer = bytearray()
        self._number = 0

    def hello(self) -> dict[bytes, bytes]:
        """Greet the server; return the extensions that it offers.

        Raises:
            Garbled: it speaks something else.
            LinkError: the wire ended.
        """
        self.wire.send(struct.pack(">IBI", 5, INIT, 3))
        kind, body = self.packet()
        if kind != VERSION:
            raise Garbled(f"a packet of kind {kind} in the place of a greeting")
        return extensions(body)

    def run(self, jobs: Iterable[Job[T]], *, at_once: int) -> list[T]:
        """Run jobs side by side, `at_once` of them; return what each of them returned, in order.

        Raises:
            Garbled: the server speaks nonsense.
            LinkError: the wire ended.
        """
        return _Run(self, iter(jobs), at_once).results()

    def next_number(self) -> int:
        """A number for the next request."""
        self._number = (self._number + 1) % 2**32
        return self._number

    def packet(self) -> tuple[int, bytes]:
        """Wait for the next packet: its kind and what follows that."""
        while not self.has_packet():
            self._buffer += self.wire.receive(RECEIVE_BYTES)
        size = self._size()
        kind, body = self._buffer[4], bytes(self._buffer[5 : 4 + size])
        del self._buffer[: 4 + size]
        return kind, body

    def has_packet(self) -> bool:
        """Whether a whole packet has come already."""
        return len(self._buffer) >= 5 and len(self._buffer) >= 4 + self._size()

    def _size(self) -> int:
        size = int.from_bytes(self._buffer[:4], "big")
        if not 5 <= size <= MAX_PACKET:
            raise Garbled(f"no packet, but {bytes(self._buffer[:40])!r}")
        return size


class _Run(Generic[T]):
    """One call of `Pipeline.run`."""

    def __init__(self, pipeline: Pipeline, jobs: Iterator[Job[T]], at_once: int) -> None:
        self._pipeline = pipeline
        self._jobs = enumerate(jobs)
        self._at_once = at_once
        self._active: dict[int, Job[T]] = {}
        self._results: dict[int, T] = {}
        self._ready: deque[tuple[_Flight[T], int, Request]] = deque()
        self._under_way: dict[int, tuple[_Flight[T], int, int]] = {}
        self._bytes = 0

    def results(self) -> list[T]:
        try:
            self._start()
            while self._active:
                self._send()
                self._receive()
                # What else has come is taken first: many small sends would cost more than they win.
                while self._active and self._pipeline.has_packet():
                    self._receive()
                self._start()
        finally:
            for job in self._active.values():
                job.close()
        return [self._results[place] for place in sorted(self._results)]

    def _start(self) -> None:
        while len(self._active) < self._at_once and (following := next(self._jobs, None)) is not None:
            place, job = following
            self._active[place] = job
            self._go_on(place, job, lambda job=job: next(job))  # type: ignore[misc]  # a lambda's default

    def _go_on(self, place: int, job: Job[T], step: Callable[[], Sequence[Request]]) -> None:
        try:
            requests = step()
        except StopIteration as end:
            self._results[place] = end.value
            del self._active[place]
            return
        flight = _Flight(place, job, [None] * len(requests), len(requests))
        self._ready.extend((flight, n, request) for n, request in enumerate(requests))

    def _send(self) -> None:
        packets = bytearray()
        while self._ready and len(self._under_way) < MAX_REQUESTS:
            flight, n, request = self._ready[0]
            cost = len(request.body) + request.reply_bytes
            if self._under_way and self._bytes + cost > MAX_BYTES:
                break
            self._ready.popleft()
            number = self._pipeline.next_number()
            self._under_way[number] = (flight, n, cost)
            self._bytes += cost
            packets += request.packet(number)
            if len(packets) >= SEND_BYTES:
                self._pipeline.wire.send(bytes(packets))
                packets.clear()
        if packets:
            self._pipeline.wire.send(bytes(packets))

    def _receive(self) -> None:
        kind, body = self._pipeline.packet()
        number = int.from_bytes(body[:4], "big")
        try:
            flight, n, cost = self._under_way.pop(number)
        except KeyError as exc:
            raise Garbled(f"an answer to {number}, which was not asked") from exc
        self._bytes -= cost
        flight.replies[n] = decode(kind, body[4:])
        flight.missing -= 1
        if not flight.missing:
            replies: list[Any] = flight.replies
            self._go_on(flight.place, flight.job, lambda: flight.job.send(replies))

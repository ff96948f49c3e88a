"""SFTP's packets and the pipeline over them, against a server that answers as it likes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from spool.errors import LinkLost
from spool.transports import sftp_packets as sftp
from spool.transports.sftp_packets import Data, Garbled, Names, Reply, Status, decode
from spool.transports.sftp_pipeline import MAX_BYTES, MAX_PACKET, MAX_REQUESTS, Job, Pipeline


class Server:
    """A wire whose far end answers each request by a function, or not at all."""

    def __init__(self, answer: Callable[[int, int, bytes], bytes]) -> None:
        self._answer = answer
        self._inward = bytearray()
        self._waiting: list[bytes] = []
        self.most_waiting = 0
        self.most_bytes = 0

    def send(self, packets: bytes) -> None:
        self._inward += packets
        while len(self._inward) >= 4:
            size = 4 + int.from_bytes(self._inward[:4], "big")
            kind, number = self._inward[4], int.from_bytes(self._inward[5:9], "big")
            self._waiting.append(self._answer(kind, number, bytes(self._inward[9:size])))
            del self._inward[:size]
        self.most_waiting = max(self.most_waiting, len(self._waiting))
        self.most_bytes = max(self.most_bytes, sum(map(len, self._waiting)))

    def receive(self, max_bytes: int) -> bytes:
        """The answers in the wrong order, since a server may do that."""
        if not self._waiting:
            raise LinkLost("the server has nothing to say")
        return self._waiting.pop()


def packet(kind: int, number: int, body: bytes) -> bytes:
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def yes(kind: int, number: int, body: bytes) -> bytes:
    return packet(sftp.STATUS, number, struct.pack(">I", sftp.OK))


def asks(*names: bytes) -> Job[list[Reply]]:
    """A job that asks for things one after the other."""
    replies: list[Reply] = []
    for name in names:
        replies += yield [sftp.lstat(name), sftp.remove(name)]
    return replies


def test_answers_in_any_order_reach_the_job_that_asked() -> None:
    """Each in the order that it asked in."""

    def echo(kind: int, number: int, body: bytes) -> bytes:
        return packet(sftp.DATA, number, sftp.text(bytes([kind]) + body[4:]))

    results = Pipeline(Server(echo)).run([asks(b"a", b"b"), asks(b"c")], at_once=2)

    lstat, remove = bytes([sftp.LSTAT]), bytes([sftp.REMOVE])
    assert results == [
        [Data(lstat + b"a"), Data(remove + b"a"), Data(lstat + b"b"), Data(remove + b"b")],
        [Data(lstat + b"c"), Data(remove + b"c")],
    ]


def test_what_is_on_its_way_is_bounded() -> None:
    """In requests and in bytes: the window of the channel must hold all the answers."""

    def reads(count: int) -> Job[int]:
        replies = yield [sftp.read(sftp.Handle(b"h"), 0, sftp.PIECE)] * count
        return len(replies)

    def piece(kind: int, number: int, body: bytes) -> bytes:
        return packet(sftp.DATA, number, sftp.text(bytes(sftp.PIECE)))

    small, large = Server(yes), Server(piece)

    assert Pipeline(large).run([reads(200)], at_once=1) == [200]
    assert large.most_bytes <= MAX_BYTES
    assert len(Pipeline(small).run([asks(b"x") for _ in range(2000)], at_once=5000)) == 2000
    assert small.most_waiting <= MAX_REQUESTS


def test_no_more_jobs_run_than_are_allowed() -> None:
    """Each may hold a file open over there."""
    running: set[int] = set()
    most: list[int] = []

    def job(n: int) -> Job[None]:
        running.add(n)
        most.append(len(running))
        yield [sftp.lstat(b"x")]
        running.discard(n)

    Pipeline(Server(yes)).run((job(n) for n in range(50)), at_once=7)

    assert max(most) == 7 and not running


@pytest.mark.parametrize(
    "answer",
    [
        packet(sftp.STATUS, 999, struct.pack(">I", 0)),
        packet(77, 1, b""),
        packet(sftp.DATA, 1, struct.pack(">I", 1000) + b"short"),
        packet(sftp.NAME, 1, struct.pack(">I", 2**32 - 1)),
        packet(sftp.ATTRS, 1, b"\xff"),
        struct.pack(">I", MAX_PACKET + 1) + b"x",
        struct.pack(">I", 2) + b"xx",
        b"Welcome to the far host!\n",
    ],
    ids=["unasked", "kind", "short data", "many names", "attrs", "too long", "too short", "a greeting"],
)
def test_nonsense_ends_the_exchange(answer: bytes) -> None:
    """Nothing is taken for an answer that is none, and no length is believed."""
    pipeline = Pipeline(Server(lambda kind, number, body: answer))

    with pytest.raises(Garbled):
        pipeline.run([asks(b"x")], at_once=1)


def test_jobs_are_ended_with_the_exchange() -> None:
    """What they hold is let go of."""
    ended: list[bool] = []

    def job() -> Iterator[list[sftp.Request]]:
        try:
            yield [sftp.lstat(b"x")]
        finally:
            ended.append(True)

    class Silent(Server):
        def receive(self, max_bytes: int) -> bytes:
            raise LinkLost("gone")

    with pytest.raises(LinkLost):
        Pipeline(Silent(yes)).run([job(), job()], at_once=2)  # type: ignore[list-item]  # they return nothing

    assert ended == [True, True]


def test_a_greeting_tells_the_extensions() -> None:
    """And one of an older version is refused."""

    def greeting(version: int) -> Callable[[int, int, bytes], bytes]:
        offered = sftp.text(sftp.FSYNC) + sftp.text(b"1")
        body = struct.pack(">I", version) + offered
        return lambda kind, number, _: struct.pack(">IB", len(body) + 1, sftp.VERSION) + body

    assert Pipeline(Server(greeting(3))).hello() == {sftp.FSYNC: b"1"}
    with pytest.raises(Garbled):
        Pipeline(Server(greeting(2))).hello()


def test_attributes_that_are_missing_are_not_made_up() -> None:
    """A server that does not say what a file is has nothing that we would open."""
    nothing = struct.pack(">I", 0)
    found = decode(sftp.NAME, struct.pack(">I", 1) + sftp.text(b"a") + sftp.text(b"-rw a") + nothing)

    assert isinstance(found, Names)
    [(name, attrs)] = found.found
    assert (name, attrs.mode, attrs.kind, attrs.size) == (b"a", None, "other", 0)
    assert decode(sftp.STATUS, struct.pack(">I", 4)) == Status(4, "")

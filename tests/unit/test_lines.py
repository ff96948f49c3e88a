"""The lines of a link, in whatever pieces they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spool.errors import LinkLost, NoSpoolThere
from spool.transports import frames
from spool.transports.lines import Bulk, Line, Lines

HELLO = frames.encode(frames.Hello(host="far"))


class Pieces:
    """A pipe that hands out what it was given, piece by piece, and then ends."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def receive(self, max_bytes: int) -> bytes:
        return next(self._pieces, b"")

    def send(self, frames: bytes) -> None:
        raise AssertionError("nothing is sent here")

    def close(self) -> None:
        """Nothing to close."""

    def last_words(self) -> str:
        return "that was all"

    def exit_status(self) -> int | None:
        return None


def lines(*pieces: bytes) -> Lines:
    return Lines(Pieces(iter(pieces)), "far", lambda: None)


def single(text: bytes) -> list[bytes]:
    return [text[n : n + 1] for n in range(len(text))]


def test_lines_are_whole_however_they_come() -> None:
    """In single bytes, or many in one piece with the hello."""
    rest = b"one\ntwo\n\nthree\n"
    for pieces in (single(HELLO + rest), [HELLO + rest], [HELLO[:5], HELLO[5:] + rest[:6], rest[6:]]):
        read = lines(*pieces)
        assert read.hello().host == "far"
        got: list[Line] = []
        with pytest.raises(LinkLost, match="that was all"):
            for batch in read.batches():
                got += batch
        assert got == [b"one", b"two", b"", b"three"]


def test_a_line_without_an_end_is_given_up() -> None:
    """At the limit of a frame, not at the end of the memory."""
    endless = lines(HELLO, *[b"x" * 1024 * 1024] * 9)
    endless.hello()
    with pytest.raises(LinkLost, match="a frame over"):
        for _ in endless.batches():
            pass


def test_noise_without_end_is_no_spool() -> None:
    """64 KiB of it are passed over."""
    with pytest.raises(NoSpoolThere):
        lines(*[b"noise\n" * 1000] * 20).hello()
    assert lines(b"Welcome!\n" * 100, b"prompt> " + HELLO).hello().host == "far"


def piece(data: bytes, at: int = 0) -> bytes:
    return frames.encode(frames.Piece("a" * 64, at, len(data))) + data


def read_all(read: Lines) -> list[Line]:
    got: list[Line] = []
    with pytest.raises(LinkLost, match="that was all"):
        for batch in read.batches():
            got += batch
    return got


def test_a_piece_of_a_file_may_hold_anything() -> None:
    """Line feeds, what looks like a frame, half a character: its length alone says where it ends."""
    evil = b"\n\n" + piece(b"x\n") + b'{"f":"bye"}\n\xff\xf0'
    for data in (evil, b"\n", b"x" * frames.MAX_PIECE):
        whole = HELLO + b"one\n" + piece(data) + b"two\n" + piece(data, 7) + piece(data, 9) + b"three\n"
        for size in (1, 3, 1000, len(whole)) if len(data) < 1000 else (4096, 100_000, len(whole)):
            read = lines(*[whole[at : at + size] for at in range(0, len(whole), size)])
            read.hello()
            first, bulk, second, third, fourth, last = read_all(read)
            assert (first, second, last) == (b"one", b"two", b"three")
            for each, at in ((bulk, 0), (third, 7), (fourth, 9)):
                assert isinstance(each, Bulk)
                assert (each.head.at, each.data) == (at, data)


def test_a_message_that_holds_a_piece_is_a_message() -> None:
    """What counts is how a line begins; within one it is text like any other."""
    item = b'{"f":"messages","n":1,"items":[{"t":1,"m":{"context":{"f":"piece","n":5}}}]}'
    read = lines(HELLO + item + b"\n" + piece(b"12345") + item + b"\n")
    read.hello()
    assert read_all(read) == [item, Bulk(frames.Piece("a" * 64, 0, 5), b"12345"), item]


@pytest.mark.parametrize("size", [0, frames.MAX_PIECE + 1, 2**62])
def test_the_length_of_a_piece_is_bounded(size: int) -> None:
    """A peer must not make us hold more than one piece for it."""
    head = b'{"f":"piece","sha256":"%s","at":0,"n":%d}\n' % (b"a" * 64, size)
    read = lines(HELLO, head, b"x" * 1000)
    read.hello()
    with pytest.raises(LinkLost, match="piece frame"):
        next(read.batches())


def test_a_piece_that_does_not_come_whole_is_not_taken() -> None:
    """The far side ended in the middle of it."""
    read = lines(HELLO, b"one\n" + piece(b"x" * 1000)[:-1])
    read.hello()
    assert read_all(read) == [b"one"]

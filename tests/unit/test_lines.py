"""The lines of a link, in whatever pieces they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spool.errors import LinkLost, NoSpoolThere
from spool.transports import frames
from spool.transports.lines import Lines

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
        got: list[bytes] = []
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

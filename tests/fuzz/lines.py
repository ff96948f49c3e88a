"""The reader of a link's lines, fed with whatever a far side may send, in pieces of any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from spool.errors import LinkError
from spool.transports import frames
from spool.transports.lines import NOISE_BYTES, Bulk, Line, Lines
from tests.fuzz.base import Plain

HELLO: Final = b'{"f":"hello","host":"far"}\n'
# What a shell prints first is cut off by its size as it comes, in whatever pieces.
_SAME: Final = NOISE_BYTES // 2
_OURS: Final = re.compile(r"far: ([a-z ]+)")


class Spout:
    """A pipe that hands out its bytes so many at a time, and then ends."""

    def __init__(self, raw: bytes, size: int) -> None:
        self._pieces = (raw[at : at + size] for at in range(0, len(raw), size))

    def receive(self, max_bytes: int) -> bytes:
        """The next bytes."""
        return next(self._pieces, b"")

    def send(self, frames: bytes) -> None:
        """Nothing is answered."""

    def close(self) -> None:
        """Nothing to close."""

    def last_words(self) -> str:
        """What a far command said."""
        return "that was all"

    def exit_status(self) -> int | None:
        """Unknown."""
        return None


def target() -> Plain:
    """Bytes of a few times their number are held: the rest, the lines, the frames made of them."""
    return Plain(read, most_bytes=64 * 1024, grows=64, fixed=1024 * 1024)


def read(raw: bytes) -> str:
    """Once with a hello before them, so that they are frames, and once as the very first bytes."""
    behind = _both_ways(HELLO + raw)
    first = _both_ways(raw)
    return f"{first}/{behind}"


def _both_ways(raw: bytes) -> str:
    whole, lines = _drain(raw, 256 * 1024)
    if len(raw) < _SAME:
        size = 1 + len(raw) % 7
        word, others = _drain(raw, size)
        # Before a piece that is none, what came in one go with it may not be read any more.
        same = min(len(lines), len(others))
        alike = word == whole if len(lines) == len(others) else word.split()[0] == whole.split()[0]
        assert alike and lines[:same] == others[:same], f"in pieces of {size} bytes it reads otherwise"
        assert len(lines) <= len(others), "more is read the more comes at once"
    _nothing_is_lost(raw, lines)
    return whole


def _drain(raw: bytes, size: int) -> tuple[str, list[Line]]:
    """The word for the error it ended with, and the lines before it."""
    reader, got = Lines(Spout(raw, size), "far", lambda: None), list[Line]()
    try:
        reader.hello()
        for line in _each(reader):
            got.append(line)
            if not isinstance(line, Bulk) and (frame := reader.decode(line)) is not None:
                _same_again(frame)
    except LinkError as exc:
        assert len(str(exc)) < 1000 + len("that was all"), "an error as long as what was sent"
        return _word(exc), got
    raise AssertionError("an end that is no error")


def _word(exc: LinkError) -> str:
    """The kind of an error, and of its own words those that do not quote."""
    found = _OURS.match(exc.message)
    return f"{exc.kind} {found[1]}" if found else exc.kind


def _each(reader: Lines) -> Iterator[Line]:
    for batch in reader.batches():
        yield from batch


def _nothing_is_lost(raw: bytes, lines: list[Line]) -> None:
    """Every line is a piece of what came, in order, and none stands twice."""
    at = 0
    for line in lines:
        piece = line.data if isinstance(line, Bulk) else line
        at = raw.find(piece, at)
        assert at >= 0, f"made up: {piece[:80]!r}"
        at += len(piece)


def _same_again(frame: frames.Frame) -> None:
    text = frames.encode(frame)
    assert text.endswith(b"\n") and text.count(b"\n") == 1, f"not one line: {text[:80]!r}"
    assert frames.decode(text) == frame, f"another frame when written: {text[:80]!r}"
    if isinstance(frame, frames.Messages):
        # Any bytes at all: they are looked at when they are read as a message.
        assert all(isinstance(frames.raw_of(item), bytes) for item in frame.items)

"""The lines of a link as they come in, and the hello that stands first among them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from spool.errors import FarDiskFull, LinkError, LinkLost, NoSpoolThere, StoreFull, kinds
from spool.transports import frames
from spool.transports.base import Pipe
from spool.transports.lastwords import LastWords

NOISE_BYTES: Final = 64 * 1024
NOISE_TOLD: Final = 400
RECEIVE_BYTES: Final = 256 * 1024
GATHER: Final = 512


class Bulk(NamedTuple):
    """The head of a piece of a file, and its bytes."""

    head: frames.Piece
    data: bytes


Line = bytes | Bulk

# Wherever it begins: what a shell prints before it need not end with a line feed.
_GREETING: Final = re.compile(rb'\{"f":"(?:hello|bye)"')


class Lines:
    """Reads one pipe, in one thread; `heard` is called for whatever comes."""

    def __init__(self, pipe: Pipe, peer: str, heard: Callable[[], None]) -> None:
        self._pipe = pipe
        self._peer = peer
        self._heard = heard
        self._rest = b""
        self._noise = LastWords()

    def hello(self) -> frames.Hello:
        """Wait for the far hello, passing over what a shell may print before it.

        Raises:
            LinkError: what the far side's bye says; NoSpoolThere where it ends without a hello.
        """
        noise = 0
        while True:
            while b"\n" not in self._rest:
                # What stands behind a hello is no noise: much mail may come with it.
                if noise + len(self._rest) > NOISE_BYTES or not self._receive():
                    raise self.nobody_there()
            line, _, self._rest = self._rest.partition(b"\n")
            if (greeting := _GREETING.search(line)) is not None:
                match self.decode(line[greeting.start() :]):
                    case frames.Hello() as hello:
                        return hello
                    case frames.Bye(kind=kind, why=why):
                        # A far store that cannot be used is no spool there, for us.
                        raise from_bye(kind, why, self._peer, otherwise=NoSpoolThere)
            noise += len(line) + 1
            self._noise.feed(line + b"\n")

    def batches(self) -> Iterator[list[Line]]:
        """Whole lines as they come, gathered so that one commit can serve many frames.

        Raises:
            LinkLost: the far side ended, or a line has no end.
        """
        while True:
            lines, rest, wanted = self._cut(self._rest)
            for start in range(0, len(lines), GATHER):
                yield lines[start : start + GATHER]
            del lines
            self._rest = self._whole(rest, wanted)

    def _cut(self, got: bytes) -> tuple[list[Line], bytes, int]:
        """Whole lines, what is left, and how long that must be to be one; 0: until a line feed."""
        if frames.PIECE not in got:
            *lines, rest = got.split(b"\n")
            return list(lines), rest, 0
        found: list[Line] = []
        start = 0
        while (end := got.find(b"\n", start)) >= 0:
            line = got[start:end]
            if line.startswith(frames.PIECE):
                piece = self._piece(line)
                after = end + 1 + piece.n
                if len(got) < after:
                    return found, got[start:], after - start
                found.append(Bulk(piece, got[end + 1 : after]))
                start = after
            else:
                found.append(line)
                start = end + 1
        return found, got[start:], 0

    def _piece(self, line: bytes) -> frames.Piece:
        # It must be read before anything behind it: what it says of its length is checked there.
        match self.decode(line):
            case frames.Piece() as piece:
                return piece
            case _:
                raise LinkLost(f"{self._peer}: a piece that is none: {line[:80]!r}")

    def _whole(self, rest: bytes, wanted: int) -> bytes:
        """What ends with at least one line feed, or has the length that is wanted; each byte is
        looked at once, however they come."""
        # In one piece that grows, not in a list: a far side may send single bytes.
        got = bytearray(rest)
        while True:
            piece = self._hear()
            got += piece
            if not piece:
                words = self._pipe.last_words()
                raise LinkLost(f"{self._peer}: the far side ended" + (f": {words}" if words else ""))
            if wanted:
                if len(got) >= wanted:
                    return bytes(got)
            elif b"\n" in piece:
                return bytes(got)
            if len(got) > frames.MAX_FRAME:
                raise LinkLost(f"{self._peer}: a frame over {frames.MAX_FRAME:,} bytes")

    def decode(self, line: bytes) -> frames.Frame | None:
        """Read one line; None for a frame of a kind this version does not know. Raises LinkLost."""
        try:
            return frames.decode(line)
        except frames.BadFrame as exc:
            raise LinkLost(f"{self._peer}: {exc}") from exc

    def nobody_there(self) -> LinkError:
        """The error of a far side that said no hello, with what it said instead."""
        # A login that is none says so on stdout.
        said = [self._pipe.last_words(), self._noise.text()[-NOISE_TOLD:]]
        words = "; ".join(filter(None, said)) or "it ended without a word"
        return NoSpoolThere(
            f"{self._peer}: no spool answered: {words}",
            hint=f"`spool peer check {self._peer}` says what is missing",
        )

    def _receive(self) -> bool:
        got = self._hear()
        self._rest += got
        return bool(got)

    def _hear(self) -> bytes:
        got = self._pipe.receive(RECEIVE_BYTES)
        self._heard()
        return got


def from_bye(kind: str, why: str, peer: str, *, otherwise: type[LinkError] = LinkLost) -> LinkError:
    """The error that a far side's bye stands for."""
    cls = FarDiskFull if kind == StoreFull.kind else kinds().get(kind, otherwise)
    if not issubclass(cls, LinkError):
        cls = otherwise
    return cls(f"{peer} said: {why or 'bye'}"[:500])

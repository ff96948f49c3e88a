"""A look at the far spool: its hello, taken without a link, so that a live link stays as it is."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from spool.errors import FarDiskFull, LinkError, LinkLost, NoSpoolThere, StoreFull, TimedOut, kinds
from spool.transports import frames
from spool.transports.base import Pipe
from spool.transports.lastwords import LastWords

NOISE_BYTES: Final = 64 * 1024
NOISE_TOLD: Final = 400
READ_BYTES: Final = 4096
# Wherever it begins: what a shell prints before it need not end with a line feed.
_GREETING: Final = re.compile(rb'\{"f":"(?:hello|bye)"')


class Heard(NamedTuple):
    """What the far spool said first; `ahead_s` is its clock against ours, late by the way here."""

    hello: frames.Hello
    ahead_s: float


def probe(pipe: Pipe, *, peer: str, timeout_s: float, now: Callable[[], float]) -> Heard:
    """Read the far hello, say bye, and close the pipe. We send no hello: nothing is taken over.

    Raises:
        NoSpoolThere: it ended without one; its last words are in the message.
        TimedOut: none came in time.
        LinkError: of the kind that the far side's bye names.
    """
    late = threading.Event()

    def give_up() -> None:
        late.set()
        pipe.close()

    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        hello = _hello(pipe, peer)
        ahead_s = hello.clock - now()
        with contextlib.suppress(LinkLost):
            pipe.send(frames.encode(frames.Bye()))
        return Heard(hello, ahead_s)
    except LinkLost as exc:
        if late.is_set():
            raise TimedOut(f"{peer}: no hello within {timeout_s:.0f} s") from exc
        raise
    finally:
        timer.cancel()
        pipe.close()


def _hello(pipe: Pipe, peer: str) -> frames.Hello:
    """The first hello or bye; what a far shell prints before it is passed over."""
    noise = 0
    rest = b""
    printed = LastWords()
    while noise + len(rest) <= NOISE_BYTES:
        if b"\n" not in rest:
            got = pipe.receive(READ_BYTES)
            if not got:
                break
            rest += got
            continue
        line, _, rest = rest.partition(b"\n")
        noise += len(line) + 1
        printed.feed(line + b"\n")
        match _frame(line):
            case frames.Hello() as hello:
                return hello
            case frames.Bye(kind=kind, why=why):
                raise _meant(kind)(f"{peer} said: {why or 'bye'}"[:500])
    # A login that is none says so on stdout.
    said = filter(None, [pipe.last_words(), printed.text()[-NOISE_TOLD:]])
    words = "; ".join(said) or "it ended without a word"
    raise NoSpoolThere(f"{peer}: no spool answered: {words}")


def _frame(line: bytes) -> frames.Frame | None:
    if (greeting := _GREETING.search(line)) is None:
        return None
    try:
        return frames.decode(line[greeting.start() :])
    except frames.BadFrame as exc:
        raise LinkLost(f"the far side speaks another protocol: {exc}") from exc


def _meant(kind: str) -> type[LinkError]:
    """As a link takes it: a far store that cannot be used is no spool there, for us."""
    if kind == StoreFull.kind:
        return FarDiskFull
    found = kinds().get(kind, NoSpoolThere)
    return found if issubclass(found, LinkError) else NoSpoolThere

"""A link of this host whose far side says what the input says, over a real store, with its real threads."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from spool import views
from spool.api import Spool
from spool.clock import Clock
from spool.errors import BadMessage, LinkError, SpoolError, TooLarge
from spool.gate import Gate
from spool.inbox import Arrival
from spool.message import parse
from spool.store.base import Tx
from spool.store.sqlite_ledger import QUARANTINE_ROWS
from spool.transports.base import Accepted, Deferred, Outcome, Refused
from spool.transports.link import Link
from tests.desk import arrive, make_home
from tests.fuzz.ground import NOW, Ground, Place, logged, spool_of

HELLO: Final = b'{"f":"hello","host":"cloud","features":["acks","query","echo","attachments"],"clock":1.0}\n'
PEERS: Final = """
[peers.cloud]
agents = ["cloud-*"]
via = ["far-*"]

[peers.desk]
agents = ["desk-*"]
"""
ENCLOSED: Final = b"what is enclosed"
# A frame of a kind that nobody knows; behind it the far side lets this one finish what it is at.
PAUSE: Final = b'{"f":"pause"}\n'
_PAUSE_S: Final = 0.03
_PAUSES: Final = 4
_SOON_S: Final = 20.0


class Far:
    """A far side that says hello, waits until our mail came, says its piece and ends."""

    def __init__(self, raw: bytes) -> None:
        self._pieces = [HELLO, *(piece for piece in raw.split(PAUSE, _PAUSES) if piece)]
        self._mail = threading.Event()
        self._closed = threading.Event()

    def receive(self, max_bytes: int) -> bytes:
        """What it says next; nothing once it was closed."""
        if self._pieces and self._pieces[0] is not HELLO:
            if self._mail.is_set():
                self._closed.wait(_PAUSE_S)
            self._mail.wait(_SOON_S)
        return self._pieces.pop(0) if self._pieces and not self._closed.is_set() else b""

    def send(self, frames: bytes) -> None:
        """Take what is sent to it."""
        if b'{"f":"messages"' in frames:
            self._mail.set()

    def close(self) -> None:
        """Say no more."""
        self._closed.set()
        self._mail.set()

    def last_words(self) -> str:
        """It says nothing more."""
        return ""

    def exit_status(self) -> int | None:
        """Unknown."""
        return None


class Watched(Gate):
    """A gate that looks at the disk before any answer is given."""

    place: Place
    words: set[str]

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """As the gate's; what an outcome says must be so."""
        outcomes = super().accept(arrivals)
        most_bytes = self.place.settings.config.host.max_message_bytes
        with self.place.store.read() as tx:
            kept = {row.raw for row in tx.ledger.quarantined()}
            for arrival, outcome in zip(arrivals, outcomes, strict=True):
                self.words.add(type(outcome).__name__)
                if isinstance(outcome, Refused):
                    # Where it is full the rest is refused as well, and its sender told.
                    known = len(kept) >= QUARANTINE_ROWS or arrival.raw[:most_bytes] in kept
                    assert known or _is_readable(arrival, most_bytes), "gone in silence"
                _is_so(tx, arrival, outcome, most_bytes)
        return outcomes


class Linked:
    """The target."""

    most_bytes = 64 * 1024

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def __call__(self, raw: bytes) -> str:
        before = set(threading.enumerate())
        with self._ground.fresh() as place:
            word = _run(raw, place)
            for thread in set(threading.enumerate()) - before:
                thread.join(_SOON_S)
                assert not thread.is_alive(), f"{thread.name} goes on without its link"
            _files_are_themselves(place.home)
            with spool_of(place) as spool:
                _can_be_shown(spool)
        return word

    def memory(self, size: int) -> int:
        """The store's pages and the threads' buffers, beside what a frame becomes."""
        return 24 * 1024 * 1024 + 200 * size


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Linked]:
    """The link of a host that has mail to send, an acknowledgement and a file."""
    first = make_home(scratch / "first", "me", peers=PEERS)
    (scratch / "enclosed.txt").write_bytes(ENCLOSED)
    with Spool(first, agent="me", clock=Clock(lambda: NOW, time.monotonic)) as spool:
        spool.send("cloud-1", subject="one", id="sent-1", requires_response=True)
        spool.send("cloud-1", subject="two", id="sent-2", attach=[scratch / "enclosed.txt"])
        arrive(spool, now=NOW)
        spool.done(["msg-in"])
    with logged(scratch / "logs"):
        yield Linked(Ground(scratch, first))


def _run(raw: bytes, place: Place) -> str:
    gate = Watched(place.store, place.settings, "cloud", clock=place.clock, token="t", version="0")
    gate.place, gate.words = place, set()
    try:
        Link(Far(raw), gate, dialled=False).run()
    except LinkError as exc:
        assert "a defect of this side" not in exc.message, exc
        assert len(str(exc)) < 2000, "an error as long as what was sent"
        return "/".join([exc.kind, *sorted(gate.words)])
    raise AssertionError("an end that is no error")


def _is_so(tx: Tx, arrival: Arrival, outcome: Outcome, most_bytes: int) -> None:
    match outcome:
        case Accepted(again=again):
            message = parse(arrival.raw, filled=arrival.filled, max_bytes=most_bytes)
            row = tx.inbox.exact(message.id, message.sender) or tx.outbox.exact(message.id, message.sender)
            assert row is not None, "accepted, and nowhere"
            assert row.digest == message.digest, "accepted, and something else is here"
            assert again or row.raw == arrival.raw, "stored otherwise than it came"
        case Refused(reason=reason):
            assert reason, "refused without a reason"
        case Deferred(reason=reason):
            assert reason, "deferred without a reason"
        case _:
            raise AssertionError(f"no answer to give: {outcome}")


def _is_readable(arrival: Arrival, most_bytes: int) -> bool:
    """Whether its sender's host can tell which message was refused: that one keeps it, with the reason."""
    try:
        parse(arrival.raw, filled=arrival.filled, max_bytes=most_bytes)
    except (BadMessage, TooLarge):
        return False
    return True


def _files_are_themselves(home: Path) -> None:
    for path in (home / "attachments").iterdir():
        if len(path.name) == 64:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, "a file that is another"


def _can_be_shown(spool: Spool) -> None:
    """Whatever a peer says ends up before somebody's eyes: that must not fail either."""
    for row in spool.inbox(agent="me"):
        views.letter(row, now=NOW)
    for id in ("sent-1", "sent-2", "msg-in"):
        views.trace(spool, id)
    with contextlib.suppress(SpoolError):
        spool.search("hello")

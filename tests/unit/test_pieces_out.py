"""How a link sends files: no more ahead than it may, the most urgent first, none that nobody awaits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spool.api import Spool
from spool.clock import Clock
from spool.errors import LinkLost
from spool.folder import Folder
from spool.gate import Gate
from spool.settings import Settings
from spool.transports import frames
from spool.transports.pieces_out import LEAST_BYTES, MOST_BYTES, PIECE_BYTES, PiecesOut
from tests.desk import Turned, make_home

MB = 1024 * 1024


class Line:
    """A peer over a line of some speed: what was sent is answered when its time has come."""

    def __init__(self, out: PiecesOut, turned: Turned, *, bps: float, delay_s: float) -> None:
        self.out = out
        self.turned = turned
        self.most_ahead = 0
        self.worst_s = 0.0
        self.taken = 0
        self._bps = bps
        self.delay_s = delay_s
        self._free_at = turned.at
        self._coming: list[tuple[float, float, int]] = []

    def run(self, sha256: str, size: int) -> None:
        """Carry the file until all but its end is there."""
        taken = self.taken
        while taken + PIECE_BYTES < size:
            while (piece := self.out.next()) is not None:
                head, _, data = piece.partition(b"\n")
                end = msgspec.json.decode(head, type=frames.Piece).at + len(data)
                self._free_at = max(self._free_at, self.turned.at) + len(piece) / self._bps
                self._coming.append((self._free_at + self.delay_s, self.turned.at, end))
                self.most_ahead = max(self.most_ahead, end - taken)
            due, sent, taken = self._coming.pop(0)
            self.turned.at = max(self.turned.at, due)
            if taken > size // 2:
                self.worst_s = max(self.worst_s, due - sent)
            self.out.told(frames.Have(sha256, taken))
        self.taken = taken


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, turned: Turned) -> Iterator[Spool]:
    with Spool(make_home(tmp_path, "me"), clock=Clock(turned, turned)) as made:
        yield made


@pytest.fixture
def out(spool: Spool, turned: Turned) -> PiecesOut:
    """The sending side of a link to `cloud`, which takes files."""
    clock = Clock(turned, turned)
    gate = Gate(
        spool.store, Settings(spool.home, spool.store, clock), "cloud", clock=clock, token="t", version="1"
    )
    gate.arrived(frames.Hello(host="far", features=["attachments"]), dialled=True)
    return PiecesOut(gate)


def send(spool: Spool, folder: Path, size: int, *, priority: str = "P2") -> tuple[str, str]:
    """A message with a file that waits for `cloud`: its id, and the file's SHA-256."""
    path = folder / "file"
    path.write_bytes(priority.encode() + b"x" * (size - 2))
    id = spool.send("cloud-1", subject="Look", attach=[path], priority=priority)
    return id, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("bps", "delay_s", "most_s"),
    [(100 * MB, 0.0005, 0.05), (10 * MB, 0.05, 0.2), (MB, 0.01, 0.2), (125_000, 0.05, 0.6)],
)
def test_no_more_is_ahead_than_mail_can_wait_for(
    spool: Spool, out: PiecesOut, turned: Turned, tmp_path: Path, bps: float, delay_s: float, most_s: float
) -> None:
    """At most 1 MB, and on a slow line so little that a message goes within a moment."""
    _, sha256 = send(spool, tmp_path, 8 * MB)
    out.look()
    out.told(frames.Have(sha256, 0))
    line = Line(out, turned, bps=bps, delay_s=delay_s)
    began = turned.at
    line.run(sha256, 8 * MB)

    assert line.most_ahead <= MOST_BYTES
    assert line.worst_s <= most_s
    assert 8 * MB / (turned.at - began) >= 0.7 * min(bps, LEAST_BYTES / delay_s), "the line is used"


def test_a_way_that_became_longer_is_used_again(
    spool: Spool, out: PiecesOut, turned: Turned, tmp_path: Path
) -> None:
    """A link may stand for days, and what was quick on another way is no measure for this one."""
    _, sha256 = send(spool, tmp_path, 24 * MB)
    out.look()
    out.told(frames.Have(sha256, 0))
    line = Line(out, turned, bps=10 * MB, delay_s=0.01)
    line.run(sha256, 4 * MB)
    line.delay_s = 0.3
    began = turned.at
    line.run(sha256, 24 * MB)
    assert turned.at - began < 110.0
    assert line.most_ahead <= MOST_BYTES


def test_nothing_is_sent_before_it_is_asked_for(spool: Spool, out: PiecesOut, tmp_path: Path) -> None:
    """Much of it may be there: the answer to the offer says from where on."""
    _, sha256 = send(spool, tmp_path, 300_000)
    assert out.look() == [frames.Offer(sha256, 300_000)]
    assert not out.may_send() and out.next() is None
    assert out.look() == [], "it is offered once"

    out.told(frames.Have(sha256, 299_000))
    piece = out.next()
    assert piece is not None and b'"at":299000,"n":1000}\n' in piece
    assert out.next() is None


def test_the_most_urgent_file_goes_first(spool: Spool, out: PiecesOut, tmp_path: Path) -> None:
    """Also before one that is half there."""
    _, calm = send(spool, tmp_path, MB)
    out.look()
    out.told(frames.Have(calm, 0))
    assert calm.encode() in (out.next() or b"")
    _, urgent = send(spool, tmp_path, MB, priority="P0")
    assert out.look() == [frames.Offer(urgent, MB)]
    out.told(frames.Have(urgent, 0))
    assert urgent.encode() in (out.next() or b"")


def test_a_far_end_that_says_no_more_is_asked_again(
    spool: Spool, out: PiecesOut, turned: Turned, tmp_path: Path
) -> None:
    """It may have forgotten the file; whatever it has, its answer says so."""
    _, sha256 = send(spool, tmp_path, MB)
    assert len(out.look()) == 1
    out.told(frames.Have(sha256, 0))
    assert out.next() is not None
    turned.at += 299
    assert out.look() == []
    turned.at += 2
    assert out.look() == [frames.Offer(sha256, MB)]
    out.told(frames.Have(sha256, 1000))
    assert b'"at":1000,' in (out.next() or b"")


def test_a_file_that_nobody_waits_for_any_more_is_let_go(
    spool: Spool, out: PiecesOut, tmp_path: Path
) -> None:
    """Its message was taken back."""
    id, sha256 = send(spool, tmp_path, MB)
    out.look()
    out.told(frames.Have(sha256, 0))
    assert out.next() is not None and out.is_busy
    spool.cancel(id)
    assert out.look() == []
    assert not out.is_busy and out.next() is None
    assert not out.told(frames.Have(sha256, 64 * 1024)), "a late word changes nothing"


def test_a_file_that_is_gone_here_ends_its_message(spool: Spool, out: PiecesOut, tmp_path: Path) -> None:
    """Removed or cut short by somebody: with the reason, at once."""
    for spoil in (lambda path: path.unlink(), lambda path: path.write_bytes(b"short")):
        id, sha256 = send(spool, tmp_path, MB)
        spoil(Folder(spool.home).path(sha256))
        out.look()
        out.told(frames.Have(sha256, 0))
        assert out.next() is None
        assert spool.sent(id).state == "dead" and "attachment" in str(spool.sent(id).reason)
        Folder(spool.home).remove(sha256)


def test_an_answer_of_a_newer_version_puts_it_off(spool: Spool, out: PiecesOut, tmp_path: Path) -> None:
    """Neither there nor dead."""
    id, sha256 = send(spool, tmp_path, MB)
    out.look()
    assert out.told(frames.Have(sha256, 0, "pondered", "hm"))
    assert spool.state(id) == "queued" and "pondered" in str(spool.sent(id).reason)


def test_more_than_there_is_cannot_be_there(spool: Spool, out: PiecesOut, tmp_path: Path) -> None:
    """A far side that says so means another file, or harm."""
    _, sha256 = send(spool, tmp_path, MB)
    out.look()
    with pytest.raises(LinkLost, match="more of a file than there is"):
        out.told(frames.Have(sha256, MB + 1))

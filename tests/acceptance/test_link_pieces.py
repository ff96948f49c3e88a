"""The exchange of files as a far end speaks it: what it says to what it hears, from peers good and bad."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool.folder import Folder
from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, hosts, until
from tests.mail import rows

pytestmark = pytest.mark.timeout(60)

KB = 1024


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Host]:
    """A host that takes mail of `near`, and 1 MB of files."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        config = far.home / "spool.toml"
        config.write_text(config.read_text() + "attachments_mb = 1\n")
        far.peer("near", agents=["nia"])
        yield far


class Near(Dialogue):
    """The dialler's end, with files."""

    def hello(self, *features: str) -> None:
        self.say(f="hello", host="near", features=list(features or ("attachments",)))
        self.expect("hello")

    def offer(self, content: bytes, **more: Any) -> dict[str, Any]:
        self.say(**{"f": "offer", "sha256": sha256(content), "bytes": len(content), **more})
        return self.expect("have")

    def piece(self, content: bytes, at: int, end: int, **more: Any) -> None:
        head = {"f": "piece", "sha256": sha256(content), "at": at, "n": end - at, **more}
        self.write(msgspec.json.encode(head) + b"\n" + content[at:end])

    def whole(self, content: bytes, within_s: float = 10.0) -> dict[str, Any]:
        """The word that it is there, after those on how far it is."""
        while (have := self.expect("have", within_s))["bytes"] < len(content) and not have.get("r"):
            pass
        return have

    def take_piece(self) -> bytes:
        """The bytes of the next piece."""
        size = self.expect("piece")["n"]
        while len(self._rest) < size:
            self._rest += self._more(10.0, "bytes")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def dial(far: Host) -> Near:
    return Near(far.serve_command("near"), env=ENV)


def kept(far: Host) -> dict[str, int]:
    return Folder(far.home).found()


def named(content: bytes, name: str = "data") -> dict[str, Any]:
    return {"name": name, "bytes": len(content), "sha256": sha256(content)}


def test_a_file_and_then_its_message(far: Host) -> None:
    """Offered, brought in pieces with line feeds and braces in them, checked; then the message is taken."""
    content = b'\n{"f":"piece",\n\x00\xff' * 20_000
    with dial(far) as line:
        line.hello()
        assert line.offer(content) == {"f": "have", "sha256": sha256(content), "bytes": 0}
        item = {**line.item("nia", "fay", attachments=[named(content)]), "a": True}
        line.say(f="messages", n=1, items=[item])
        assert line.expect("results")["items"][0]["r"] == "deferred"

        for at in range(0, len(content), 100 * KB):
            line.piece(content, at, min(len(content), at + 100 * KB))
            line.say(f="ping", n=at, clock=1.0, echo=True)
            assert line.expect("pong")["n"] == at
        assert line.whole(content)["bytes"] == len(content)
        line.say(f="messages", n=2, items=[item])
        assert line.expect("results")["items"][0]["r"] == "accepted"

    (view,) = far.json("read")
    assert Path(view["attachments"][0]["path"]).read_bytes() == content


def test_what_came_before_the_end_is_kept(far: Host) -> None:
    """The next link hears how much there is, and brings only the rest."""
    content = os.urandom(500 * KB)
    with dial(far) as line:
        line.hello()
        line.offer(content)
        line.piece(content, 0, 100 * KB)
        until(lambda: 100 * KB in kept(far).values())
    with dial(far) as line:
        line.hello()
        assert line.offer(content)["bytes"] == 100 * KB
        # One that had not heard how far it was begins a little before: no harm.
        for at in range(100 * KB, 500 * KB, 100 * KB):
            line.piece(content, at - 10 * KB, at + 100 * KB)
        assert line.whole(content)["bytes"] == len(content)
        assert line.offer(content)["bytes"] == len(content), "it is not brought again"
    assert kept(far) == {sha256(content): len(content)}


def test_an_empty_file_needs_no_piece(far: Host) -> None:
    """It is there as soon as it is offered."""
    with dial(far) as line:
        line.hello()
        line.say(f="offer", sha256=sha256(b""), bytes=0)
        assert line.expect("have")["bytes"] == 0
        until(lambda: kept(far) == {sha256(b""): 0})


def test_a_file_that_is_another_is_begun_anew(far: Host) -> None:
    """It never gets its name; the same bytes once right are taken."""
    content = os.urandom(50 * KB)
    with dial(far) as line:
        line.hello()
        for _ in range(3):
            assert line.offer(content)["bytes"] == 0
            line.piece(b"!" * len(content), 0, len(content), sha256=sha256(content))
            have = line.whole(content)
            assert (have["r"], have["bytes"]) == ("damaged", 0) and "SHA-256" in have["why"]
            assert sha256(content) not in kept(far)
        line.offer(content)
        line.piece(content, 0, len(content))
        assert "r" not in line.whole(content)


def test_files_beyond_the_room_are_not_taken(far: Host) -> None:
    """Never, or not now; what is on its way counts whole. No byte goes beyond the room."""
    with dial(far) as line:
        line.hello()
        refused = line.offer(b"", sha256="a" * 64, bytes=2**53 - 1)
        assert refused["r"] == "refused" and "attachments_mb" not in refused["why"]
        assert "r" not in line.offer(b"", sha256="b" * 64, bytes=700 * KB)
        deferred = line.offer(b"", sha256="c" * 64, bytes=100 * KB)
        assert deferred["r"] == "deferred" and "no room" in deferred["why"]
        line.write(b'{"f":"piece","sha256":"%s","at":0,"n":1000}\n' % (b"c" * 64) + b"x" * 1000)
        line.say(f="ping", n=1, clock=1.0, echo=True)
        line.expect("pong")
    assert sum(kept(far).values()) == 0


def test_many_offers_without_a_byte_take_no_more_than_the_room(far: Host) -> None:
    """A thousand names: those that fit are counted, the others are told to come later."""
    with dial(far) as line:
        line.hello()
        answers = [line.offer(b"", sha256=f"{n:064x}", bytes=10 * KB) for n in range(200)]
    fits = [answer for answer in answers if "r" not in answer]
    assert len(fits) == 1024 * 3 // 4 // 10
    assert rows(far, "SELECT sum(bytes) <= 1048576 FROM attachments") == [(1,)]


HOSTILE = {
    "a piece beyond what there is": [("offer", 100), ("piece", 50, 10)],
    "a piece beyond the end": [("offer", 100), ("piece", 0, 101)],
    "a piece without a byte": [("head", {"sha256": "a" * 64, "at": 0, "n": 0})],
    "a piece of a gigabyte": [("head", {"sha256": "a" * 64, "at": 0, "n": 2**30})],
    "a piece that says no length": [("head", {"sha256": "a" * 64, "at": 0})],
    "a negative length": [("head", {"sha256": "a" * 64, "at": 0, "n": -1})],
    "a name that is a path": [("raw", b'{"f":"offer","sha256":"../../../../tmp/evil","bytes":1}\n')],
    "a size beyond all numbers": [("raw", b'{"f":"offer","sha256":"%s","bytes":1e99}\n' % (b"a" * 64))],
    "a piece of no file": [("raw", b'{"f":"piece","sha256":7}\n')],
}


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_peer_that_breaks_the_rules_loses_the_link(far: Host, what: str) -> None:
    """With a reason in the log; nothing is left but what it may have brought, within its room."""
    with dial(far) as line:
        line.hello()
        for kind, *said in HOSTILE[what]:
            match kind, *said:
                case "offer", int(size):
                    line.offer(b"", sha256="a" * 64, bytes=size)
                case "piece", int(at), int(size):
                    head = {"f": "piece", "sha256": "a" * 64, "at": at, "n": size}
                    line.write(msgspec.json.encode(head) + b"\n" + b"x" * size)
                case "head", dict(fields):
                    line.write(msgspec.json.encode({"f": "piece", **fields}) + b"\n")
                case "raw", bytes(raw):
                    line.write(raw)
        line.ends()
    assert len(far.log("link.down")) == 1
    assert "a defect" not in far.log("link.down")[0]["error"]
    assert not far.log("link.defect")
    assert sum(kept(far).values()) <= 100


def test_a_piece_without_its_end_does_not_hold_the_link_for_ever(far: Host) -> None:
    """What came before it counts, and the silence after it ends the link."""
    with dial(far) as line:
        line.hello()
        line.say(f="messages", n=1, items=[line.item("nia", "fay")])
        assert line.expect("results")["items"][0]["r"] == "accepted"
        line.write(b'{"f":"piece","sha256":"%s","at":0,"n":1000}\n' % (b"a" * 64) + b"half")
        line.ends(15.0)
    assert "nothing heard" in far.log("link.down")[0]["error"]


def test_an_old_peer_is_not_offered_a_file(far: Host, tmp_path: Path) -> None:
    """Its mail waits with a reason that says what to do; other mail goes."""
    path = tmp_path / "report"
    path.write_bytes(b"a report")
    with far.api() as spool, dial(far) as line:
        line.hello("acks", "query")
        id = spool.send("nia", subject="Look", attach=[path])
        beside = spool.send("nia", subject="beside")
        assert line.expect("messages")["items"][0]["m"]["id"] == beside
        until(lambda: spool.sent(id).reason is not None)
        assert spool.sent(id).reason == "the far spool is too old for attachments; upgrade it"
        assert not [frame for frame in line.heard if frame["f"] in ("offer", "piece")]


def test_a_far_end_that_has_more_than_there_is_loses_the_link(far: Host, tmp_path: Path) -> None:
    """Nothing it says of a file may be taken for the file."""
    path = tmp_path / "report"
    path.write_bytes(b"a report")
    with far.api() as spool, dial(far) as line:
        line.hello()
        id = spool.send("nia", subject="Look", attach=[path])
        offer = line.expect("offer")
        assert (offer["sha256"], offer["bytes"]) == (sha256(b"a report"), 8)
        line.say(f="have", sha256=offer["sha256"], bytes=9)
        line.ends()
        assert spool.state(id) == "queued"


def test_a_far_end_that_always_says_damaged_is_not_fed_for_ever(far: Host, tmp_path: Path) -> None:
    """Three times, then the message is dead with the reason."""
    path = tmp_path / "report"
    path.write_bytes(b"a report")
    with far.api() as spool, dial(far) as line:
        line.hello()
        id = spool.send("nia", subject="Look", attach=[path])
        for _ in range(3):
            offer = line.expect("offer")
            line.say(f="have", sha256=offer["sha256"], bytes=0)
            assert line.take_piece() == b"a report"
            line.say(f="have", sha256=offer["sha256"], bytes=0, r="damaged", why="no")
        until(lambda: spool.state(id) == "dead")
        assert "damaged 3 times" in str(spool.sent(id).reason)

"""A database that takes nothing for a while, locked or full, and one whose log was taken away."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest

from spool.api import Spool
from spool.errors import LinkLost, StoreBusy, StoreFull
from spool.gate import Gate
from spool.inbox import Arrival
from spool.message import seal
from spool.settings import Settings
from spool.store import sqlite
from spool.store.base import Tx
from spool.store.sqlite import SqliteStore
from spool.transports import frames
from spool.transports.base import Accepted, Deferred, Outcome
from spool.transports.frames import Hello
from spool.transports.link import Link
from tests.desk import make_home
from tests.hosts import ENV

PATIENCE_S = 0.2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with one agent, which waits for a lock shorter than a person would."""
    monkeypatch.setattr(sqlite, "BUSY_S", PATIENCE_S)
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    """For the agent `me`."""
    with Spool(home, agent="me") as made:
        yield made


@pytest.fixture
def gate(spool: Spool) -> Gate:
    """Of a link to the peer `cloud` that is up."""
    settings = Settings(spool.home, spool.store, spool._clock)
    made = Gate(spool.store, settings, "cloud", clock=spool._clock, token="t", version="0")
    made.arrived(Hello(host="cloud", agents=["cloud-1"]), dialled=False)
    return made


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Somebody else's connection, with the write lock for the length of the block."""
    with closing(apsw.Connection(str(home / "spool.db"), apsw.SQLITE_OPEN_READWRITE)) as other:
        other.set_busy_timeout(30_000)
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def arrival(id: str) -> Arrival:
    """A message as a link hands it over."""
    sealed = seal({"from": "cloud-1", "to": "me", "body": "x"}, id=id, timestamp="2026-01-02T03:04:05Z")
    return Arrival(sealed.raw, sealed.filled, ttl_s=86_400.0, hops=[])


def test_what_cannot_be_written_for_long_is_an_error_and_nothing_is_half_there(spool: Spool) -> None:
    """`send` says so, and the same call is the first one when the lock is gone; readers see all meanwhile."""
    kept = spool.send("me", body="before")
    with locked(spool.home):
        with pytest.raises(StoreBusy, match="locked by another process"):
            spool.send("me", id="m1", body="x")
        assert [row.id for row in spool.inbox()] == [kept]

    assert spool.send("me", id="m1", body="x") == "m1"
    assert len(spool.inbox()) == 2


def test_what_comes_over_a_link_meanwhile_is_not_answered(spool: Spool, gate: Gate) -> None:
    """No answer is given for what is not on the disk, so its sender offers it again, and it is there once."""
    with locked(spool.home), pytest.raises(StoreBusy):
        gate.accept([arrival("m1"), arrival("m2")])
    assert spool.inbox() == []

    outcomes = gate.accept([arrival("m1"), arrival("m2")])
    assert all(isinstance(outcome, Accepted) and not outcome.again for outcome in outcomes)
    assert len(spool.inbox()) == 2


class Line:
    """A pipe over which some frames come, and then nothing more."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._closed = threading.Event()

    def receive(self, max_bytes: int) -> bytes:
        piece, self._said = self._said[:max_bytes], self._said[max_bytes:]
        if not piece:
            self._closed.wait(30)
        return piece

    def send(self, frames: bytes) -> None:
        if self._closed.is_set():
            raise LinkLost("closed")

    def close(self) -> None:
        self._closed.set()

    def exit_status(self) -> int | None:
        return None

    def last_words(self) -> str:
        return ""


def test_a_link_ends_with_the_reason_and_not_by_a_defect(
    spool: Spool, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side keeps its mail and dials again; this one says why, and what to do."""
    item = frames.Item(t=86_400.0, m=msgspec.Raw(arrival("m1").raw))
    said = frames.encode(Hello(host="cloud")) + frames.encode(frames.Messages(1, [item]))
    link = Link(Line(said), gate, dialled=True)
    accept = gate.accept

    def while_locked(arrivals: Sequence[Arrival]) -> list[Outcome]:
        with locked(spool.home):
            return accept(arrivals)

    monkeypatch.setattr(gate, "accept", while_locked)
    with pytest.raises(LinkLost, match=r"the store here failed: .*locked by another process"):
        link.run()
    assert spool.inbox() == []


def test_below_the_low_water_mark_mail_waits_at_its_sender(
    spool: Spool, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; nothing is kept of it here, and the copies that come later are the first."""
    free_bytes = spool.store.free_bytes
    monkeypatch.setattr(spool.store, "free_bytes", lambda: 1_000_000)
    assert gate.accept([arrival("m1")]) == [Deferred("no space on the far disk")]
    assert spool.inbox() == []

    monkeypatch.setattr(spool.store, "free_bytes", free_bytes)
    assert [type(each) for each in gate.accept([arrival("m1")])] == [Accepted]


def test_a_disk_that_is_full_all_the_same_is_told_to_the_sender(
    spool: Spool, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may have filled it since; who reads here reads on, and the link stays up."""
    spool.send("me", id="before", body="x")
    write = spool.store.write

    @contextmanager
    def full(*, sync: bool) -> Iterator[Tx]:
        with write(sync=sync) as tx:
            yield tx
            raise StoreFull("spool.db: the disk is full")

    monkeypatch.setattr(spool.store, "write", full)
    assert gate.accept([arrival("m1"), arrival("m2")]) == [Deferred("the far disk is full")] * 2
    assert [row.id for row in spool.inbox()] == ["before"]

    monkeypatch.setattr(spool.store, "write", write)
    assert [type(each) for each in gate.accept([arrival("m1"), arrival("m2")])] == [Accepted] * 2


def test_a_long_look_holds_no_writer_up_and_the_log_is_written_back_after_it(spool: Spool) -> None:
    """An export that goes on for hours, say: the log grows meanwhile, and no longer than that."""
    batch = [{"to": "cloud-1", "body": "x" * 20_000}] * 50
    with closing(SqliteStore(spool.home)) as other, other.read() as tx:
        before = tx.outbox.counts()
        for _ in range(4):
            spool.send_many(batch)
        grown = (spool.home / "spool.db-wal").stat().st_size
        assert tx.outbox.counts() == before and grown > 200 * 20_000

    for _ in range(8):
        spool.send_many(batch)
    assert (spool.home / "spool.db-wal").stat().st_size < 2 * grown


WRITES = """
import os, pathlib, signal, sys
from spool.api import Spool
spool = Spool(pathlib.Path(sys.argv[1]), agent="me")
for n in range(3):
    spool.send("me", id=f"new{n}", body="x")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_log_that_somebody_deleted_takes_the_newest_commits_along(tmp_path: Path) -> None:
    """SQLite cannot tell that it was there: what is in the file is whole, and the rest is nowhere."""
    home = make_home(tmp_path, "me")
    with Spool(home, agent="me") as spool:
        spool.send("me", id="old", body="x")
    subprocess.run([sys.executable, "-c", WRITES, str(home)], env=ENV, timeout=30, check=False)
    (home / "spool.db-wal").unlink()
    (home / "spool.db-shm").unlink(missing_ok=True)

    with Spool(home, agent="me") as spool:
        spool.store.quick_check()
        assert [row.id for row in spool.inbox()] == ["old"]
        spool.send("me", id="new0", body="x")

"""Which commits are on the disk before anybody is told: those that no other host could make good."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import inbox, outbox
from spool.clock import Clock
from spool.files_gate import FilesGate
from spool.foreign import Found
from spool.inbox import Arrival
from spool.message import seal
from spool.outbox import Load
from spool.settings import Settings
from spool.store.base import Unproven
from spool.store.sqlite import SqliteStore
from spool.transports.base import Left
from spool.transports.frames import Answer
from tests.desk import Turned, make_home
from tests.rows import new_ack, put, put_in

AT = 1_000_000.0
PEERS = '[peers.cloud]\nurl = "dir:"\ninbox = "/nowhere/in"\nagents = ["cloud-*"]\n'


class Watched(SqliteStore):
    """A store that keeps which of its commits were synced."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.synced: list[bool] = []

    @contextlib.contextmanager
    def write(self, *, sync: bool) -> Iterator[Any]:
        self.synced.append(bool(sync))
        with super().write(sync=sync) as tx:
            yield tx


class Here:
    """The host `here`, with mail both ways and a files peer."""

    def __init__(self, folder: Path) -> None:
        home = make_home(folder, "me", peers=PEERS)
        self.store = Watched(home)
        clock = Clock(Turned(AT), Turned(AT))
        self.settings = Settings(home, self.store, clock)
        self.gate = FilesGate(self.store, self.settings, "cloud", clock=clock, token="t", version="0")
        self.gate.opened()
        put(self.store, "m1", peer="cloud", queued_at=AT, expires_at=AT + 99)
        put_in(self.store, "i1")
        with self.store.write(sync=False) as tx:
            tx.acks.put("cloud", new_ack("x1"))
        self.load = self.gate.load(9)
        self.one = Unproven(self.load.parcels[0].seq, "m1", "me", AT, AT + 99)

    def left(self) -> None:
        self.gate.settle([(parcel, Left(AT)) for parcel in self.load.parcels])

    def accept(self) -> None:
        sealed = seal({"from": "cloud-1", "to": "me", "body": "x"}, id="n1", timestamp="2025-11-13T10:30:45Z")
        peer = self.settings.config.peer("cloud")
        arrivals = [Arrival(sealed.raw, sealed.filled, 60.0, ())]
        inbox.accept(self.store, self.settings.config, self.settings.router(), peer, arrivals, now=AT)

    def mark_read(self) -> None:
        with self.store.read() as tx:
            found = tx.inbox.exact("i1", "you")
        assert found is not None
        inbox.mark_read(self.store, "here", [found], now=AT)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """The host."""
    made = Here(tmp_path)
    yield made
    made.store.close()


def seen(here: Here, act: Callable[[Here], object]) -> list[bool]:
    here.store.synced.clear()
    act(here)
    return here.store.synced


@pytest.mark.parametrize(
    "act",
    [
        Here.accept,
        lambda here: inbox.take(here.store, "here", "me", now=AT),
        lambda here: outbox.apply_acks(here.store, "cloud", [new_ack("m1", to="me")], now=AT),
        lambda here: outbox.infer_received(here.store, "cloud", "here", [(here.one, "x")], now=AT),
        lambda here: here.gate.take_answers([Answer("me", "m1", "read")]),
        lambda here: here.gate.remember(Found("a.json", b"x", 1.0, 1)),
        lambda here: here.gate.refuse(Found("a.json", b"x", 1.0, 1), "no"),
        lambda here: here.gate.lost([here.one], "gone"),
        lambda here: here.gate.withdrawn([here.one]),
        lambda here: here.gate.same_since("another"),
    ],
    ids=["mail", "take", "acks", "inferred", "answers", "kept", "refused", "lost", "withdrawn", "folder"],
)
def test_what_nobody_could_make_good_is_synced(here: Here, act: Callable[[Here], object]) -> None:
    """The other side forgets it, or a file of it goes, as soon as this returns."""
    assert seen(here, act) == [True]


@pytest.mark.parametrize(
    "act",
    [
        lambda here: here.gate.load(9),
        Here.left,
        lambda here: here.gate.release(Load(here.load.parcels, [])),
        lambda here: here.gate.drop_acks([here.load.acks[0].seq]),
        lambda here: here.gate.forget_acks([here.load.acks[0].seq]),
        Here.mark_read,
        lambda here: here.gate.questions(),
        lambda here: here.gate.hold(heard=True),
        lambda here: here.gate.left("over"),
        lambda here: here.gate.told_counts(unread=1, queued=1),
    ],
    ids=["look", "settle", "release", "drop", "forget", "read", "ask", "hold", "left", "counts"],
)
def test_what_is_made_again_is_not_waited_for(here: Here, act: Callable[[Here], object]) -> None:
    """A sync takes longer than all else that a link does; what a power cut undoes here comes again."""
    assert seen(here, act) in ([], [False])

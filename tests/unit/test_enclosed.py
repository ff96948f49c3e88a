"""Messages in files of a peer, and what they enclose: which are taken, wait, or are refused for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import files_gate
from spool.clock import Clock
from spool.files_gate import LOST_AT_ONCE, FilesGate
from spool.foreign import Found
from spool.message import Attachment
from spool.settings import Settings
from spool.states import State
from spool.store.base import Event, KeptFile, Quarantined, Unproven
from spool.store.sqlite import SqliteStore
from spool.transports.base import Entry
from tests.desk import Turned, make_home
from tests.rows import new_ack, put, row

AT = 1_763_000_000.0
A, B = (Attachment(name=letter, bytes=1, sha256=letter * 64) for letter in "ab")


class Here:
    """The host `here` with the agent `me`, and its gate for the folders of the peer `cloud`."""

    def __init__(self, folder: Path, *, acks: bool = False) -> None:
        table = f'url = "dir:"\ninbox = "/nowhere/in"\nagents = ["cloud-*"]\nacks = {str(acks).lower()}\n'
        home = make_home(folder, "me", peers=f"[peers.cloud]\n{table}[peers.other]\n")
        self.now = Turned(AT)
        self.store = SqliteStore(home)
        clock = Clock(self.now, self.now)
        settings = Settings(home, self.store, clock)
        self.gate = FilesGate(self.store, settings, "cloud", clock=clock, token="t", version="0")
        self.gate.opened()

    def come(self, file: Attachment) -> None:
        """A file is fetched from there."""
        self.gate.freight.folder.root.mkdir(mode=0o700, exist_ok=True)
        self.gate.freight.folder.path(file.sha256).write_bytes(b"x")
        self.gate.has_come(file)

    def wanted(self) -> list[Attachment]:
        return self.gate.wanted()

    def attached(self, file: Attachment) -> bool:
        """Whether the agent here is shown a file."""
        with self.store.read() as tx:
            return tx.attachments.shown_to(file.sha256, "me")

    def quarantined(self) -> list[Quarantined]:
        with self.store.read() as tx:
            return tx.ledger.quarantined()

    def sent(self, id: str = "m1", *, attempts: int = 1) -> Unproven:
        """A message that was left in the peer's inbox."""
        (seq,) = put(self.store, id, recipient="cloud-1", peer="cloud", queued_at=AT, expires_at=AT + 99)
        with self.store.write(sync=False) as tx:
            for _ in range(attempts):
                tx.outbox.hold(seq, due=AT, reason="x")
            tx.outbox.advance(seq, id, State.SENT, now=AT, there=None, host=None)
        return Unproven(seq, id, "me", AT, AT + 99)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Here]]:
    """Make the host."""
    made: list[Here] = []

    def anew(**more: Any) -> Here:
        made.append(Here(tmp_path, **more))
        return made[-1]

    yield anew
    for each in made:
        each.store.close()


@pytest.fixture
def here(make: Callable[..., Here]) -> Here:
    """The host."""
    return make()


def file(id: str, *enclosed: Attachment, name: str = "", **more: Any) -> Found:
    """A message in a file."""
    said = {"id": id, "from": "cloud-1", "to": "me", "subject": "x", **more}
    if enclosed:
        said["attachments"] = [{"name": one.name, "bytes": 1, "sha256": one.sha256} for one in enclosed]
    return Found(name or f"{id}.json", msgspec.json.encode(said), AT)


def test_a_message_waits_for_its_files(here: Here) -> None:
    """Those that are missing are wanted; with the last of them it is taken, and its agent has them all."""
    here.come(A)
    assert here.gate.take([file("m1", A, B), file("m2")]) == [False, True]
    assert here.wanted() == [B]
    here.come(B)

    assert here.wanted() == []
    assert here.gate.take([file("m1", A, B)]) == [True]
    assert (here.attached(A), here.attached(B)) == (True, True)
    assert here.gate.spare() == [A.sha256, B.sha256]
    assert here.gate.spare() == []


@pytest.mark.parametrize("absent", [(A, B), (A,)])
def test_what_is_nowhere_is_only_named(here: Here, absent: tuple[Attachment, ...]) -> None:
    """A message that names files of the agent's own machine is one all the same; half is not enclosed."""
    here.gate.take([file("m1", A, B)])
    for one in absent:
        here.gate.is_absent(one)
    assert here.wanted() == [one for one in (A, B) if one not in absent]
    if B not in absent:
        here.come(B)

    assert here.gate.take([file("m1", A, B)]) == [True]
    assert (here.attached(A), here.attached(B), here.gate.spare()) == (False, False, [])


def test_what_can_never_be_taken_takes_its_message_along(here: Here) -> None:
    """With the reason; the message is kept, so that a person may see what it was."""
    here.gate.take([file("m1", A)])
    here.gate.is_refused(A, "too large: 9 GB")

    assert here.wanted() == []
    assert here.gate.take([file("m1", A), file("m2")]) == [True, True]
    assert [(kept.name, kept.reason) for kept in here.quarantined()] == [("m1.json", "too large: 9 GB")]


def test_a_copy_waits_for_nothing(here: Here) -> None:
    """Its files went when it was taken."""
    here.come(A)
    here.gate.take([file("m1", A)])
    here.gate.spare()
    here.gate.freight.folder.path(A.sha256).unlink()

    assert here.gate.take([file("m1", A)]) == [True]
    assert here.wanted() == []


def test_what_another_message_waits_for_stays_there(here: Here) -> None:
    """It is fetched from that folder."""
    here.come(A)
    here.come(B)
    here.gate._wanted[A.sha256] = A
    here.gate.take([file("m1", A, B)])

    assert here.gate.spare() == [B.sha256]


def test_so_much_is_remembered_and_no_more(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are endless; what is forgotten is looked at again."""
    monkeypatch.setattr(files_gate, "REMEMBERED", 1)
    for one in (A, B):
        here.gate.is_absent(one)
        here.gate.is_refused(one, "no")

    assert (here.gate._absent, here.gate._refused) == ({B.sha256}, {B.sha256: "no"})


# -- acks in files ---------------------------------------------------------------------------------


def ack(status: str, re: str = "m1", **more: str) -> Found:
    said = {"type": "ack", "re": re, "status": status, "from": "cloud-1", "to": "whoever", **more}
    return Found("a.json", msgspec.json.encode(said), AT - 5.0)


def test_an_ack_says_what_became_of_a_message(here: Here) -> None:
    """By the time of its file, with what its agent said of it; who says it, and to whom, is not believed."""
    here.sent()
    assert here.gate.take([ack("done", outcome="merged", note="n")]) == [True]

    found = row(here.store)
    assert (found.state, found.outcome, found.note, found.done_there) == (State.DONE, "merged", "n", AT - 5.0)
    assert found.far_host is None


@pytest.mark.parametrize(("acks", "state"), [(True, State.DEAD), (False, State.SENT)])
def test_only_another_spool_can_say_that_a_message_died(
    make: Callable[..., Here], acks: bool, state: State
) -> None:
    """What a script may not say would end what it never looked at."""
    here = make(acks=acks)
    here.sent()
    here.gate.take([ack("dead", note="expired")])

    assert row(here.store).state is state


def test_an_ack_is_of_the_whole_id_and_of_this_peer(here: Here) -> None:
    """A beginning of an id is nobody's."""
    here.sent("m1-long")
    put(here.store, "m1", recipient="x", peer="other")
    here.gate.take([ack("done")])

    assert [row(here.store, id).state for id in ("m1-long", "m1")] == [State.SENT, State.QUEUED]


# -- what became of ours ---------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "at_once"), [(LOST_AT_ONCE, True), (LOST_AT_ONCE + 1, False)])
def test_what_is_lost_there_again_and_again_waits(here: Here, attempts: int, at_once: bool) -> None:
    """The first times it may be an accident."""
    one = here.sent(attempts=attempts)
    here.gate.lost([one, Unproven(99, "nobody", "me", AT, AT)], "the folder is another one")

    due = row(here.store).due
    assert due is not None and (due == AT) is at_once and due < AT + 10.0
    with here.store.read() as tx:
        assert tx.ledger.events("m1", "me") == [
            Event("m1", "me", AT, "here", "cloud", "sent", "lost", None, "the folder is another one")
        ]


def test_what_was_taken_back_is_dead(here: Here) -> None:
    """Unread; what was read meanwhile is not."""
    one, other = here.sent("m1"), here.sent("m2")
    with here.store.write(sync=False) as tx:
        tx.outbox.advance(other.seq, "m2", State.DONE, now=AT, there=None, host=None)
    here.gate.withdrawn([one, other, Unproven(99, "nobody", "me", AT, AT)])

    assert (row(here.store, "m1").state, row(here.store, "m2").state) == (State.DEAD, State.DONE)
    assert row(here.store, "m1").reason == "expired: nobody took it from the inbox"
    with here.store.read() as tx:
        assert [each.what for each in tx.ledger.events("m1", "me")] == ["expired"]


def test_what_could_not_be_removed_is_known_while_it_is_the_same(here: Here) -> None:
    """By its size and its time; another one under the name is a new file, and the record goes."""
    for name in ("a.json", "b.json", "c.json"):
        here.gate.remember(Found(name, b"xyz", 5.0, 3))
    there = [
        Entry("a.json", "file", 3, 5.0),
        Entry("b.json", "file", 4, 5.0),
        Entry("c.json", "file", 3, 6.0),
    ]

    assert here.gate.remembered(there) == {"a.json"}
    with here.store.read() as tx:
        kept = tx.kept_files.of("cloud")
    assert [(one.name, one.size, one.mtime, one.at) for one in kept] == [("a.json", 3, 5.0, AT)]
    assert isinstance(kept[0], KeptFile) and len(kept[0].digest) == 32


def test_what_is_refused_is_kept_as_far_as_a_message_may_be_long(here: Here) -> None:
    """With the name of its file."""
    assert here.gate.refuse(Found("big.json", b"x" * 200_000, AT), "too large")

    (kept,) = here.quarantined()
    assert (kept.at, kept.peer, kept.name, kept.reason) == (AT, "cloud", "big.json", "too large")
    assert len(kept.raw) == here.gate.max_bytes


def test_peers_that_want_no_acks_have_theirs_forgotten(here: Here) -> None:
    """They would stand there for ever."""
    with here.store.write(sync=False) as tx:
        tx.acks.put("cloud", new_ack("x1"))
        tx.acks.put("cloud", new_ack("x2"))
    leased = here.gate.load(9).acks
    here.gate.forget_acks([leased[0].seq])

    with here.store.read() as tx:
        assert tx.acks.waiting() == {"cloud": 1}
    assert here.gate.carried == 0

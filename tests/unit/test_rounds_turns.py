"""The rounds of a files peer, one turn after the other, by a clock that the test turns."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.clock import Clock
from spool.errors import LinkLost, StoreFull, Superseded, TimedOut
from spool.files_gate import FilesGate
from spool.message import Ack
from spool.settings import Settings
from spool.states import State
from spool.store.base import Outgoing
from spool.store.sqlite import SqliteStore
from spool.transports import files as module
from spool.transports.directory import Directory
from spool.transports.files import HOLD_EVERY_S, LATE, SWEEP_EVERY_S, Rounds
from spool.transports.publish import ABANDONED_S
from tests.desk import Turned, make_home
from tests.rows import link, new_ack, put, row

AT = 1_763_000_000.0
FILE = b'{"from":"cloud-1","to":"me","subject":"x"}'


class Turns:
    """The peer `cloud` of the host `here`, with its folders, and rounds that are made by hand."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.inbox, self.outbox = folder / "in", folder / "out"
        values = {"inbox": f'"{self.inbox}"', "outbox": f'"{self.outbox}"', "acks": "true", **settings}
        table = "\n".join(f"{key} = {value}" for key, value in values.items())
        home = make_home(folder, "me", peers=f'[peers.cloud]\nurl = "dir:"\nagents = ["cloud-*"]\n{table}\n')
        self.now, self.monotonic = Turned(AT), Turned(500.0)
        self.store = SqliteStore(home)
        clock = Clock(self.now, self.monotonic)
        self.gate = FilesGate(
            self.store, Settings(home, self.store, clock), "cloud", clock=clock, token="t", version="0"
        )
        self.rounds = Rounds(Directory(0o600), self.gate)

    def begun(self) -> Turns:
        """With the folders reached, and the first turn made."""
        self.gate.opened()
        self.rounds._begin()
        if self.rounds._watch is not None:
            # It would look by itself, whenever the system tells it.
            self.rounds._watch.close()
            self.rounds._watch = None
        self.turn()
        return self

    def turn(self, *, later_s: float = 0.0, look: bool = False) -> None:
        """One turn; with `look` after something came."""
        self.monotonic.at += later_s
        if look:
            self.rounds.look()
        self.rounds._busy = True
        self.rounds._turn()

    def leave(self, name: str = "m.json", raw: bytes = FILE) -> Path:
        """A file for this host."""
        hidden = self.outbox.parent / "hidden"
        hidden.write_bytes(raw)
        hidden.rename(self.outbox / name)
        return self.outbox / name

    def sent(self, id: str = "m1", **more: Any) -> None:
        """A message for the peer."""
        put(self.store, id, recipient="cloud-1", peer="cloud", queued_at=AT, expires_at=AT + 1e6, **more)

    def row(self, id: str = "m1") -> Outgoing:
        return row(self.store, id)

    def taken(self) -> int:
        with self.store.read() as tx:
            return sum(tx.inbox.counts().values())

    def names(self) -> list[str]:
        """What the peer finds in its folder."""
        return sorted(path.name for path in self.inbox.iterdir() if path.name[0] != ".")

    def acks(self) -> int:
        with self.store.read() as tx:
            return sum(tx.acks.waiting().values())


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Turns]]:
    """Make the peer, with these settings."""
    made: list[Turns] = []

    def anew(**settings: str) -> Turns:
        made.append(Turns(tmp_path, **settings))
        return made[-1]

    yield anew
    for each in made:
        each.rounds.end()
        each.store.close()


@pytest.fixture
def turns(make: Callable[..., Turns]) -> Turns:
    """The peer, which writes acks as this host does; its first turn is made."""
    return make().begun()


# -- when it looks ---------------------------------------------------------------------------------


def test_the_folders_of_this_machine_are_made(make: Callable[..., Turns]) -> None:
    """What lies under /tmp is gone when it starts anew."""
    turns = make()
    turns.begun()

    assert (turns.inbox.is_dir(), turns.outbox.is_dir()) == (True, True)


def test_what_came_is_taken_at_the_next_look(turns: Turns) -> None:
    """A turn that was made for something else reads no folder."""
    turns.leave()
    turns.turn()
    before = turns.taken()
    turns.turn(look=True)

    assert (before, turns.taken()) == (0, 1)


def test_the_timer_looks_when_it_is_time(turns: Turns) -> None:
    """And not each time that it is asked."""
    poll_s = turns.gate.peer.poll_s
    turns.leave()
    turns.monotonic.at += poll_s - 0.1
    turns.rounds.tick()
    turns.turn()
    early = turns.taken()
    turns.monotonic.at += 0.1
    turns.rounds.tick()
    turns.turn()

    assert (early, turns.taken()) == (0, 1)


def test_where_the_timer_is_silent_a_round_is_made_all_the_same(turns: Turns) -> None:
    """The process that has the timer may have died."""
    poll_s = turns.gate.peer.poll_s
    turns.leave()
    turns.turn(later_s=LATE * poll_s - 0.1)
    early = turns.taken()
    turns.turn(later_s=0.1)

    assert (early, turns.taken()) == (0, 1)


def test_after_a_long_look_it_rests(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes there without end must not have a core here."""
    assert turns.rounds._taker is not None
    take = turns.rounds._taker.take

    def slow() -> int:
        turns.monotonic.at += 1.0
        return take()

    monkeypatch.setattr(turns.rounds._taker, "take", slow)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    turns.leave("m1.json")
    turns.turn(look=True)
    turns.leave("m2.json")
    turns.turn(later_s=module.REST - 0.1, look=True)
    resting = turns.taken()
    turns.turn(later_s=0.1)

    assert (resting, turns.taken()) == (1, 2)


def test_it_is_quiet_once_nothing_moved(make: Callable[..., Turns]) -> None:
    """Who carries once ends by this, and not before the first round."""
    turns = make()
    before = turns.rounds.quiet_for()
    turns.begun()
    turns.turn()
    turns.rounds._busy = False
    turns.monotonic.at += 3.0
    quiet = turns.rounds.quiet_for()
    turns.rounds.look()
    turns.rounds._busy = False
    due = turns.rounds.quiet_for()
    turns.leave()
    turns.turn()
    turns.turn()
    turns.rounds._busy = False
    turns.monotonic.at += 2.0
    moved = turns.rounds.quiet_for()
    turns.rounds.poke()

    assert (before, quiet, due, moved, turns.rounds.quiet_for()) == (0.0, 3.0, 0.0, 2.0, 0.0)


def test_it_is_not_quiet_while_it_publishes(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a slow line a batch takes long; who carries once must not end it."""
    quiet: list[float] = []
    put_all = turns.rounds._publish

    def slow(parcels: Any) -> None:
        turns.monotonic.at += 60.0
        quiet.append(turns.rounds.quiet_for())
        put_all(parcels)

    monkeypatch.setattr(turns.rounds, "_publish", slow)
    turns.sent()
    turns.turn()

    assert quiet[0] == 0.0


def test_a_look_while_one_is_due_is_the_same(turns: Turns) -> None:
    """An inbox that is written to does not keep it awake."""
    turns.rounds.look()
    turns.rounds._busy = False
    turns.rounds.look()

    assert not turns.rounds._busy


# -- what it carries -------------------------------------------------------------------------------


def test_a_message_is_published_and_known_to_be_left(turns: Turns) -> None:
    """Under its id; it counts as a move."""
    turns.sent()
    turns.turn()

    assert turns.names() == ["m1.json"]
    assert (turns.row().state, turns.row().sent_at, turns.row().due) == (State.SENT, AT, None)
    assert turns.rounds._moved_at == 500.0


def test_a_peer_without_an_inbox_takes_no_mail(make: Callable[..., Turns]) -> None:
    """Nothing could ever carry it; its acks are forgotten."""
    turns = make(inbox='""').begun()
    turns.sent()
    with turns.store.write(sync=False) as tx:
        tx.acks.put("cloud", new_ack("x1", to="cloud-1"))
    turns.turn()

    assert (turns.row().state, turns.row().reason) == (State.DEAD, "cloud has no inbox")
    assert turns.acks() == 0


def test_acks_are_files_of_their_own(turns: Turns) -> None:
    """Dropped once they are there."""
    with turns.store.write(sync=False) as tx:
        tx.acks.put("cloud", new_ack("x1", to="cloud-1"))
        tx.acks.put("cloud", new_ack("x1", "read", to="cloud-1"))
    turns.turn()

    assert turns.names() == ["ack-x1-read-2.json", "ack-x1-received-1.json"]
    said = json.loads((turns.inbox / "ack-x1-received-1.json").read_text())
    assert (said["re"], said["status"], said["to"]) == ("x1", "received", "cloud-1")
    assert turns.acks() == 0


def test_who_wants_no_acks_gets_none(make: Callable[..., Turns]) -> None:
    """They would be mail to a script that does not know them."""
    turns = make(acks="false").begun()
    with turns.store.write(sync=False) as tx:
        tx.acks.put("cloud", new_ack("x1", to="cloud-1"))
    turns.turn()

    assert (turns.names(), turns.acks()) == ([], 0)


def test_an_ack_that_could_not_be_left_is_free_again(turns: Turns) -> None:
    """And the turn ends: what is in its way is not gone within this very moment."""
    (turns.inbox / "ack-x1-received-1.json").write_text("{}")
    with turns.store.write(sync=False) as tx:
        tx.acks.put("cloud", new_ack("x1", to="cloud-1"))
        tx.acks.put("cloud", new_ack("x2", to="cloud-1"))
    turns.turn()
    link(turns.store, "cloud")

    assert turns.names() == ["ack-x1-received-1.json", "ack-x2-received-2.json"]
    assert turns.acks() == 1


def test_what_fails_in_the_middle_is_given_back(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next round offers it at once, and not when its lease is over."""

    def broken(*_: object, **__: object) -> None:
        raise LinkLost("cloud: cut")

    assert turns.rounds._publisher is not None
    turns.sent()
    with monkeypatch.context() as patched:
        patched.setattr(turns.rounds._publisher, "publish", broken)
        with pytest.raises(LinkLost):
            turns.turn()
    turns.turn()

    assert turns.names() == ["m1.json"]


def test_what_became_of_ours_is_looked_at_in_each_round(make: Callable[..., Turns]) -> None:
    """A peer without acks says it by what is gone."""
    turns = make(acks="false").begun()
    turns.sent()
    turns.turn()
    (turns.inbox / "processed").mkdir()
    (turns.inbox / "m1.json").rename(turns.inbox / "processed" / "m1.json")
    turns.turn(later_s=30.0, look=True)

    assert turns.row().state is State.RECEIVED


def test_an_ack_of_theirs_is_taken_for_one(turns: Turns) -> None:
    """By the time of its file."""
    turns.sent()
    turns.turn()
    ack = Ack(sender="cloud-1", to="me", re="m1", status="done", outcome="merged", note="n")
    path = turns.leave("a.json", module._encode(ack))
    os.utime(path, (AT - 5.0, AT - 5.0))
    turns.turn(look=True)

    found = turns.row()
    assert (found.state, found.outcome, found.note, found.done_there) == (State.DONE, "merged", "n", AT - 5.0)


def test_what_broken_tries_left_is_swept_now_and_then(turns: Turns) -> None:
    """Not in each round: a folder may have a hundred thousand files."""
    old = turns.inbox / ".m9.json.0123456789abcdef.part"
    old.write_text("x")
    os.utime(old, (AT - ABANDONED_S - 1.0, AT - ABANDONED_S - 1.0))
    turns.turn(later_s=SWEEP_EVERY_S - 0.1, look=True)
    early = old.exists()
    turns.turn(later_s=0.1, look=True)

    assert (early, old.exists()) == (True, False)


def test_it_holds_on_to_the_peer(turns: Turns) -> None:
    """Every few seconds, and in each round: another process would else take it for dead."""
    holds_s = FilesGate.holds_s

    def held() -> float:
        with turns.store.read() as tx:
            return tx.peers.get("cloud").holder_until - holds_s

    turns.now.at += 10.0
    turns.turn(later_s=HOLD_EVERY_S - 0.1)
    early = held()
    turns.turn(later_s=0.1)
    on_time = held()
    turns.now.at += 10.0
    turns.turn(look=True)

    assert (early, on_time, held()) == (AT, AT + 10.0, AT + 20.0)


# -- how it ends -----------------------------------------------------------------------------------


def test_ended_on_purpose_it_ends_without_an_error(make: Callable[..., Turns]) -> None:
    """The first reason counts, and there was none."""
    turns = make()
    turns.rounds.end()
    turns.rounds.end(TimedOut("cloud: later"))
    turns.rounds.run()

    with turns.store.read() as tx:
        assert (tx.peers.get("cloud").state, tx.peers.get("cloud").holder) == ("waiting", None)


def test_an_error_ends_it_with_that(make: Callable[..., Turns], monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer process took over; what it holds is left alone."""
    turns = make()

    def taken() -> None:
        link(turns.store, "cloud")
        turns.rounds._gate.hold(heard=True)

    monkeypatch.setattr(turns.rounds, "_turn", taken)
    with pytest.raises(Superseded):
        turns.rounds.run()
    assert turns.rounds.up.is_set()


def test_where_the_store_fails_it_ends_with_what_it_said(
    make: Callable[..., Turns], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where it fails at the end, too, nothing hides that."""
    turns = make()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("the disk is full", hint="make room")

    monkeypatch.setattr(turns.rounds, "_turn", full)
    monkeypatch.setattr(turns.gate, "left", full)
    with pytest.raises(LinkLost, match="the store here failed: the disk is full") as told:
        turns.rounds.run()
    assert told.value.hint == "make room"

"""Reading from Python: messages are leased, worked on, and done, given back or rejected."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import delivery
from spool.api import Spool
from spool.delivery import Delivery
from spool.errors import BadInput, NoAgent, NotFound
from spool.states import State
from tests.desk import Turned, acks, arrive, clocked, make_home, tasks
from tests.hosts import ENV
from tests.waiting import soon


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with two agents."""
    return make_home(tmp_path, "me", "you")


@pytest.fixture
def spool(home: Path, now: Turned) -> Iterator[Spool]:
    """For the agent `me`."""
    with clocked(home, now, agent="me") as made:
        yield made


def one(spool: Spool) -> Delivery:
    """The next message, leased."""
    return next(iter(spool.receive()))


def statuses(spool: Spool) -> list[str]:
    return [ack.status for ack in acks(spool)]


def test_leaving_the_block_is_done(spool: Spool) -> None:
    """Its sender is told read, then done; the message stands in attributes."""
    arrive(spool, id="m1", context={"n": 1}, priority="P1")
    with one(spool) as message:
        assert (message.id, message.sender, message.to, message.subject) == ("m1", "cloud-1", "me", "Hello")
        assert (message.body, message.context, message.priority) == ("text", {"n": 1}, "P1")
        assert spool.received("m1").state == "read" and statuses(spool) == ["read"]

    assert spool.received("m1").state == "done" and statuses(spool) == ["read", "done"]
    assert tasks(spool) == {"cloud"}
    assert list(spool.receive()) == []


def test_an_exception_gives_it_back(spool: Spool) -> None:
    """It goes through to the caller, and the next reader has the message again."""
    arrive(spool, id="m1")
    with pytest.raises(ZeroDivisionError), one(spool):
        _ = 1 / 0

    assert statuses(spool) == ["read"]
    assert one(spool).row.attempts == 2


def test_after_five_times_it_is_rejected(spool: Spool) -> None:
    """With the reason, which its sender is told; the next one is taken instead."""
    arrive(spool, id="poison", priority="P0")
    arrive(spool, id="good")
    for _ in range(5):
        message = one(spool)
        assert message.id == "poison"
        message.give_back()

    assert one(spool).id == "good"
    row = spool.received("poison")
    assert (row.state, row.outcome, row.note) == ("done", "rejected", "given back 5 times")
    assert [(ack.re, ack.status, ack.note) for ack in acks(spool)] == [
        ("poison", "read", None),
        ("poison", "rejected", "given back 5 times"),
        ("good", "read", None),
    ]


def test_a_local_sender_knows_how_it_went(spool: Spool) -> None:
    """Without any ack on its way: it is the same database."""
    id = spool.send("me", body="x", agent="you")
    message = one(spool)
    assert spool.state(id) is State.READ
    message.reject("not for me")

    row = spool.sent(id)
    assert (row.state, row.outcome, row.note) == (State.DONE, "rejected", "not for me")


def test_done_early_is_done_once(spool: Spool) -> None:
    """The end of the block adds nothing."""
    arrive(spool, id="m1")
    with one(spool) as message:
        message.done(note="quick")
        message.done(outcome="rejected")
        message.give_back()

    assert spool.received("m1").note == "quick" and statuses(spool) == ["read", "done"]


def test_an_answer_in_the_block_makes_it_done(spool: Spool) -> None:
    """In the same commit; `keep_open` leaves that to the end of the block."""
    for id in ("m1", "m2"):
        arrive(spool, id=id)
    first, second = spool.receive()
    with first:
        answer = first.reply("So.")
        assert spool.received("m1").state == "done"
    with second:
        second.reply("Wait.", keep_open=True)
        assert spool.received("m2").state == "read"

    assert spool.sent(answer).re == "m1" and spool.received("m2").state == "done"


def test_the_most_urgent_comes_first_and_so_many_as_asked(spool: Spool) -> None:
    """Then by age."""
    for id, priority in (("a", "P2"), ("b", "P0"), ("c", "P2"), ("d", "P3")):
        arrive(spool, id=id, priority=priority)

    assert [message.id for message in spool.receive(limit=3)] == ["b", "a", "c"]
    assert spool.received("d").state == "unread"


def test_a_reader_gets_only_its_agents_mail(spool: Spool) -> None:
    """Other agents' waits for them."""
    arrive(spool, id="mine")
    arrive(spool, id="yours", to="you")

    assert [message.id for message in spool.receive()] == ["mine"]
    assert [message.id for message in spool.receive(agent="you")] == ["yours"]
    with pytest.raises(NoAgent):
        next(iter(spool.receive(agent="nobody")))


def test_receive_waits_as_long_as_asked(spool: Spool) -> None:
    """And is woken by what comes in."""
    begun = time.monotonic()
    assert list(spool.receive(timeout=0.2)) == []
    assert 0.2 <= time.monotonic() - begun < 2

    threading.Timer(0.1, lambda: spool.send("me", body="x", agent="you")).start()
    with next(iter(spool.receive(timeout=10))) as message:
        assert message.body == "x"
    assert time.monotonic() - begun < 5


def test_two_readers_never_hold_the_same(home: Path, spool: Spool) -> None:
    """Four threads, each with a Spool of its own."""
    for n in range(40):
        spool.send("me", body="x", id=f"m{n:02}", agent="you")
    held: list[str] = []

    def read() -> None:
        with Spool(home, agent="me") as mine:
            for message in mine.receive():
                with message:
                    held.append(message.id)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert sorted(held) == [f"m{n:02}" for n in range(40)]


READER = (
    "import sys; from spool import Spool\n"
    "with Spool(sys.argv[1], agent='me') as spool:\n"
    "    for message in spool.receive():\n"
    "        with message: print(message.id)"
)


def test_two_processes_never_hold_the_same(home: Path) -> None:
    """Three of them; each message is worked on once."""
    with Spool(home, agent="you") as spool:
        spool.send_many({"to": "me", "body": "x", "id": f"m{n:02}"} for n in range(40))
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, str(home)], stdout=subprocess.PIPE, text=True, env=ENV
            )
            for _ in range(3)
        ]
        held = [reader.communicate(timeout=30)[0].split() for reader in readers]
        states = {spool.state(f"m{n:02}") for n in range(40)}

    assert [reader.returncode for reader in readers] == [0] * 3
    assert sorted(id for each in held for id in each) == [f"m{n:02}" for n in range(40)]
    assert states == {State.DONE}


def test_a_lease_is_renewed_while_the_block_runs(
    spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long work is not taken over; after the block nobody holds on to it."""
    monkeypatch.setattr(delivery, "RENEW_S", 0.02)
    arrive(spool, id="m1")
    with one(spool):
        for _ in range(3):
            now.at += 250.0
            assert soon(lambda: spool.received("m1").lease_until >= now.at + 299)
            assert list(spool.receive()) == []

    assert spool.received("m1").state == "done"
    assert soon(lambda: not [t for t in threading.enumerate() if t.name.startswith("lease:")])


def test_a_lost_lease_cannot_be_done(spool: Spool, now: Turned) -> None:
    """Another has it: who was too late is told, and what the other does counts."""
    arrive(spool, id="m1")
    late = one(spool)
    now.at += 301.0
    held = one(spool)
    assert not late.renew() and held.renew()

    with pytest.raises(BadInput, match="its lease ran out and another reader has it"):
        late.done()
    assert spool.received("m1").state == "read"
    held.done(note="mine")
    assert spool.received("m1").note == "mine"


def test_a_lost_lease_cannot_be_answered(spool: Spool, now: Turned) -> None:
    """Nor by an answer: nothing of it is sent, and the other's work goes on."""
    arrive(spool, id="m1")
    late = one(spool)
    now.at += 301.0
    held = one(spool)

    with pytest.raises(BadInput, match="its lease ran out and another reader has it"):
        late.reply("too late")
    assert spool.received("m1").state == "read" and spool.outbox() == []
    held.reply("in time")
    assert spool.received("m1").state == "done" and len(spool.outbox()) == 1


def test_what_is_done_may_be_answered_again(spool: Spool, now: Turned) -> None:
    """By who did it: its lease ended with that."""
    arrive(spool, id="m1")
    message = one(spool)
    message.done()

    message.reply("and this is why")
    assert len(spool.outbox()) == 1


def test_a_lease_that_ran_out_and_was_not_taken_still_counts(spool: Spool, now: Turned) -> None:
    """Work that was done is done."""
    arrive(spool, id="m1")
    message = one(spool)
    now.at += 10_000.0
    message.done()

    assert spool.received("m1").state == "done"


def test_a_late_give_back_disturbs_nobody(spool: Spool, now: Turned) -> None:
    """The other keeps it."""
    arrive(spool, id="m1")
    late = one(spool)
    now.at += 301.0
    held = one(spool)
    late.give_back()

    assert list(spool.receive()) == []
    held.done()


def test_done_by_id_acknowledges_all_or_none(spool: Spool) -> None:
    """In one commit; twice changes nothing; an unknown one stops it before any."""
    for id in ("msg-01", "msg-02"):
        arrive(spool, id=id)
    with pytest.raises(NotFound):
        spool.done(["msg-01", "msg-99"])
    assert statuses(spool) == []

    assert spool.done(["msg-01", "msg-02"], outcome="rejected", note="no") == ["msg-01", "msg-02"]
    spool.done(["msg-01"])
    assert [(ack.re, ack.status, ack.note) for ack in acks(spool)] == [
        ("msg-01", "rejected", "no"),
        ("msg-02", "rejected", "no"),
    ]
    with pytest.raises(BadInput, match="'perhaps' is neither done nor rejected"):
        spool.done(["msg-01"], outcome="perhaps")


def test_done_on_an_archived_message_touches_no_other(spool: Spool) -> None:
    """Its row number may stand for another by now."""
    arrive(spool, id="old")
    spool.done(["old"])
    spool.archive(older_than_s=-1.0)
    arrive(spool, id="new")
    spool.done(["old"])
    spool.read([spool.received("old")])
    spool.reply("old", "Late.")

    assert spool.received("new").state == "unread"

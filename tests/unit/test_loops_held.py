"""What is held: queued and carried by nobody, and every way in which it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import attachments, log, loop_views, loops, outbox, sweep, views
from spool.api import Posted, Spool
from spool.attachments import WHOLE_S
from spool.errors import AmbiguousId, NotFound
from spool.folder import Folder
from spool.states import State
from spool.store.base import HELD_TYPE, Hold, Outgoing
from tests.desk import Turned, arrive, clocked, make_home

DAY_S = 86_400.0


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with two agents that are held at their third turn within an hour, and two peers."""
    with clocked(make_home(tmp_path, "me", "you", host="loop_turns = 2"), now, agent="me") as made:
        yield made


def answer(spool: Spool, now: Turned, n: int, **more: Any) -> Posted:
    """One more message comes in the thread `t`, and `me` answers it."""
    now.at += 1.0
    arrive(spool, id=f"in{n}", thread="t", now=now.at)
    given = {"to": "cloud-1", "subject": f"answer {n}", "re": f"in{n}", "thread": "t", **more}
    return spool.post([given])[0]


def answers(spool: Spool, now: Turned, count: int = 3) -> list[Posted]:
    return [answer(spool, now, n) for n in range(count)]


def leased(spool: Spool, now: Turned, peer: str = "cloud") -> list[str]:
    """The ids of what a link to a peer would carry now, in order."""
    with spool.store.write(sync=False) as tx:
        generation = tx.peers.raise_generation(peer)
    load = outbox.lease(spool.store, peer, generation=generation, now=now.at, limit=100)
    return [parcel.id for parcel in load.parcels]


def hold(spool: Spool) -> tuple[Hold, list[Outgoing]]:
    """The only one."""
    (found,) = spool.held()
    return found


def test_it_is_queued_and_not_carried(spool: Spool, now: Turned) -> None:
    """Neither refused nor lost: what came before it goes, and the word that it is held."""
    first, second, held = answers(spool, now)

    assert (first.held, second.held, held.held, held.state) == (False, False, True, State.QUEUED)
    *carried, notice = leased(spool, now)
    assert carried == [first.id, second.id]
    assert (spool.sent(notice).type, spool.sent(notice).thread) == (HELD_TYPE, "t")
    with spool.store.read() as tx:
        assert tx.outbox.waiting() == {"cloud": 3} and tx.loops.count() == 1


def test_further_messages_there_are_held_too(spool: Spool, now: Turned) -> None:
    """Also one that answers nothing; the other side is told no second time."""
    answers(spool, now)
    more = [spool.post([{"to": to, "subject": "more", "thread": "t"}])[0] for to in ("cloud-2", "you")]

    assert all(each.held for each in more) and spool.unread(agent="you") == 0
    assert len(leased(spool, now)) == 3


def test_others_and_other_threads_are_not(spool: Spool, now: Turned) -> None:
    """It holds one agent in one thread; what comes is taken as ever."""
    answers(spool, now)
    plain = spool.post(
        [{"to": "cloud-1", "subject": "New"}, {"to": "cloud-1", "subject": "s", "thread": "u"}]
    )
    other = spool.post([{"from": "you", "to": "cloud-1", "subject": "s", "thread": "t"}])

    assert not any(each.held for each in (*plain, *other))
    arrive(spool, id="in9", thread="t", now=now.at)
    assert "in9" in [row.id for row in spool.inbox()]


def test_zero_holds_nothing(tmp_path: Path, now: Turned) -> None:
    """For a host whose agents are meant to go on."""
    with clocked(make_home(tmp_path, "me", host="loop_turns = 0"), now) as spool:
        assert not any(each.held for each in answers(spool, now, 40))


def test_turns_before_the_window_do_not_count(tmp_path: Path, now: Turned) -> None:
    """The window is as long as the config says."""
    with clocked(make_home(tmp_path, "me", host="loop_turns = 2\nloop_window_s = 10.0"), now) as spool:
        for n in range(8):
            now.at += 5.0
            assert not answer(spool, now, n).held
        assert answer(spool, now, 8).held


def test_released_it_goes_in_order(spool: Spool, now: Turned) -> None:
    """As it was sent, before what is sent after."""
    *_, held = answers(spool, now)
    later = answer(spool, now, 3)
    rows = spool.release(hold(spool)[0])

    assert [row.id for row in rows] == [held.id, later.id]
    new = answer(spool, now, 4)
    # The word of the hold has the lowest priority, so it comes last of all.
    assert not new.held and leased(spool, now)[2:-1] == [held.id, later.id, new.id]
    assert spool.held() == [] and spool.sent(held.id).reason is None


def test_released_to_an_agent_here_it_arrives(spool: Spool, now: Turned, tmp_path: Path) -> None:
    """Not before; its files wait with it."""
    report = tmp_path / "report"
    report.write_bytes(b"all is well")
    answers(spool, now)
    given = {"to": "you", "subject": "s", "thread": "t"}
    (held,) = spool.post([given], attach=[report])
    (file,) = held.attachments
    now.at += 2 * WHOLE_S
    attachments.forget(spool.store, spool.home, now=now.at)
    assert spool.unread(agent="you") == 0

    spool.release(hold(spool)[0])
    (row,) = spool.inbox(agent="you")
    assert (row.id, row.received_at) == (held.id, now.at) and Folder(spool.home).has(file)
    assert spool.state(held.id) is State.RECEIVED
    now.at += 2 * WHOLE_S
    attachments.forget(spool.store, spool.home, now=now.at)
    with spool.store.read() as tx:
        assert tx.attachments.shown_to(file.sha256, "you")
    (message,) = spool.receive(agent="you")
    assert [path.read_bytes() for path in message.attachments] == [b"all is well"]


def test_dropped_it_is_dead_with_the_reason(spool: Spool, now: Turned) -> None:
    """And the agent may write there again."""
    *_, held = answers(spool, now)
    spool.drop_held(hold(spool)[0])

    row = spool.sent(held.id)
    assert (row.state, row.reason) == (State.DEAD, loops.DROPPED)
    assert spool.held() == [] and not answer(spool, now, 3).held


def test_it_expires_as_any_other(spool: Spool, now: Turned) -> None:
    """At the end of its lifetime; the hold itself stands until a person has looked."""
    *_, held = answers(spool, now)
    while now.at < 1_000_000.0 + 7 * DAY_S + 60:
        now.at += 1800.0
        sweep.run(spool.store, spool.config.host, spool.home, now=now.at)

    row = spool.sent(held.id)
    assert (row.state, row.reason) == (State.DEAD, loops.EXPIRED)
    assert hold(spool)[1] == []


def test_what_expired_is_not_released(spool: Spool, now: Turned) -> None:
    """The sweep ends it, however late it comes."""
    *_, held = answers(spool, now)
    now.at += 8 * DAY_S
    assert spool.release(hold(spool)[0]) == []
    assert spool.sent(held.id).due is None


def test_it_can_be_taken_back(spool: Spool, now: Turned) -> None:
    """It is queued, after all."""
    *_, held = answers(spool, now)
    spool.cancel(held.id)

    assert spool.state(held.id) is State.DEAD
    assert hold(spool)[1] == []


def test_dead_mail_for_an_agent_here_is_delivered_when_tried_again(spool: Spool, now: Turned) -> None:
    """No link would ever carry it."""
    answers(spool, now)
    (held,) = spool.post([{"to": "you", "subject": "s", "thread": "t"}])
    spool.cancel(held.id)
    spool.retry_dead(held.id)

    assert spool.state(held.id) is State.RECEIVED
    assert [row.id for row in spool.inbox(agent="you")] == [held.id]


def test_it_dies_with_its_peer(spool: Spool, now: Turned) -> None:
    """A peer that is removed takes with it what waits for it."""
    *_, held = answers(spool, now)
    assert held.id in spool.forget_peer("cloud")


def test_the_same_message_again_is_the_same(spool: Spool, now: Turned) -> None:
    """A caller that does not know whether it was sent hears that it is held; no turn is counted."""
    answers(spool, now, 2)
    first = answer(spool, now, 2, id="mine")
    again = spool.post([{"id": "mine", "to": "cloud-1", "subject": "answer 2", "re": "in2", "thread": "t"}])[
        0
    ]

    assert first == again and again.held
    assert len(hold(spool)[1]) == 1


def test_a_thread_that_was_filled_in_is_not_part_of_the_hash(spool: Spool, now: Turned) -> None:
    """The same call again sends nothing, also when what it answers is known no more, or only now."""
    given = {"id": "mine", "to": "cloud-1", "subject": "s", "re": "in0"}
    first = spool.post([given])[0]
    assert spool.sent("mine").thread is None
    arrive(spool, id="in0", thread="t", now=now.at)

    assert spool.post([given])[0] == first
    other = spool.post([{**given, "id": "other"}])[0]
    row = spool.sent(other.id)
    assert (row.thread, "thread" in row.filled) == ("t", True) and b'"thread":"t"' in row.raw
    with spool.store.write(sync=False) as tx:
        tx.inbox._db.execute("DELETE FROM inbox")  # type: ignore[attr-defined]
    assert spool.post([{**given, "id": "other"}])[0] == other


def test_a_thread_of_its_own_stays(spool: Spool, now: Turned) -> None:
    """What a sender says counts, whatever is answered."""
    arrive(spool, id="in0", thread="t", now=now.at)
    id = spool.send("cloud-1", subject="s", re="in0", thread="u")
    row = spool.sent(id)
    assert (row.thread, "thread" in row.filled) == ("u", False)


def test_an_answer_without_a_thread_belongs_to_what_it_answers(spool: Spool, now: Turned) -> None:
    """A script says `re` at most, or answers by the subject alone: its talk is one thread all the same."""
    root = spool.send("cloud-1", subject="How are you?")
    arrive(spool, id="in0", re=root, now=now.at)
    second = spool.reply("in0", "And you?", subject="More")
    arrive(spool, id="in1", subject="Re: More", now=now.at)

    assert [row.thread for row in spool.inbox(thread=root)] == [root]
    assert spool.sent(second).thread == root
    (row,) = spool.inbox(unread_only=True)
    assert views.letter(row, now=now.at)["thread"] == root


def test_mail_that_was_archived_still_makes_a_turn(spool: Spool, now: Turned) -> None:
    """Where the archive takes what is done at once, a loop would go unseen."""
    for n in range(3):
        arrive(spool, id=f"in{n}", thread="t", now=now.at)
        spool.done([f"in{n}"])
        now.at += 1.0
        sweep.archive(spool.store, spool.config.host, now=now.at, older_than_s=0.0)
        held = spool.post([{"to": "cloud-1", "subject": "s", "re": f"in{n}"}])[0].held

    assert held


def test_turns_are_forgotten_after_a_day(spool: Spool, now: Turned) -> None:
    """They would be a row for each thread, for ever."""
    answers(spool, now, 2)
    now.at += DAY_S + 60
    sweep.archive(spool.store, spool.config.host, now=now.at)
    with spool.store.read() as tx:
        assert tx.loops.turns("me", "t", since=-1.0, until=now.at) == 0


def test_the_sender_is_told(spool: Spool, now: Turned) -> None:
    """In what `send` says, which an agent reads; with what a person types about it."""
    *_, held = answers(spool, now)
    view = views.posted(spool, held)

    assert (view["held"], view["state"]) == (True, "queued")
    assert view["warnings"][0] == (
        "held, not sent: me answered 2 times in this thread within 60 min, with no person between."
        " Send no more in this thread and tell the person you work for, who can type `spool release t`"
    )
    assert "held" not in views.posted(spool, spool.post([{"to": "cloud-1", "subject": "s"}])[0])


def test_it_is_shown_as_held(spool: Spool, now: Turned) -> None:
    """Where one looks for it: in the outbox, its history and the status, with what to type."""
    *_, held = answers(spool, now)
    now.at += 7200.0
    row = spool.sent(held.id)
    status = views.status(spool, now=now.at)

    assert views.letter(row, now=now.at)["held"] is True
    assert [(e["state"], e["detail"]) for e in views.trace(spool, held.id)["events"]][1:] == [
        ("queued", "held: me answered 2 times in this thread within 60 min, with no person between")
    ]
    assert (status["held"], status["outbox"]["queued"], status["peers"][0]["queued"]) == (1, 4, 3)
    assert (
        "1 message of me to cloud-1 held for 2 h, after 2 turns in a thread: `spool held`, then"
        " `spool release t`"
    ) in views.stuck(spool, status, now=now.at)
    assert loop_views.held(*hold(spool))["messages"] == [held.id]


def test_hold_and_release_are_logged(spool: Spool, now: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence for whoever asks why an agent went silent, and who let it go on."""
    monkeypatch.setattr(log, "_sinks", None)
    log.configure(spool.home, role="cli", host="here", version="0", stderr=False)
    *_, held = answers(spool, now)
    spool.release(hold(spool)[0])

    lines = map(json.loads, (spool.home / "log" / log.FILE).read_bytes().splitlines())
    said = [(each["event"], each["level"], each["id"], each["thread"]) for each in lines if "thread" in each]
    assert said == [
        ("message.held", "warning", held.id, "t"),
        ("message.released", "info", held.id, "t"),
    ]


@pytest.mark.parametrize("given", ["thread-of-ours", "thread-", "f-ours"])
def test_a_hold_is_found_by_its_thread(spool: Spool, now: Turned, given: str) -> None:
    """Whole, or as short as ids may be."""
    for n in range(3):
        arrive(spool, id=f"in{n}", thread="thread-of-ours", now=now.at)
        held = spool.post([{"to": "cloud-1", "subject": "s", "re": f"in{n}"}])[0]

    assert [each for each, _ in spool.holds(given)] == [each for each, _ in spool.holds(held.id)]


def test_a_hold_that_is_none_is_not_found(spool: Spool, now: Turned) -> None:
    """And what fits several threads is not guessed."""
    for thread in ("thread-1", "thread-2"):
        for n in range(3):
            arrive(spool, id=f"{thread}-{n}", thread=thread, now=now.at)
            spool.post([{"to": "cloud-1", "subject": "s", "re": f"{thread}-{n}"}])

    with pytest.raises(NotFound, match="nothing is held"):
        spool.holds("thread-3")
    with pytest.raises(AmbiguousId, match="several threads"):
        spool.holds("thread")
    assert len(spool.holds("thread-1")) == 1

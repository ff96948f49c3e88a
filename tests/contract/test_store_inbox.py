"""What every store promises of messages for the agents of its host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from spool.states import Held
from spool.store.base import Exists, Incoming, Store
from tests.rows import put_in

TAKE_S = 300.0


def take(store: Store, agent: str = "me", *, now: float = 10.0, lease: int = 1) -> Incoming | None:
    with store.write(sync=False) as tx:
        return tx.inbox.take(agent, now=now, until=now + TAKE_S, lease=lease)


def taken(store: Store, **more: Any) -> Incoming:
    found = take(store, **more)
    assert found is not None
    return found


def finish(store: Store, seq: int, *, lease: int | None = None) -> bool:
    with store.write(sync=True) as tx:
        return tx.inbox.finish(seq, now=20.0, outcome="done", note="well", lease=lease)


def give_back(store: Store, seq: int, lease: int) -> bool:
    with store.write(sync=False) as tx:
        return tx.inbox.give_back(seq, lease)


def row(store: Store, id: str = "m1", sender: str = "you") -> Incoming:
    with store.read() as tx:
        found = tx.inbox.exact(id, sender)
    assert found is not None
    return found


def archive(store: Store) -> None:
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=100)


def test_a_message_is_kept_as_it_was_put(store: Store) -> None:
    """Unread, its bytes untouched."""
    (seq,) = put_in(store, "m1", raw=b'{"b" : 1.0}\xc3\xa9', hops='["a","b"]', deadline_at=5.0)

    found = row(store)
    assert (found.seq, found.state, found.attempts, found.peer) == (seq, Held.UNREAD, 0, "p")
    assert (found.raw, found.hops, found.deadline_at) == (b'{"b" : 1.0}\xc3\xa9', ["a", "b"], 5.0)
    assert not (found.archived or found.overdue or found.answered)


@pytest.mark.parametrize("where", ["live", "archived"])
def test_a_key_is_taken_once(store: Store, where: str) -> None:
    """By sender and id; the archive counts."""
    (seq,) = put_in(store, "m1")
    if where == "archived":
        finish(store, seq)
        archive(store)

    with pytest.raises(Exists):
        put_in(store, "m1")
    put_in(store, "m1", sender="another")


def test_the_most_urgent_oldest_is_taken_first(store: Store) -> None:
    """For this agent only; none when all are taken."""
    for id, priority, agent in (
        ("a", 2, "me"),
        ("b", 0, "me"),
        ("c", 2, "me"),
        ("d", 0, "else"),
        ("e", 0, "me"),
    ):
        put_in(store, id, priority=priority, agent=agent)

    found = [each.id for each in iter(lambda: take(store), None)]
    assert found == ["b", "e", "a", "c"]


def test_taking_counts_an_attempt_and_does_not_mark_read(store: Store) -> None:
    """Showing it is another thing."""
    put_in(store, "m1")
    first = taken(store, now=10.0, lease=7)
    again = taken(store, now=10.0 + TAKE_S, lease=8)

    assert (first.attempts, again.attempts, first.state) == (1, 2, Held.UNREAD)
    assert (first.lease, first.lease_until, again.lease) == (7, 310.0, 8)


def test_two_readers_never_hold_the_same(store: Store, open_store: Callable[[], Store]) -> None:
    """Four at once over stores of their own: each message is held by exactly one."""
    put_in(store, *(f"m{n:02}" for n in range(60)))
    held: list[list[str]] = [[] for _ in range(4)]

    def reader(n: int, mine: Store) -> None:
        for found in iter(lambda: take(mine, lease=n + 1), None):
            held[n].append(found.id)

    readers = [threading.Thread(target=reader, args=(n, open_store())) for n in range(4)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()

    assert sorted(id for each in held for id in each) == [f"m{n:02}" for n in range(60)]


@pytest.mark.parametrize("jump_s", [-365 * 86_400.0, -7200.0])
def test_a_lease_absurdly_far_ahead_is_free(store: Store, jump_s: float) -> None:
    """The clock was wrong when it was written."""
    put_in(store, "m1")
    taken(store, now=10.0)

    assert taken(store, now=10.0 + jump_s, lease=2).lease == 2


def test_a_lease_of_an_hour_holds_to_its_end(store: Store) -> None:
    """Longer than that no reader asks for: what stands further ahead was written by another clock."""
    put_in(store, "m1")
    with store.write(sync=False) as tx:
        tx.inbox.take("me", now=10.0, until=3610.0, lease=1)

    assert take(store, now=10.0) is None
    assert taken(store, now=9.5).lease == 1


def test_a_lease_is_of_one_message(store: Store) -> None:
    """Whatever number the reader chose for it: what becomes of one leaves the others."""
    first, second = put_in(store, "m1", "m2")
    for _ in range(2):
        taken(store, lease=1)
    with store.write(sync=False) as tx:
        assert tx.inbox.renew(first, 1, until=600.0)

    assert taken(store, now=311.0, lease=1).id == "m2"
    assert give_back(store, second, 1)
    assert taken(store, now=312.0).id == "m2"
    assert take(store, now=312.0) is None


def test_a_lease_is_renewed(store: Store) -> None:
    """For as long as the reader works."""
    (seq,) = put_in(store, "m1")
    taken(store, now=10.0, lease=1)
    with store.write(sync=False) as tx:
        assert tx.inbox.renew(seq, 1, until=600.0)

    assert take(store, now=599.0, lease=2) is None
    assert take(store, now=600.0, lease=2) is not None


@pytest.mark.parametrize("how", ["taken over", "given back", "done", "never held"])
def test_a_lost_lease_is_not_renewed(store: Store, how: str) -> None:
    """The reader is told."""
    (seq,) = put_in(store, "m1")
    if how != "never held":
        taken(store, now=10.0, lease=1)
    match how:
        case "taken over":
            taken(store, now=1_000.0, lease=2)
        case "given back":
            give_back(store, seq, 1)
        case "done":
            finish(store, seq, lease=1)

    with store.write(sync=False) as tx:
        assert not tx.inbox.renew(seq, 1, until=9_000.0)


def test_a_lease_that_was_given_back_is_free(store: Store) -> None:
    """Once; the attempt stays counted."""
    (seq,) = put_in(store, "m1")
    taken(store, lease=1)

    assert give_back(store, seq, 1)
    assert not give_back(store, seq, 1)
    assert taken(store, lease=2).attempts == 2
    assert not give_back(store, seq, 1)


def test_a_message_is_marked_read_once(store: Store) -> None:
    """It stays open, and can be taken."""
    (seq,) = put_in(store, "m1")
    with store.write(sync=False) as tx:
        assert [tx.inbox.mark_read(seq, now=now) for now in (5.0, 6.0)] == [True, False]

    assert (row(store).state, row(store).read_at) == (Held.READ, 5.0)
    assert taken(store).state is Held.READ


def test_a_message_is_done_once(store: Store) -> None:
    """With its outcome; then nobody takes it, marks it or finishes it again."""
    (seq,) = put_in(store, "m1")
    assert finish(store, seq)
    found = row(store)

    assert (found.state, found.done_at, found.read_at, found.outcome, found.note) == (
        Held.DONE,
        20.0,
        20.0,
        "done",
        "well",
    )
    assert take(store) is None and not finish(store, seq)
    with store.write(sync=False) as tx:
        assert not tx.inbox.mark_read(seq, now=30.0)
    assert not finish(store, seq + 1)


def test_who_lost_the_lease_cannot_finish(store: Store) -> None:
    """Another reader has it and may be in the middle of it."""
    (seq,) = put_in(store, "m1")
    taken(store, now=10.0, lease=1)
    taken(store, now=1_000.0, lease=2)

    assert not finish(store, seq, lease=1)
    assert row(store).state is Held.UNREAD
    assert finish(store, seq, lease=2)


def test_who_gave_it_back_cannot_finish(store: Store) -> None:
    """Not by that lease."""
    (seq,) = put_in(store, "m1")
    taken(store, lease=1)
    give_back(store, seq, 1)

    assert not finish(store, seq, lease=1)


def test_who_has_no_lease_may_finish(store: Store) -> None:
    """`spool done ID`, by hand; the reader that holds it finds its lease lost."""
    (seq,) = put_in(store, "m1")
    taken(store, lease=1)

    assert finish(store, seq)
    with store.write(sync=False) as tx:
        assert not tx.inbox.renew(seq, 1, until=999.0)


def test_what_is_open_stands_with_the_overdue_first(store: Store) -> None:
    """Then by urgency, then by age; for one agent or all, unread only or not, and so many."""
    put_in(store, "a", "b")
    put_in(store, "late", priority=3, deadline_at=5.0)
    put_in(store, "urgent", priority=0, agent="else")
    finish(store, put_in(store, "done")[0])
    with store.write(sync=False) as tx:
        tx.sweepings.overdue(now=6.0)
        tx.inbox.mark_read(row(store, "a").seq, now=6.0)

    with store.read() as tx:
        assert [each.id for each in tx.inbox.open(None)] == ["late", "urgent", "a", "b"]
        assert [each.id for each in tx.inbox.open("me", unread_only=True)] == ["late", "b"]
        assert [each.id for each in tx.inbox.open("me", limit=1)] == ["late"]
        assert [each.id for each in tx.inbox.open(None, priority=2)] == ["urgent", "a", "b"]
        assert tx.inbox.open("nobody") == []


def test_answers_are_found_oldest_first(store: Store) -> None:
    """Live and archived together; only those for this agent."""
    put_in(store, "first", "second", "third", re="m0")
    put_in(store, "elses", "elses-ended", re="m0", agent="else")
    put_in(store, "no-answer")
    for id in ("first", "third", "elses-ended"):
        finish(store, row(store, id).seq)
    archive(store)

    with store.read() as tx:
        found = tx.inbox.answers("m0", "me")
        assert [(each.id, each.archived) for each in found] == [
            ("first", True),
            ("second", False),
            ("third", True),
        ]
        assert tx.inbox.answers("m9", "me") == []


def test_that_it_was_answered_is_noted(store: Store) -> None:
    """By the agent that has it."""
    put_in(store, "m1")
    with store.write(sync=False) as tx:
        tx.inbox.answered("m1", "somebody-else")
    assert not row(store).answered
    with store.write(sync=False) as tx:
        tx.inbox.answered("m1", "me")

    assert row(store).answered


def test_messages_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    """Live ones first, then the archive; of one agent or of all."""
    put_in(store, "msg-1", "msg-2")
    put_in(store, "msg-3", agent="else")
    finish(store, row(store, "msg-1").seq)
    archive(store)

    with store.read() as tx:
        assert [(each.id, each.archived) for each in tx.inbox.find("msg", agent="me")] == [
            ("msg-2", False),
            ("msg-1", True),
        ]
        assert len(tx.inbox.find("msg")) == 3
        assert tx.inbox.find("%") == []


def test_the_counts(store: Store) -> None:
    """By state, for an agent, since when, and what is late."""
    put_in(store, "a", received_at=5.0, deadline_at=50.0)
    put_in(store, "b", received_at=3.0, agent="else")
    finish(store, put_in(store, "c", received_at=1.0, deadline_at=1.0)[0])

    with store.read() as tx:
        assert tx.inbox.counts() == {"unread": 2, "done": 1}
        assert (tx.inbox.unread("me"), tx.inbox.unread("nobody")) == (1, 0)
        assert tx.inbox.oldest_unread() == 3.0
        assert [tx.inbox.late(now=now) for now in (49.0, 50.0)] == [0, 1]


def test_what_is_late_is_open_and_not_answered(store: Store) -> None:
    """That it was read ends nothing, and an answer is what was asked for."""
    for id in ("unread", "read", "answered", "done"):
        put_in(store, id, deadline_at=5.0)
    finish(store, row(store, "done").seq)
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(row(store, "read").seq, now=2.0)
        tx.inbox.answered("answered", "me")

    with store.read() as tx:
        assert tx.inbox.late(now=5.0) == 2


def test_when_it_was_read_stays_when_it_ends(store: Store) -> None:
    """How long the work took is counted from there."""
    (seq,) = put_in(store, "m1")
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(seq, now=5.0)
    finish(store, seq)

    assert (row(store).read_at, row(store).done_at) == (5.0, 20.0)


def test_what_was_answered_is_overdue_no_more(store: Store) -> None:
    """It stood at the head of what is open, as long as somebody waited."""
    put_in(store, "m1", "m2", deadline_at=5.0)
    with store.write(sync=False) as tx:
        tx.sweepings.overdue(now=6.0)
        tx.inbox.answered("m2", "me")

    assert (row(store).overdue, row(store, "m2").overdue) == (True, False)


@pytest.mark.parametrize("where", ["live", "archived"])
def test_a_key_is_found_exactly(store: Store, where: str) -> None:
    """By id and sender: two agents may choose the same id."""
    put_in(store, "m1", "m2")
    put_in(store, "m1", sender="another")
    if where == "archived":
        for id, sender in (("m1", "you"), ("m2", "you"), ("m1", "another")):
            finish(store, row(store, id, sender).seq)
        archive(store)

    found = [row(store, "m2"), row(store, "m1", "another"), row(store, "m1")]
    assert [(each.id, each.sender) for each in found] == [("m2", "you"), ("m1", "another"), ("m1", "you")]
    assert all(each.archived is (where == "archived") for each in found)
    with store.read() as tx:
        assert tx.inbox.exact("m2", "another") is None


@pytest.mark.parametrize("where", ["live", "archived"])
def test_so_many_are_found_by_the_beginning_of_their_id(store: Store, where: str) -> None:
    """In its order, and none before it or behind it."""
    put_in(store, "msg-3", "msg-1", "msg-2", "a", "z")
    if where == "archived":
        for id in ("msg-3", "msg-1", "msg-2", "a", "z"):
            finish(store, row(store, id).seq)
        archive(store)

    with store.read() as tx:
        assert [each.id for each in tx.inbox.find("msg-")] == ["msg-1", "msg-2", "msg-3"]
        assert [each.id for each in tx.inbox.find("msg-", limit=2)] == ["msg-1", "msg-2"]

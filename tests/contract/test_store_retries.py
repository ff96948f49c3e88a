"""What every store promises of messages that could not be delivered yet, or never."""

from __future__ import annotations

import pytest

from spool.states import State
from spool.store.base import Store
from tests.contract.test_store_outbox import advance, archive, bury, defer
from tests.rows import lease, link, put, row


@pytest.fixture(autouse=True)
def _linked(store: Store) -> None:
    """A link to `p` is up, of generation 1."""
    link(store)


def test_a_deferred_message_waits_until_it_is_due(store: Store) -> None:
    """With the reason and the attempts so far."""
    put(store, "m1")
    (parcel,) = lease(store)

    assert defer(store, parcel, due=100.0)
    assert (row(store).state, row(store).reason, row(store).attempts) == (State.QUEUED, "later", 1)
    assert lease(store, now=99.9) == []
    assert lease(store, now=100.0)[0].attempts == 2


def test_a_deferred_message_goes_behind_its_class(store: Store) -> None:
    """And before the next one: what cannot be delivered must not hold up what can."""
    put(store, "m1", "m2", "m3")
    put(store, "low", priority=3)
    (first,) = lease(store, limit=1)
    defer(store, first, due=10.0)

    assert [parcel.id for parcel in lease(store)] == ["m2", "m3", "m1", "low"]


def test_deferred_messages_keep_the_order_in_which_they_failed(store: Store) -> None:
    """Nobody starves: each goes to the back in turn."""
    put(store, "m1", "m2", "m3")
    for parcel in (leased := lease(store)):
        defer(store, parcel, due=10.0)
    order = [parcel.id for parcel in lease(store)]

    assert order == [parcel.id for parcel in leased] == ["m1", "m2", "m3"]


def test_a_deferred_message_stays_before_what_comes_later(store: Store) -> None:
    """Its place is behind those that waited for the same peer then, however long another's line is."""
    put(store, *(f"q{n}" for n in range(50)), peer="q")
    put(store, "m1", "m2")
    (first,) = lease(store, limit=1)
    defer(store, first, due=10.0)
    put(store, "m3", "m4")

    assert [parcel.id for parcel in lease(store)] == ["m2", "m1", "m3", "m4"]


def test_a_lost_lease_cannot_defer(store: Store) -> None:
    """A newer one of the same link holds it."""
    put(store, "m1")
    (late,) = lease(store, now=10.0)
    (held,) = lease(store, now=100.0)

    assert not defer(store, late)
    assert row(store).reason is None
    assert defer(store, held, due=200.0)


def test_what_was_delivered_cannot_be_deferred(store: Store) -> None:
    """Its ack came first."""
    (seq,) = put(store, "m1")
    (parcel,) = lease(store)
    advance(store, seq, State.RECEIVED)

    assert not defer(store, parcel)
    assert row(store).due is None


def test_a_message_is_buried_with_the_reason(store: Store) -> None:
    """And carried no more."""
    (seq,) = put(store, "m1")

    assert bury(store, seq)
    found = row(store)
    assert (found.state, found.reason, found.dead_at, found.due) == (State.DEAD, "because", 30.0, None)
    assert lease(store) == []


@pytest.mark.parametrize("state", [State.DONE, State.DEAD])
def test_what_has_ended_is_not_buried(store: Store, state: State) -> None:
    """Nor buried twice."""
    (seq,) = put(store, "m1")
    if state is State.DONE:
        advance(store, seq, state)
    else:
        bury(store, seq)

    assert not bury(store, seq)
    assert row(store).state is state


@pytest.mark.parametrize("state", [State.SENT, State.RECEIVED, State.READ])
def test_a_later_hop_may_say_that_it_is_dead(store: Store, state: State) -> None:
    """However far it got."""
    (seq,) = put(store, "m1")
    advance(store, seq, state)

    assert bury(store, seq)


def test_a_lost_lease_cannot_bury(store: Store) -> None:
    """Only who holds it, or who does not need to."""
    (seq,) = put(store, "m1")
    (late,) = lease(store, now=10.0)
    (held,) = lease(store, now=100.0)

    assert not bury(store, seq, lease=late.lease)
    assert bury(store, seq, lease=held.lease)


def test_a_dead_message_is_revived(store: Store) -> None:
    """As if it were new, with another lifetime; one that is not dead is not."""
    (seq,) = put(store, "m1")
    lease(store)
    bury(store, seq)
    with store.write(sync=True) as tx:
        again = [tx.outbox.revive(seq, now=40.0, expires_at=99.0) for _ in range(2)]

    assert again == [True, False]
    found = row(store)
    assert (found.state, found.due, found.attempts, found.expires_at) == (State.QUEUED, 40.0, 0, 99.0)
    assert (found.reason, found.dead_at) == (None, None)
    assert [parcel.attempts for parcel in lease(store, now=40.0)] == [1]


def test_a_revived_message_is_not_archived(store: Store) -> None:
    """It has not ended any more."""
    (seq,) = put(store, "m1")
    bury(store, seq)
    with store.write(sync=True) as tx:
        tx.outbox.revive(seq, now=40.0, expires_at=99.0)
    archive(store)

    assert not row(store).archived


def test_only_a_dead_message_is_dropped(store: Store) -> None:
    """For good; then its key is free."""
    live, dead = put(store, "m1", "m2")
    bury(store, dead)
    with store.write(sync=True) as tx:
        assert [tx.outbox.drop(live), tx.outbox.drop(dead), tx.outbox.drop(dead)] == [False, True, False]

    with store.read() as tx:
        assert tx.outbox.exact("m2", "me") is None
    put(store, "m2")


def test_a_message_that_the_next_hop_does_not_have_is_offered_again(store: Store) -> None:
    """Until it says that it has it."""
    (seq,) = put(store, "m1")
    lease(store)
    advance(store, seq, State.SENT)
    with store.write(sync=False) as tx:
        tx.outbox.offer_again([seq, seq + 1], now=50.0)

    (parcel,) = lease(store, now=50.0)
    assert (parcel.id, parcel.state) == ("m1", "sent")
    assert not advance(store, seq, State.SENT)
    assert row(store).due is None and lease(store, now=10_000.0) == []


@pytest.mark.parametrize("state", [State.RECEIVED, State.READ, State.DONE, State.DEAD])
def test_what_is_proven_is_not_offered_again(store: Store, state: State) -> None:
    """The proof stands."""
    (seq,) = put(store, "m1")
    if state is State.DEAD:
        bury(store, seq)
    else:
        advance(store, seq, state)
    with store.write(sync=False) as tx:
        tx.outbox.offer_again([seq], now=50.0)

    assert lease(store, now=60.0) == []


def test_the_outcome_of_a_done_message_is_kept(store: Store) -> None:
    """Live or archived."""
    (seq,) = put(store, "m1")
    advance(store, seq, State.DONE)
    with store.write(sync=True) as tx:
        tx.outbox.finish("m1", "me", outcome="rejected", note="no")
    archive(store)

    assert (row(store).outcome, row(store).note, row(store).archived) == ("rejected", "no", True)
    with store.write(sync=True) as tx:
        tx.outbox.finish("m1", "me", outcome="done", note=None)
        tx.outbox.finish("nobody", "me", outcome="done", note=None)
    assert (row(store).outcome, row(store).note) == ("done", None)


@pytest.mark.parametrize("where", ["live", "archived"])
def test_an_answer_is_noted(store: Store, where: str) -> None:
    """Live or archived; for an unknown message nothing happens."""
    (seq,) = put(store, "m1")
    if where == "archived":
        bury(store, seq)
        archive(store)
    with store.write(sync=False) as tx:
        tx.outbox.answered("m1", "somebody-else", by="you", peer="p")
        tx.outbox.answered("m9", "me", by="you", peer="p")
    assert not row(store).answered
    with store.write(sync=False) as tx:
        tx.outbox.answered("m1", "me", by="you", peer="p")

    assert row(store).answered


def test_messages_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    """Live ones first, then the archive; never more than asked for, and no character is a pattern."""
    put(store, "msg-1", "msg-2", "msg_3", "other")
    bury(store, row(store, "msg-1").seq)
    archive(store)

    def found(prefix: str, limit: int = 5) -> list[tuple[str, bool]]:
        with store.read() as tx:
            return [(each.id, each.archived) for each in tx.outbox.find(prefix, limit=limit)]

    assert found("msg-") == [("msg-2", False), ("msg-1", True)]
    assert found("msg-2") == [("msg-2", False)]
    assert found("%") == found("MSG") == found("msg-22") == []
    put(store, *(f"x{n}" for n in range(9)))
    assert len(found("x")) == 5


def test_a_key_is_found_exactly(store: Store) -> None:
    """By id and sender."""
    put(store, "m1")
    put(store, "m1", sender="another")

    with store.read() as tx:
        found = tx.outbox.exact("m1", "another")
        assert found is not None and found.sender == "another"
        assert tx.outbox.exact("m", "me") is None


def test_what_is_pending_stands_in_the_order_of_carrying(store: Store) -> None:
    """In the states asked for, of all peers or of one."""
    put(store, "a", priority=3)
    put(store, "b")
    put(store, "c", priority=0, peer="q")
    bury(store, put(store, "d")[0])

    with store.read() as tx:
        both = (State.QUEUED, State.DEAD)
        assert [each.id for each in tx.outbox.pending(limit=9, states=both)] == ["c", "b", "d", "a"]
        assert [each.id for each in tx.outbox.pending(limit=2, states=(State.QUEUED,))] == ["c", "b"]
        assert [each.id for each in tx.outbox.pending(limit=9, states=both, peer="q")] == ["c"]


def test_the_counts(store: Store) -> None:
    """By state; what is to be carried, by peer; since when; and what has no answer in time."""
    put(store, "a", "b", queued_at=5.0, deadline_at=50.0)
    put(store, "c", peer="q", queued_at=3.0)
    advance(store, row(store, "a").seq, State.RECEIVED, id="a")

    with store.read() as tx:
        assert tx.outbox.counts() == {"queued": 2, "received": 1}
        assert tx.outbox.waiting() == {"p": 1, "q": 1}
        assert tx.outbox.oldest_queued() == 3.0
        assert [tx.outbox.late(now=now) for now in (49.0, 50.0)] == [0, 2]


def test_an_empty_outbox_counts_nothing(store: Store) -> None:
    """And has no oldest."""
    with store.read() as tx:
        assert (tx.outbox.counts(), tx.outbox.waiting(), tx.outbox.oldest_queued()) == ({}, {}, None)

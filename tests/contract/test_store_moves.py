"""What every store promises of a row that moved on: nothing stays of what it was, and no other row moves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spool.states import PROOFS, State
from spool.store.base import Exists, KeptFile, Outgoing, Store
from tests.contract.test_store_outbox import advance, bury, defer
from tests.rows import lease, link, new_ack, put, put_in, row

# Before it all else in these tests happens.
LATE = 1_000.0


def archived(store: Store, *, stale: float = LATE) -> None:
    """Move what has ended to the archive, and what was received before `stale`."""
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=1e12, stale_before=stale, limit=100)


def carried(store: Store, id: str, steps: tuple[State, ...]) -> int:
    """A message that went so far; its sequence."""
    (seq,) = put(store, id)
    for at, state in enumerate(steps, start=20):
        if state is State.DEAD:
            bury(store, seq)
        else:
            assert advance(store, seq, state, id=id, now=float(at), there=at - 0.5, host=f"far-{at}")
    return seq


def values(found: Outgoing) -> dict[str, Any]:
    """All of a row but what tells it from another one."""
    known = msgspec.structs.asdict(found)
    return {name: known[name] for name in known if name not in ("seq", "id", "archived", "lease_until")}


def offer_again(store: Store, *seqs: int, now: float = 50.0) -> None:
    with store.write(sync=False) as tx:
        tx.outbox.offer_again(seqs, now=now)


@pytest.mark.parametrize("new", PROOFS)
@pytest.mark.parametrize(
    "before",
    [
        (State.DEAD,),
        (State.SENT, State.DEAD),
        (State.RECEIVED, State.DEAD),
        (State.READ, State.DEAD),
        (State.RECEIVED,),
        (State.READ,),
    ],
)
def test_an_archived_message_moves_as_a_live_one(store: Store, before: tuple[State, ...], new: State) -> None:
    """A late proof finds it wherever it lies, and `trace` shows the same of it."""
    carried(store, "gone", before)
    archived(store)
    live = carried(store, "live", before)
    assert row(store, "gone").archived

    moved = advance(store, live, new, id="live", now=40.0, there=39.0, host="other")
    with store.write(sync=True) as tx:
        also = tx.outbox.advance_archived("gone", "me", new, now=40.0, there=39.0, host="other")

    assert moved is also
    # The far side's word on receipt that comes after the one on reading is filled in with live rows only.
    if moved or new is not State.RECEIVED:
        assert values(row(store, "gone")) == values(row(store, "live"))


@pytest.mark.parametrize("new", [State.SENT, State.RECEIVED, State.READ])
def test_only_what_is_done_has_ended(store: Store, new: State) -> None:
    """What may still move stays where it is looked for first."""
    (seq,) = put(store, "m1")
    if new is not State.SENT:
        bury(store, seq)
    advance(store, seq, new)
    archived(store, stale=0.0)

    assert not row(store).archived


def test_a_far_time_that_was_told_first_stays(store: Store) -> None:
    """A second word on the same is another hop's, or a copy's."""
    seq = carried(store, "m1", (State.READ, State.DEAD))
    advance(store, seq, State.READ, now=40.0, there=39.0, host=None)
    found = row(store)

    assert (found.read_at, found.read_there, found.far_host) == (20.0, 19.5, "far-20")


def test_when_it_was_read_stays_when_it_is_done(store: Store) -> None:
    """Between the two lies the work."""
    carried(store, "m1", (State.READ, State.DONE))

    assert (row(store).read_at, row(store).read_there, row(store).done_at) == (20.0, 19.5, 21.0)


@pytest.mark.parametrize("new", [State.SENT, State.RECEIVED, State.DEAD])
def test_what_moved_on_is_held_by_nobody(store: Store, new: State) -> None:
    """It may be offered again, and would then wait for a lease that nobody gives back."""
    link(store)
    (seq,) = put(store, "m1")
    lease(store)
    if new is State.DEAD:
        bury(store, seq)
    else:
        advance(store, seq, new)

    assert row(store).lease_until == 0.0


@pytest.mark.parametrize("old", [State.SENT, State.RECEIVED])
def test_what_was_offered_again_and_is_there_is_held_by_nobody(store: Store, old: State) -> None:
    """The answer is one it has had before; that it came again moves nothing but the lease."""
    link(store)
    seq = carried(store, "m1", (old,))
    with store.write(sync=False) as tx:
        tx.outbox.doubt("p")
    offer_again(store, seq)
    leased = lease(store, now=50.0)
    advance(store, seq, old, now=60.0)

    assert [parcel.id for parcel in leased] == ["m1"]
    assert (row(store).lease_until, row(store).due, row(store).state) == (0.0, None, old)


def test_what_was_offered_again_counts_from_the_new_answer_on(store: Store) -> None:
    """Whoever looks for what has been silent for an hour would else ask at once."""
    seq = carried(store, "m1", (State.SENT,))
    advance(store, seq, State.SENT, now=30.0)
    once = row(store).sent_at
    offer_again(store, seq)
    advance(store, seq, State.SENT, now=60.0)

    assert (once, row(store).sent_at) == (20.0, 60.0)


@pytest.mark.parametrize("old", [State.QUEUED, State.SENT, State.READ])
@pytest.mark.parametrize("new", [State.SENT, State.RECEIVED])
def test_an_answer_moves_the_message_it_names(store: Store, old: State, new: State) -> None:
    """Both the sequence and the id must fit; a row that went may have left its number to another."""
    first = carried(store, "m1", () if old is State.QUEUED else (old,))
    second = carried(store, "m2", () if old is State.QUEUED else (old,))
    if old is State.SENT:
        offer_again(store, first, second)
    before = [row(store, id) for id in ("m1", "m2")]

    assert not advance(store, first, new, id="m2", there=5.0, host="wrong")
    assert not advance(store, second + 1, new, id="m2", there=5.0, host="wrong")
    assert [row(store, id) for id in ("m1", "m2")] == before


def test_a_deferred_message_is_free_for_the_next_try(store: Store) -> None:
    """Its time decides, and not the lease of the try that failed."""
    link(store)
    put(store, "m1")
    (parcel,) = lease(store, for_s=600.0)
    defer(store, parcel, due=20.0)

    assert len(lease(store, now=20.0)) == 1


def test_one_message_is_offered_again_and_no_other(store: Store) -> None:
    """The far side has the others, and each is a line that it has to answer."""
    link(store)
    seqs = [carried(store, id, (State.SENT,)) for id in ("m1", "m2")]
    offer_again(store, seqs[0])

    assert [parcel.id for parcel in lease(store, now=50.0)] == ["m1"]


def test_what_is_offered_again_is_free(store: Store) -> None:
    """Whoever leased it got an answer: that it is unknown there."""
    link(store)
    (seq,) = put(store, "m1")
    lease(store, now=10.0, for_s=600.0)
    offer_again(store, seq)

    assert len(lease(store, now=50.0)) == 1


def test_what_is_in_doubt_is_of_one_peer(store: Store) -> None:
    """The others were not restored."""
    for id, peer in (("m1", "p"), ("m2", "q"), ("m3", "p"), ("m4", "p")):
        (seq,) = put(store, id, peer=peer)
        if id != "m4":
            advance(store, seq, State.SENT, id=id)
    with store.write(sync=False) as tx:
        tx.outbox.doubt("p")

    with store.read() as tx:
        both = tx.outbox.doubted("p", after=0, limit=9)
        assert [each.id for each in both] == ["m1", "m3"]
        assert [each.id for each in tx.outbox.doubted("p", after=both[0].seq, limit=9)] == ["m3"]
        assert tx.outbox.doubted("q", after=0, limit=9) == []


def test_what_was_told_is_no_more_in_doubt(store: Store) -> None:
    """That one alone, by sender and id."""
    for id, sender in (("m1", "me"), ("m1", "other"), ("m2", "me")):
        (seq,) = put(store, id, sender=sender)
        advance(store, seq, State.SENT, id=id)
    with store.write(sync=False) as tx:
        tx.outbox.doubt("p")
        tx.outbox.believe([("me", "m1")])

    with store.read() as tx:
        left = tx.outbox.doubted("p", after=0, limit=9)
    assert [(each.id, each.sender) for each in left] == [("m1", "other"), ("m2", "me")]


def test_what_is_in_doubt_and_past_its_lifetime_is_not_offered_again(store: Store) -> None:
    """It was received: nothing is lost, and an hour later nobody wants it twice."""
    link(store)
    seqs = []
    for id, expires_at in (("m1", 50.0), ("m2", 50.1)):
        (seq,) = put(store, id, expires_at=expires_at)
        advance(store, seq, State.RECEIVED, id=id)
        seqs.append(seq)
    with store.write(sync=False) as tx:
        tx.outbox.doubt("p")
    offer_again(store, *seqs)

    assert row(store, "m1").due is None
    assert row(store, "m2").due == 50.0


@pytest.mark.parametrize("ahead_s", [3600.0, 3600.5])
def test_what_is_due_or_held_within_an_hour_waits(store: Store, ahead_s: float) -> None:
    """No try is put off, and no lease taken, for longer: further ahead stands what a wrong clock wrote."""
    link(store)
    put(store, "held")
    lease(store, now=10.0, for_s=ahead_s)
    put(store, "due", queued_at=10.0 + ahead_s)
    with store.write(sync=False) as tx:
        tx.acks.put("p", new_ack())
        tx.acks.lease("p", generation=1, now=10.0, until=10.0 + ahead_s, limit=9)

    with store.write(sync=False) as tx:
        acks = tx.acks.lease("p", generation=1, now=10.0, until=11.0, limit=9)
    free = ahead_s > 3600.0
    assert [parcel.id for parcel in lease(store, now=10.0)] == (["held", "due"] if free else [])
    assert len(acks) == (1 if free else 0)


def test_a_lease_of_one_peer_leaves_another_s_acks(store: Store) -> None:
    """Each link carries its own."""
    link(store)
    with store.write(sync=False) as tx:
        tx.acks.put("p", new_ack("m1"))
        tx.acks.put("q", new_ack("m2"))
        leased = tx.acks.lease("p", generation=1, now=10.0, until=70.0, limit=9)

    assert [each.ack.re for each in leased] == ["m1"]


def test_a_held_message_is_not_put_off(store: Store) -> None:
    """It waits for a person; a time would let it go by itself."""
    link(store)
    (seq,) = put(store, "m1")
    (parcel,) = lease(store)
    advance(store, seq, State.SENT)
    with store.write(sync=False) as tx:
        assert not tx.outbox.hold(seq, due=50.0, reason="later")

    assert not defer(store, parcel)
    assert row(store).due is None


def test_a_message_that_is_put_off_unleased_counts_an_attempt(store: Store) -> None:
    """That one alone."""
    first, _ = put(store, "m1", "m2")
    with store.write(sync=False) as tx:
        assert tx.outbox.hold(first, due=50.0, reason="later")

    found = [(row(store, id).due, row(store, id).reason, row(store, id).attempts) for id in ("m1", "m2")]
    assert found == [(50.0, "later", 1), (1.0, None, 0)]


def test_an_outcome_is_of_one_message(store: Store) -> None:
    """By sender and id, live or archived."""
    for id, sender in (("m1", "me"), ("m1", "other"), ("m2", "me")):
        put(store, id, sender=sender)
    with store.write(sync=True) as tx:
        tx.outbox.finish("m1", "me", outcome="done", note="n")

    found = [row(store, id, sender).outcome for id, sender in (("m1", "me"), ("m1", "other"), ("m2", "me"))]
    assert found == ["done", None, None]


@pytest.mark.parametrize("where", ["live", "archived"])
@pytest.mark.parametrize(
    ("recipient", "by"), [("you@far", "you"), ("you", "you"), ("you@far", "another"), ("yo", "you")]
)
def test_who_may_answer_is_whom_it_was_for_or_anybody_there(
    store: Store, recipient: str, by: str, where: str
) -> None:
    """Over the peer it went to anybody may; over another way only whom it was for."""
    (seq,) = put(store, "m1", recipient=recipient)
    if where == "archived":
        bury(store, seq)
        archived(store)
    with store.write(sync=False) as tx:
        waits = [tx.outbox.awaits("m1", "me", by=by, peer=peer) for peer in ("p", "q")]
        tx.outbox.answered("m1", "me", by=by, peer="q")

    theirs = recipient.partition("@")[0] == by
    assert waits == [True, theirs]
    assert row(store).answered is theirs
    with store.read() as tx:
        assert tx.outbox.awaits("m1", "me", by=by, peer="p") is not theirs


def test_what_was_answered_is_not_overdue(store: Store) -> None:
    """The other one, of another sender, waits on."""
    for sender in ("me", "other"):
        put(store, "m1", sender=sender, deadline_at=5.0)
    with store.write(sync=False) as tx:
        tx.sweepings.overdue(now=6.0)
        tx.outbox.answered("m1", "me", by="you", peer="p")

    assert (row(store).overdue, row(store, sender="other").overdue) == (False, True)


def test_what_is_late_is_live_and_not_answered(store: Store) -> None:
    """An end, or an answer, ends the waiting."""
    for id in ("waits", "answered", "done", "dead"):
        put(store, id, deadline_at=5.0)
    advance(store, row(store, "done").seq, State.DONE, id="done")
    bury(store, row(store, "dead").seq)
    with store.write(sync=False) as tx:
        tx.outbox.answered("answered", "me", by="you", peer="p")

    with store.read() as tx:
        assert tx.outbox.late(now=5.0) == 1


def test_what_is_unproven_was_left_and_waits_for_nothing(store: Store) -> None:
    """Page by page, of one peer; what is offered again, or proven, is not looked for in its folder."""
    for id, peer in (("m1", "p"), ("m2", "q"), ("m3", "p"), ("m4", "p"), ("m5", "p"), ("m6", "p")):
        (seq,) = put(store, id, peer=peer)
        if id != "m6":
            advance(store, seq, State.SENT, id=id, now=20.0)
    advance(store, row(store, "m4").seq, State.RECEIVED, id="m4")
    offer_again(store, row(store, "m5").seq)

    with store.read() as tx:
        found = tx.outbox.unproven("p", after=0, limit=9)
        assert [each.id for each in found] == ["m1", "m3"]
        assert [each.id for each in tx.outbox.unproven("p", after=found[0].seq, limit=9)] == ["m3"]
        assert [each.id for each in tx.outbox.unproven("p", after=0, limit=1)] == ["m1"]


def test_a_question_is_found_by_its_subject(store: Store) -> None:
    """The latest one that was not answered, by its sender and whom it was for, with its host or without."""
    for id, more in (
        ("m1", {}),
        ("m2", {"recipient": "you@far"}),
        ("m3", {"raw": b'{"subject":"other"}'}),
        ("m4", {"sender": "another"}),
        ("m5", {"recipient": "youth"}),
        ("m6", {}),
    ):
        put(store, id, **{"raw": b'{"subject":"why"}', **more})
    with store.write(sync=False) as tx:
        tx.outbox.answered("m6", "me", by="you", peer="p")
        found = [tx.outbox.asked("me", "you", subject) for subject in ("why", "other", "what")]
        elses = tx.outbox.asked("nobody", "you", "why")
        tx.outbox.answered("m2", "me", by="you", peer="p")
        tx.outbox.answered("m1", "me", by="you", peer="p")
        again = tx.outbox.asked("me", "you", "why")

    assert (found, elses, again) == (["m2", "m3", None], None, "m6")


def test_an_archived_key_is_taken_for_its_sender_alone(store: Store) -> None:
    """Two agents may choose the same id, and one of them twice."""
    (seq,) = put(store, "m1")
    bury(store, seq)
    archived(store)

    with pytest.raises(Exists, match="m1"):
        put(store, "m1")
    put(store, "m1", sender="other")
    put(store, "m2")
    assert row(store, "m2").seq > row(store, sender="other").seq > seq


def test_kept_files_are_of_one_peer(store: Store) -> None:
    """By name, in its order; a name that is no text in this host's encoding comes back as it was."""
    odd = "\udcff.json"
    with store.write(sync=False) as tx:
        for peer, name in (("p", "b.json"), ("p", "a.json"), ("q", "c.json"), ("p", odd)):
            tx.kept_files.put(peer, KeptFile(name, 5, 6.0, b"d" * 32, 7.0))
        tx.kept_files.put("p", KeptFile("a.json", 8, 9.0, b"e" * 32, 10.0))
        tx.kept_files.drop("p", ["b.json", "c.json"])

    with store.read() as tx:
        assert tx.kept_files.of("p") == [
            KeptFile("a.json", 8, 9.0, b"e" * 32, 10.0),
            KeptFile(odd, 5, 6.0, b"d" * 32, 7.0),
        ]
        assert [each.name for each in tx.kept_files.of("q")] == ["c.json"]


def test_the_newest_are_found_by_their_ending(store: Store) -> None:
    """Of the inbox, too: a person types what the last line shows, and that is none of the archive."""
    (past,) = put_in(store, "l-x")
    with store.write(sync=True) as tx:
        tx.inbox.finish(past, now=20.0, outcome="done", note=None)
    archived(store)
    put_in(store, "m-x", "m-y", "n-x")

    with store.read() as tx:
        assert [each.id for each in tx.inbox.ending("-x")] == ["n-x", "m-x"]
        assert [each.id for each in tx.inbox.ending("-x", limit=1)] == ["n-x"]


@pytest.mark.parametrize("where", ["live", "archived"])
def test_a_key_is_found_exactly_wherever_it_lies(store: Store, where: str) -> None:
    """By sender and id."""
    for sender in ("me", "other"):
        (seq,) = put(store, "m1", sender=sender)
        if where == "archived":
            bury(store, seq)
    archived(store)

    assert [row(store, sender=sender).sender for sender in ("other", "me")] == ["other", "me"]
    with store.read() as tx:
        assert tx.outbox.exact("m1", "nobody") is None


@pytest.mark.parametrize("many", range(1, 7))
def test_what_is_pending_stands_in_its_order_whatever_the_states(store: Store, many: int) -> None:
    """The most urgent first, then the oldest."""
    put(store, "a", priority=3)
    put(store, "b", "c", priority=1)

    with store.read() as tx:
        for peer in (None, "p"):
            found = tx.outbox.pending(limit=9, states=list(State)[:many], peer=peer)
            assert [each.id for each in found] == ["b", "c", "a"]
        assert tx.outbox.pending(limit=9, states=list(State)[:many], peer="q") == []


def test_a_revived_message_was_never_on_its_way(store: Store) -> None:
    """It is sent anew: what was known of its first way is of another try."""
    seq = carried(store, "m1", (State.SENT, State.DEAD))
    with store.write(sync=True) as tx:
        assert tx.outbox.revive(seq, now=40.0, expires_at=99.0)

    assert (row(store).sent_at, row(store).attempts) == (None, 0)


@pytest.mark.parametrize("state", [State.RECEIVED, State.READ, State.DONE])
def test_a_late_word_on_receipt_is_filled_in_whatever_came_first(store: Store, state: State) -> None:
    """Once; and what was told before a death is not told anew after it."""
    (seq,) = put(store, "m1")
    advance(store, seq, state, there=None if state is State.RECEIVED else 25.0, host=None)
    for there, host in ((18.0, "far"), (99.0, "other")):
        assert not advance(store, seq, State.RECEIVED, there=there, host=host)
    once = row(store)
    if state is State.RECEIVED:
        bury(store, seq)
        advance(store, seq, State.RECEIVED, now=40.0, there=39.0, host=None)

    assert (once.received_there, once.far_host) == (18.0, "far")
    assert (row(store).received_there, row(store).far_host) == (18.0, "far")

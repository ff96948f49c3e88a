"""What every store promises of the messages to deliver."""

from __future__ import annotations

from typing import Any

import pytest

from spool.states import PROOFS, State
from spool.store.base import Exists, Store
from tests.rows import new_outgoing, put, row

YEAR_S = 365 * 86_400.0


def advance(store: Store, seq: int, new: State, id: str = "m1", **more: Any) -> bool:
    values = {"now": 20.0, "there": 19.0, "host": "far", **more}
    with store.write(sync=False) as tx:
        return tx.outbox.advance(seq, id, new, **values)


def bury(store: Store, seq: int, *, lease: int | None = None) -> bool:
    with store.write(sync=False) as tx:
        return tx.outbox.bury(seq, now=30.0, reason="because", lease=lease)


def defer(store: Store, parcel: Any, due: float = 100.0) -> bool:
    with store.write(sync=False) as tx:
        return tx.outbox.defer(parcel, due=due, reason="later")


def archive(store: Store) -> None:
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=100)


def test_a_message_is_kept_as_it_was_put(store: Store) -> None:
    """Queued, due at once, its bytes untouched."""
    new = new_outgoing(
        "m1", origin="q", hops='["a","b"]', re="m0", thread="m0", deadline_at=5.0, raw=b'{"b" : 1.0}\xc3\xa9'
    )
    with store.write(sync=True) as tx:
        seq = tx.outbox.put(new)

    found = row(store)
    assert (found.seq, found.state, found.due, found.attempts) == (seq, State.QUEUED, 1.0, 0)
    assert (found.hops, found.filled, found.raw, found.digest) == (["a", "b"], ["id"], new.raw, new.digest)
    assert (found.origin, found.re, found.thread, found.deadline_at) == ("q", "m0", "m0", 5.0)
    assert not (found.archived or found.overdue or found.answered)


def test_sequences_go_up_and_are_never_given_twice(store: Store) -> None:
    """Also after the newest row has gone."""
    first, second = put(store, "m1", "m2")
    bury(store, second)
    with store.write(sync=False) as tx:
        assert tx.outbox.drop(second)

    assert first < second < put(store, "m3")[0]


@pytest.mark.parametrize("where", ["live", "archived"])
def test_a_key_is_taken_once(store: Store, where: str) -> None:
    """By sender and id; the archive counts."""
    (seq,) = put(store, "m1")
    if where == "archived":
        bury(store, seq)
        archive(store)

    with pytest.raises(Exists):
        put(store, "m1", recipient="somebody-else")
    assert row(store).recipient == "you"
    put(store, "m1", sender="another")


def test_a_local_message_is_received_from_the_start(store: Store) -> None:
    """There is nothing to carry."""
    with store.write(sync=True) as tx:
        tx.outbox.put_local(new_outgoing(peer=""), at=2.0, host="here")

    found = row(store)
    assert (found.state, found.due, found.far_host) == (State.RECEIVED, None, "here")
    assert found.received_at == found.received_there == found.sent_at == 2.0
    with pytest.raises(Exists), store.write(sync=True) as tx:
        tx.outbox.put_local(new_outgoing(peer=""), at=3.0, host="here")


@pytest.mark.parametrize("new", [State.SENT, *PROOFS])
@pytest.mark.parametrize("old", list(State))
def test_a_message_moves_forward_only(store: Store, old: State, new: State) -> None:
    """On proof, whether or not it is leased; a proof counts also on a dead one."""
    (seq,) = put(store, "m1")
    match old:
        case State.DEAD:
            bury(store, seq)
        case State.QUEUED:
            pass
        case _:
            advance(store, seq, old)

    order = list(State)
    forward = order.index(new) > order.index(old) if old is not State.DEAD else new in PROOFS
    assert advance(store, seq, new) is forward
    assert row(store).state is (new if forward else old)
    assert row(store).due == (None if forward or old is not State.QUEUED else 1.0)


@pytest.mark.parametrize(
    ("new", "filled"),
    [
        (State.SENT, ("sent_at",)),
        (State.RECEIVED, ("sent_at", "received_at", "received_there")),
        (State.READ, ("sent_at", "received_at", "read_at", "read_there")),
        (State.DONE, ("sent_at", "received_at", "read_at", "done_at", "done_there")),
    ],
)
def test_each_move_leaves_its_times(store: Store, new: State, filled: tuple[str, ...]) -> None:
    """By this host's clock and by the other's; what was skipped on the way happened by then."""
    (seq,) = put(store, "m1")
    advance(store, seq, new, now=20.0, there=19.0)

    times = ("sent_at", "received_at", "received_there", "read_at", "read_there", "done_at", "done_there")
    found = row(store)
    assert {name: getattr(found, name) for name in times} == {
        name: (19.0 if name.endswith("there") else 20.0) if name in filled else None for name in times
    }
    assert found.far_host == (None if new is State.SENT else "far")


def test_a_time_that_was_kept_stays(store: Store) -> None:
    """Later moves do not rewrite history."""
    (seq,) = put(store, "m1")
    advance(store, seq, State.RECEIVED, now=20.0, there=19.0)
    advance(store, seq, State.DONE, now=40.0, there=39.0)

    found = row(store)
    assert (found.received_at, found.received_there, found.done_at, found.done_there) == (
        20.0,
        19.0,
        40.0,
        39.0,
    )


def test_the_far_time_of_receipt_is_filled_in_late(store: Store) -> None:
    """Its word on receipt may come after its word on reading; it moves nothing, and once is enough."""
    (seq,) = put(store, "m1")
    advance(store, seq, State.READ, there=25.0, host=None)

    assert not advance(store, seq, State.RECEIVED, there=18.0, host="far")
    assert not advance(store, seq, State.RECEIVED, there=99.0, host="other")
    found = row(store)
    assert (found.state, found.received_there, found.far_host) == (State.READ, 18.0, "far")


def test_a_proof_on_a_dead_message_takes_its_reason_away(store: Store) -> None:
    """It is not dead."""
    (seq,) = put(store, "m1")
    bury(store, seq)
    advance(store, seq, State.READ)

    found = row(store)
    assert (found.state, found.reason, found.dead_at) == (State.READ, None, None)


def test_a_word_about_another_message_moves_nothing(store: Store) -> None:
    """The sequence and the id must both fit."""
    (seq,) = put(store, "m1")

    assert not advance(store, seq, State.RECEIVED, id="m2")
    assert not advance(store, seq + 1, State.RECEIVED, id="m1")
    assert row(store).state is State.QUEUED


@pytest.mark.parametrize("new", PROOFS)
def test_a_proof_after_the_archive_counts(store: Store, new: State) -> None:
    """The row moves on where it lies; a second time is nothing new."""
    (seq,) = put(store, "m1")
    bury(store, seq)
    archive(store)
    with store.write(sync=True) as tx:
        moves = [
            tx.outbox.advance_archived("m1", sender, new, now=50.0, there=49.0, host="far")
            for sender in ("somebody", "me", "me")
        ]

    assert moves == [False, True, False]
    assert row(store).archived and row(store).state is new


def test_archived_rows_are_not_moved_by_sequence(store: Store) -> None:
    """They have none any more."""
    (seq,) = put(store, "m1")
    bury(store, seq)
    archive(store)

    assert not advance(store, seq, State.DONE)
    assert row(store).state is State.DEAD

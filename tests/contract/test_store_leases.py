"""What every store promises of leases: one holder at a time, and none that holds for ever."""

from __future__ import annotations

import pytest

from spool.store.base import Store
from tests.contract.test_store_outbox import YEAR_S, bury, defer
from tests.rows import lease, link, put


def test_the_most_urgent_is_leased_first(store: Store) -> None:
    """By class, then in the order they came; never more than asked for."""
    link(store)
    for id, priority in (("a", 3), ("b", 2), ("c", 0), ("d", 2), ("e", 0)):
        put(store, id, priority=priority)

    assert [parcel.id for parcel in lease(store, limit=3)] == ["c", "e", "b"]
    assert [parcel.id for parcel in lease(store)] == ["d", "a"]
    assert lease(store) == []


def test_a_lease_says_what_a_link_needs(store: Store) -> None:
    """And counts the attempt."""
    link(store)
    (seq,) = put(store, "m1", origin="q", hops='["a"]', re="m0")
    (parcel,) = lease(store)

    assert (parcel.seq, parcel.id, parcel.sender, parcel.recipient) == (seq, "m1", "me", "you")
    assert (parcel.attempts, parcel.hops, parcel.re, parcel.state) == (1, '["a"]', "m0", "queued")
    assert (parcel.raw, parcel.filled, parcel.origin) == (b'{"body":"text"}', '["id"]', "q")


def test_only_what_is_due_for_this_peer_is_leased(store: Store) -> None:
    """Not another peer's, not what waits for later."""
    link(store)
    put(store, "mine")
    put(store, "theirs", peer="q")
    put(store, "later", queued_at=11.0)

    assert [parcel.id for parcel in lease(store, now=10.0)] == ["mine"]
    assert [parcel.id for parcel in lease(store, now=11.0)] == ["later"]


@pytest.mark.parametrize("generation", [0, 1, 3])
def test_a_link_that_was_taken_over_leases_nothing(store: Store, generation: int) -> None:
    """Nor one that never was."""
    link(store)
    link(store)
    put(store, "m1")

    assert lease(store, generation=generation) == []
    assert len(lease(store, generation=2)) == 1


def test_a_peer_that_was_never_linked_gets_no_lease(store: Store) -> None:
    """It has no generation at all."""
    put(store, "m1")

    assert lease(store, generation=0) == []


def test_what_an_older_link_held_is_free_for_the_newer(store: Store) -> None:
    """At once, and the older one's word on its lease counts for nothing."""
    link(store)
    put(store, "m1")
    (old,) = lease(store)
    link(store)
    (new,) = lease(store, generation=2)

    assert new.attempts == 2
    assert not defer(store, old) and not bury(store, old.seq, lease=old.lease)
    with store.write(sync=False) as tx:
        tx.outbox.release([old])
    assert lease(store, generation=2) == []


def test_a_lease_that_ran_out_is_free(store: Store) -> None:
    """To the moment."""
    link(store)
    put(store, "m1")
    lease(store, now=10.0, for_s=60.0)

    assert lease(store, now=69.9) == []
    assert len(lease(store, now=70.0)) == 1


@pytest.mark.parametrize("jump_s", [-YEAR_S, -2 * 3600.0])
def test_a_lease_absurdly_far_ahead_is_free(store: Store, jump_s: float) -> None:
    """The clock was wrong when it was written and has been put right."""
    link(store)
    put(store, "m1", queued_at=-2 * YEAR_S)
    lease(store, now=10.0)

    assert len(lease(store, now=10.0 + jump_s)) == 1


def test_what_is_due_absurdly_late_is_due(store: Store) -> None:
    """It was sent while the clock was a year ahead."""
    link(store)
    put(store, "m1", queued_at=YEAR_S)

    assert [parcel.id for parcel in lease(store, now=10.0)] == ["m1"]


def test_a_lease_that_was_given_back_is_free_at_once(store: Store) -> None:
    """The next link offers it; giving it back twice, or late, hurts nobody."""
    link(store)
    put(store, "m1")
    (parcel,) = lease(store)
    with store.write(sync=False) as tx:
        tx.outbox.release([parcel])
    (again,) = lease(store)
    with store.write(sync=False) as tx:
        tx.outbox.release([parcel])

    assert lease(store) == [] and again.lease != parcel.lease


def test_what_has_expired_is_not_leased(store: Store) -> None:
    """To the moment; whoever looks for what has ended finds it."""
    link(store)
    put(store, "m1", expires_at=50.0)
    put(store, "m2", expires_at=50.1)

    assert [parcel.id for parcel in lease(store, now=50.0)] == ["m2"]
    with store.read() as tx:
        assert [each.id for each in tx.sweepings.expired(now=50.0, limit=9)] == ["m1"]

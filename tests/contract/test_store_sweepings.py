"""What every store promises to the sweep and the archive."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spool.states import State
from spool.store.base import Store
from tests.contract.test_store_outbox import advance, bury
from tests.rows import lease, link, new_ack, put, put_in, row

DAY_S = 86_400.0


def expired(store: Store, now: float, limit: int = 9) -> list[str]:
    with store.read() as tx:
        return [each.id for each in tx.sweepings.expired(now=now, limit=limit)]


def archive(store: Store, **more: Any) -> int:
    with store.write(sync=False) as tx:
        return tx.sweepings.archive(**{"before": 100.0, "stale_before": 0.0, "limit": 100, **more}).rows


def done_in(store: Store, *ids: str, at: float = 20.0) -> None:
    for seq in put_in(store, *ids):
        with store.write(sync=False) as tx:
            tx.inbox.finish(seq, now=at, outcome="done", note=None)


def test_what_is_past_its_lifetime_has_expired(store: Store) -> None:
    """Soonest first, no more than asked for; only what is still to be carried."""
    put(store, "late", expires_at=50.0)
    put(store, "later", expires_at=60.0)
    put(store, "fresh", expires_at=70.0)
    (arrived,) = put(store, "arrived", expires_at=1.0)
    (gone,) = put(store, "gone", expires_at=1.0)
    advance(store, arrived, State.RECEIVED, id="arrived")
    bury(store, gone)

    assert expired(store, 49.9) == []
    assert expired(store, 60.0) == ["late", "later"]
    assert expired(store, 60.0, limit=1) == ["late"]


def test_what_is_being_delivered_has_not_expired(store: Store) -> None:
    """Not before its lease has run out; one absurdly far ahead holds nothing."""
    link(store)
    put(store, "m1", expires_at=15.0)
    lease(store, now=10.0, for_s=60.0)

    assert expired(store, 69.0) == []
    assert expired(store, 70.0) == ["m1"]
    put(store, "m2", expires_at=80.0)
    lease(store, now=10.0, for_s=10 * DAY_S)
    assert "m2" in expired(store, 90.0)


def test_what_has_no_answer_by_its_deadline_is_overdue_once(store: Store) -> None:
    """On both sides; it stays so, and is told once."""
    put(store, "out", deadline_at=50.0)
    put_in(store, "in", deadline_at=60.0)

    def overdue(now: float) -> tuple[list[str], list[str]]:
        with store.write(sync=False) as tx:
            out, inn = tx.sweepings.overdue(now=now)
            assert all(each.overdue for each in (*out, *inn))
            return [each.id for each in out], [each.id for each in inn]

    assert overdue(49.0) == ([], [])
    assert overdue(50.0) == (["out"], [])
    assert overdue(60.0) == ([], ["in"])
    assert overdue(9e9) == ([], [])
    assert row(store, "out").overdue and row(store, "out").state is State.QUEUED


@pytest.mark.parametrize("how", ["answered", "done", "dead", "no deadline"])
def test_what_is_not_overdue(store: Store, how: str) -> None:
    """It has its answer, or its end, or nobody asked for one by a time."""
    (seq,) = put(store, "m1", deadline_at=None if how == "no deadline" else 50.0)
    match how:
        case "answered":
            with store.write(sync=False) as tx:
                tx.outbox.answered("m1", "me", by="you", peer="p")
        case "done":
            advance(store, seq, State.DONE)
        case "dead":
            bury(store, seq)

    with store.write(sync=False) as tx:
        assert tx.sweepings.overdue(now=9e9) == ([], [])


def test_what_waits_long_rises_a_class(store: Store) -> None:
    """One for each time waited, counted from the class its sender asked for; nothing starves."""
    link(store)
    put(store, "low", priority=3, queued_at=0.0)
    put(store, "high", priority=1, queued_at=650.0)

    def order(now: float, promoted: int) -> list[str]:
        with store.write(sync=False) as tx:
            aged = tx.sweepings.aged(now=now, after_s=600.0)
            assert len(aged) == tx.sweepings.promote(aged, now=now, after_s=600.0) == promoted
            return [each.id for each in tx.outbox.pending(limit=9, states=(State.QUEUED,))]

    assert order(599.0, 0) == ["high", "low"]
    assert order(600.0, 1) == ["high", "low"]
    assert order(601.0, 0) == ["high", "low"]
    assert order(1200.0, 1) == ["low", "high"]
    assert order(9e9, 2) == ["low", "high"]
    assert order(9e9, 0) == ["low", "high"]
    assert row(store, "low").priority == 3


@pytest.mark.parametrize("now", [-1e9, 0.0])
def test_a_clock_that_went_back_promotes_nothing(store: Store, now: float) -> None:
    """Waiting less than no time is not waiting."""
    put(store, "m1", queued_at=100.0)

    with store.write(sync=False) as tx:
        assert tx.sweepings.aged(now=now, after_s=600.0) == []


def due(store: Store, now: float = 10.0) -> list[str]:
    with store.read() as tx:
        assert [tx.sweepings.due(peer, now=now) for peer in ("p",)] == [
            "p" in tx.sweepings.due_peers(now=now)
        ]
        return tx.sweepings.due_peers(now=now)


def test_peers_with_work_are_found(store: Store) -> None:
    """Messages or acks that may be leased now, for a peer whose link is up."""
    link(store)
    with store.write(sync=False) as tx:
        tx.peers.update("p", state="linked")
    assert due(store) == []

    put(store, "m1", queued_at=10.0)
    assert due(store, now=9.0) == []
    assert due(store) == ["p"]
    lease(store)
    assert due(store) == []
    assert due(store, now=70.0) == ["p"]
    advance(store, row(store).seq, State.RECEIVED)
    assert due(store, now=70.0) == []
    with store.write(sync=False) as tx:
        tx.acks.put("p", new_ack())
    assert due(store) == ["p"]


def test_a_peer_without_a_link_is_not_rung_for(store: Store) -> None:
    """There is nobody to carry it; its backlog costs the sweep nothing."""
    put(store, "m1")

    with store.read() as tx:
        assert tx.sweepings.due("p", now=10.0)
        assert tx.sweepings.due_peers(now=10.0) == []


def test_what_stands_at_sent_is_asked_for_once_in_a_while(store: Store) -> None:
    """Oldest first, of this peer; asking again waits as long again."""
    for n, at in enumerate((30.0, 20.0, 40.0)):
        (seq,) = put(store, f"m{n}")
        advance(store, seq, State.SENT, id=f"m{n}", now=at)
    (other,) = put(store, "other", peer="q")
    advance(store, other, State.SENT, id="other", now=1.0)

    def silent(before: float, now: float, limit: int = 9) -> list[str]:
        with store.write(sync=False) as tx:
            return sorted(each.id for each in tx.sweepings.silent("p", before=before, now=now, limit=limit))

    assert silent(19.0, 100.0) == []
    assert silent(30.0, 100.0, limit=1) == ["m1"]
    assert silent(30.0, 100.0) == ["m0"]
    assert silent(99.0, 110.0) == ["m2"]
    assert silent(99.0, 120.0) == []
    assert silent(110.0, 200.0) == ["m0", "m1", "m2"]


def test_what_ended_long_ago_moves_to_the_archive(store: Store) -> None:
    """Done and dead, on both sides; what is not at an end stays. It is still found."""
    for n, (state, at) in enumerate(((State.DONE, 50.0), (State.DONE, 150.0), (State.RECEIVED, 50.0))):
        (seq,) = put(store, f"m{n}")
        advance(store, seq, state, id=f"m{n}", now=at)
    bury(store, put(store, "dead")[0])
    put(store, "queued")
    done_in(store, "in")
    put_in(store, "unread")

    assert archive(store) == 3
    assert archive(store) == 0
    ids = ("m0", "m1", "m2", "dead", "queued")
    assert [id for id in ids if row(store, id).archived] == ["m0", "dead"]
    with store.read() as tx:
        assert tx.outbox.counts() == {"done": 1, "received": 1, "queued": 1}
        found = tx.inbox.exact("in", "you")
        assert found is not None and found.archived
        assert tx.inbox.counts() == {"unread": 1}


def test_nothing_changes_on_the_way_to_the_archive(store: Store) -> None:
    """Every column, the bytes above all."""
    (seq,) = put(store, "m1", raw=b'{"b" : 1.0}', hops='["a"]', deadline_at=4.0, re="m0")
    advance(store, seq, State.DONE)
    with store.write(sync=False) as tx:
        tx.outbox.answered("m1", "me", by="you", peer="p")
    before = row(store)
    archive(store)

    after = row(store)
    assert after.archived
    assert msgspec.structs.replace(after, archived=False) == before


def test_the_archive_moves_so_many_at_once(store: Store) -> None:
    """Of each side; nothing is held for long."""
    for seq, id in zip(put(store, *"abcde"), "abcde", strict=True):
        advance(store, seq, State.DONE, id=id)

    assert [archive(store, limit=2) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize("state", [State.RECEIVED, State.READ])
def test_what_never_ends_is_archived_when_nothing_more_can_come(store: Store, state: State) -> None:
    """Its reader may never say done."""
    (seq,) = put(store, "m1")
    advance(store, seq, state, now=20.0)

    assert archive(store, before=9e9, stale_before=19.0) == 0
    assert archive(store, before=9e9, stale_before=20.0) == 1

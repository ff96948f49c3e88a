"""What every store promises of dedup records, events, the quarantine, push tasks and facts."""

from __future__ import annotations

import pytest

from spool.store.base import Event, Seen, Store


def quarantine(store: Store, raw: bytes = b"bad", *, peer: str | None = "p", reason: str = "why") -> None:
    with store.write(sync=True) as tx:
        tx.ledger.quarantine(at=1.0, peer=peer, name="m1", reason=reason, raw=raw)


def test_what_was_seen_is_known(store: Store) -> None:
    """By sender and id."""
    record = Seen(b"d" * 32, 5.0, True)
    with store.write(sync=True) as tx:
        tx.ledger.remember("you", "m1", record)
        tx.ledger.remember("you", "m2", record._replace(final=False))

    with store.read() as tx:
        assert tx.ledger.seen("you", "m1") == record
        assert tx.ledger.seen("you", "m2") == record._replace(final=False)
        assert tx.ledger.seen("m1", "you") is None


def test_what_was_seen_is_forgotten_in_its_time(store: Store) -> None:
    """The older ones, so many at once; the number says whether there are more."""
    with store.write(sync=True) as tx:
        for n in range(5):
            tx.ledger.remember("you", f"m{n}", Seen(b"d", float(n), True))
    with store.write(sync=False) as tx:
        assert [tx.sweepings.forget_seen(before=3.0, limit=2) for _ in range(3)] == [2, 1, 0]

    with store.read() as tx:
        assert [tx.ledger.seen("you", f"m{n}") is not None for n in range(5)] == [False] * 3 + [True] * 2


def test_events_come_back_in_the_order_they_were_added(store: Store) -> None:
    """Not in that of two clocks."""
    events = [
        Event("m1", "you", at, "here", "p", "queued", what, 1, None)
        for at, what in ((9.0, "deferred"), (1.0, "dead"), (5.0, "retried"))
    ]
    with store.write(sync=True) as tx:
        for event in events:
            tx.ledger.event(event)
        tx.ledger.event(events[0]._replace(sender="another"))

    with store.read() as tx:
        assert tx.ledger.events("m1", "you") == events
        assert tx.ledger.events("m9", "you") == []


@pytest.mark.parametrize("peer", ["p", None])
def test_the_same_bytes_are_quarantined_once(store: Store, peer: str | None) -> None:
    """Of one peer for one reason; the bytes are kept as they came."""
    for _ in range(3):
        quarantine(store, b"\xff\x00", peer=peer)
    quarantine(store, b"\xff\x00", peer="other")
    quarantine(store, b"\xff\x00", peer=peer, reason="another")
    quarantine(store, b"other", peer=peer)

    with store.read() as tx:
        found = tx.ledger.quarantined()
        assert tx.ledger.count_quarantined() == len(found) == 4
        assert found[0].raw == b"\xff\x00" and (found[0].peer, found[0].name) == (peer, "m1")
        assert [each.n for each in found] == sorted(each.n for each in found)


def test_one_of_the_quarantine_is_shown_and_dropped(store: Store) -> None:
    """By its number; one that is not there is not."""
    quarantine(store, b"one")
    quarantine(store, b"two")
    with store.read() as tx:
        one, two = tx.ledger.quarantined()
        assert tx.ledger.quarantined(two.n) == [two]
        assert tx.ledger.quarantined(999) == []
    with store.write(sync=True) as tx:
        assert [tx.ledger.drop_quarantined(one.n) for _ in range(2)] == [True, False]
    with store.read() as tx:
        assert tx.ledger.quarantined() == [two]


def test_a_push_task_stands_once(store: Store) -> None:
    """A backlog is one row; ringing says whether it was new."""
    with store.write(sync=False) as tx:
        assert [tx.ledger.ring(peer) for peer in ("p", "p", "q")] == [True, False, True]
    with store.read() as tx:
        assert [tx.ledger.has_task(peer) for peer in ("p", "q", "r")] == [True, True, False]
    with store.write(sync=False) as tx:
        assert [tx.ledger.rung("p"), tx.ledger.rung("p"), tx.ledger.ring("p")] == [True, False, True]


@pytest.mark.parametrize("peer", ['say "hi"', "é", "a'b", "p\\q"])
def test_any_name_can_be_rung_for(store: Store, peer: str) -> None:
    """It is written as JSON, not pasted."""
    with store.write(sync=False) as tx:
        assert tx.ledger.ring(peer) and tx.ledger.has_task(peer) and tx.ledger.rung(peer)


def test_a_fact_is_the_last_that_was_said(store: Store) -> None:
    """One value for each name."""
    with store.write(sync=False) as tx:
        tx.ledger.set_fact("swept_at", "1.0")
        tx.ledger.set_fact("swept_at", "2.0")

    with store.read() as tx:
        assert tx.ledger.fact("swept_at") == "2.0"
        assert tx.ledger.fact("nothing") is None

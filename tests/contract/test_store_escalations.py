"""What every store promises of escalations, and of finding what fits the rules for them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from spool.states import State
from spool.store import sqlite_escalations
from spool.store.base import Escalation, Event, Found, Reason, Store
from tests.rows import link, put, row


def escalation(id: str = "m1", **more: Any) -> Escalation:
    """One for `road`, opened at 5.0."""
    usual: dict[str, Any] = {
        "sender": "me",
        "id": id,
        "peer": "road",
        "reasons": [Reason("P0", 5.0, "why")],
        "shown": ["queued"],
        "opened_at": 5.0,
        "changed_at": 5.0,
        "queued_at": 4.0,
        "expires_at": 99.0,
        "filled": ["id"],
        "digest": b"d" * 32,
        "raw": b'{"body":"text"}',
    }
    return Escalation(**usual | more)


def keep(store: Store, *rows: Escalation) -> None:
    with store.write(sync=False) as tx:
        for each in rows:
            tx.escalations.put(each)


def urgent(store: Store, *, after: int = 0, before: float = 10.0, limit: int = 9, now: float = 20.0) -> Found:
    with store.read() as tx:
        return tx.escalations.urgent(
            after=after, before=before, now=now, priorities=[0], types=["blocker"], road="road", limit=limit
        )


def ids(found: Found) -> list[str]:
    return [each.id for each in found.rows]


def test_what_is_kept_comes_back_as_it_was(store: Store) -> None:
    """Whatever it holds; one that is not there is None."""
    whole = escalation(
        state="resolved", resolved_at=6.0, number=7, url="u", error="e", offered=True, posted=3
    )
    keep(store, whole)
    with store.read() as tx:
        assert tx.escalations.get("m1", "me") == whole and tx.escalations.get("m1", "you") is None


def test_a_message_has_one(store: Store) -> None:
    """Who adds a second one is wrong."""
    keep(store, escalation())
    with pytest.raises(Exception, match="UNIQUE"):
        keep(store, escalation())


def test_open_ones_are_listed_and_counted_the_oldest_first(store: Store) -> None:
    """What is resolved is past."""
    keep(store, escalation("b", opened_at=2.0), escalation("a", opened_at=1.0))
    keep(store, escalation("c", state="resolved", resolved_at=1.0))
    with store.read() as tx:
        assert [each.id for each in tx.escalations.open()] == ["a", "b"] and tx.escalations.count() == 2


def test_due_is_what_does_not_stand_there_yet(store: Store) -> None:
    """The longest due first, open or not, of one peer or of all."""
    keep(store, escalation("a", changed_at=9.0), escalation("b", revision=2, posted=1))
    keep(store, escalation("c", posted=1), escalation("d", peer="other", changed_at=7.0))
    keep(store, escalation("e", state="resolved", resolved_at=8.0, changed_at=8.0))
    with store.write(sync=False) as tx:
        assert [each.id for each in tx.escalations.due(limit=9)] == ["b", "d", "e", "a"]
        assert [each.id for each in tx.escalations.due("road", limit=2)] == ["b", "e"]
        tx.escalations.save(escalation("b", revision=2, posted=2))
        assert [each.id for each in tx.escalations.due("road", limit=9)] == ["e", "a"]


def test_that_it_was_offered_stays(store: Store) -> None:
    """Whatever else has changed meanwhile is not touched."""
    keep(store, escalation(revision=4))
    with store.write(sync=False) as tx:
        tx.escalations.offer("m1", "me")
        assert tx.escalations.get("m1", "me") == escalation(revision=4, offered=True)


def test_what_was_resolved_long_ago_is_forgotten_once_it_stands_there(store: Store) -> None:
    """What is open stays for ever, and what nobody could be told yet."""
    past: dict[str, Any] = {"state": "resolved", "resolved_at": 6.0}
    keep(store, escalation("open"), escalation("untold", **past))
    keep(store, escalation("old", posted=1, **past))
    keep(store, escalation("new", posted=1, state="resolved", resolved_at=8.0))
    with store.write(sync=False) as tx:
        tx.escalations.forget(before=7.0)
        found = {each for each in ("open", "untold", "old", "new") if tx.escalations.get(each, "me")}
    assert found == {"open", "untold", "new"}


def test_urgent_is_what_is_undelivered_of_a_priority_or_type(store: Store) -> None:
    """What is relayed, held, for an agent here, received, or goes by the road itself is not."""
    put(store, "plain")
    put(store, "p0", "held", "sent", "got", priority=0)
    put(store, "typed", type="blocker")
    put(store, "relayed", priority=0, origin="other")
    put(store, "here", peer="", priority=0)
    put(store, "by-road", peer="road", priority=0)
    with store.write(sync=False) as tx:
        for id, state in (("sent", State.SENT), ("got", State.RECEIVED)):
            at = tx.outbox.exact(id, "me")
            assert at is not None
            tx.outbox.advance(at.seq, id, state, now=2.0, there=None, host=None)
        held = tx.outbox.exact("held", "me")
        assert held is not None
        tx.loops.keep(held.seq, reason="why")

    assert ids(urgent(store)) == ["p0", "sent", "typed"]


def test_each_row_is_looked_at_once_when_it_is_old_enough(store: Store) -> None:
    """The look stops at the first that is too young, and goes on behind where it stopped."""
    put(store, "a", priority=0, queued_at=5.0)
    put(store, "b", queued_at=6.0)
    (young,) = put(store, "c", priority=0, queued_at=11.0)
    first = urgent(store)
    assert (ids(first), first.upto) == (["a"], young - 1)
    assert urgent(store, after=first.upto) == Found([], young - 1)

    second = urgent(store, after=first.upto, before=12.0)
    assert (ids(second), second.upto) == (["c"], young)
    assert urgent(store, after=young) == Found([], young)


def test_a_row_from_a_clock_that_jumped_stops_nothing(store: Store) -> None:
    """It would be too young for a year."""
    put(store, "ahead", queued_at=1_000_000.0)
    put(store, "a", priority=0, queued_at=5.0)
    assert ids(urgent(store)) == ["a"]


def test_a_look_takes_so_many_and_goes_on_there(store: Store) -> None:
    """Where there is room for one, the next one waits its turn."""
    put(store, "a", "b", "c", priority=0)
    first = urgent(store, limit=2)
    assert ids(first) == ["a", "b"] and ids(urgent(store, after=first.upto, limit=2)) == ["c"]


def test_a_long_table_is_looked_through_in_strides(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look takes long."""
    monkeypatch.setattr(sqlite_escalations, "STRIDE", 2)
    seqs = put(store, "a", "b", "c")
    put(store, "d", priority=0)
    first = urgent(store)
    assert first == Found([], seqs[1]) and ids(urgent(store, after=first.upto)) == ["d"]


def die(store: Store, *rows: str, what: str = "dead") -> None:
    with store.write(sync=False) as tx:
        for id in rows:
            found = tx.outbox.exact(id, "me")
            assert found is not None
            tx.outbox.bury(found.seq, now=3.0, reason="why")
            tx.ledger.event(Event(id, "me", 3.0, None, found.peer, "queued", what, 1, "why"))


def deaths(store: Store, *, after: int = 0, limit: int = 9) -> Found:
    with store.read() as tx:
        return tx.escalations.deaths(after=after, road="road", limit=limit)


def test_deaths_are_found_in_order_each_once(store: Store) -> None:
    """Also of what expired; not what a person took back, nor what came from elsewhere."""
    put(store, "a", "b", "c", "d")
    put(store, "relayed", origin="other")
    put(store, "by-road", peer="road")
    die(store, "b", "relayed", "by-road")
    die(store, "c", what="cancelled")
    die(store, "a", what="expired")

    first = deaths(store, limit=1)
    assert ids(first) == ["b"]
    second = deaths(store, after=first.upto)
    assert ids(second) == ["a"] and deaths(store, after=second.upto) == Found([], second.upto)
    with store.read() as tx:
        assert tx.escalations.died() == second.upto


def test_what_lives_again_did_not_die(store: Store) -> None:
    """Somebody has retried it before anybody looked."""
    (seq,) = put(store, "a")
    die(store, "a")
    with store.write(sync=False) as tx:
        tx.outbox.revive(seq, now=4.0, expires_at=9.0)
    assert ids(deaths(store)) == []


def test_what_is_overdue_is_found_until_it_was_told(store: Store) -> None:
    """The one that is late the longest first; it stays overdue."""
    put(store, "b", deadline_at=3.0)
    put(store, "a", deadline_at=2.0)
    put(store, "relayed", deadline_at=1.0, origin="other")
    put(store, "ended", deadline_at=1.0)
    with store.write(sync=False) as tx:
        assert tx.escalations.late(limit=9) == []
        tx.sweepings.overdue(now=4.0)
        ended = tx.outbox.exact("ended", "me")
        assert ended is not None
        tx.outbox.bury(ended.seq, now=4.0, reason="why")
        found = tx.escalations.late(limit=9)
        assert [each.id for each in found] == ["a", "b"]
        tx.escalations.told_late([found[0].seq])
        assert [each.id for each in tx.escalations.late(limit=9)] == ["b"]
        tx.sweepings.overdue(now=9.0)
    assert row(store, "a").overdue
    with store.write(sync=False) as tx:
        tx.outbox.answered("a", "me", by="you", peer="p")
    assert not row(store, "a").overdue


def test_what_waits_first_for_a_peer_since_long_ago(store: Store) -> None:
    """In the order it would go, not what came just now, and nothing that is relayed or not due."""
    link(store)
    put(store, "new", priority=0, queued_at=9.0)
    put(store, "relayed", priority=0, origin="other")
    put(store, "plain")
    put(store, "pressing", priority=1)
    put(store, "other", peer="q")
    with store.read() as tx:
        first = tx.escalations.waits("p", before=5.0)
        assert first is not None and first.id == "pressing"
        assert tx.escalations.waits("p", before=0.5) is None and tx.escalations.waits("r", before=5.0) is None


def test_a_resolved_one_says_when(store: Store) -> None:
    """The database refuses a row that says half."""
    with pytest.raises(Exception, match="CHECK"):
        keep(store, msgspec.structs.replace(escalation(), state="resolved"))

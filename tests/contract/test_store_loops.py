"""What every store promises of turns and holds."""

from __future__ import annotations

import pytest

from spool.states import State
from spool.store.base import HELD_TYPE, Hold, Store, is_held
from tests.rows import lease, link, put, put_in, row

HOLD = Hold("me", "t", "you", 16, 5.0)


def came(store: Store, *, re: str | None = None, agent: str = "me", thread: str = "t") -> int | None:
    with store.read() as tx:
        return tx.loops.came(agent, thread, re=re)


def turn(store: Store, seq: int, *, now: float = 1.0, forget_before: float = 0.0) -> None:
    with store.write(sync=False) as tx:
        tx.loops.turn("me", "t", came=seq, now=now, forget_before=forget_before)


def turns(store: Store, *, since: float = 0.0, until: float = 100.0) -> int:
    with store.read() as tx:
        return tx.loops.turns("me", "t", since=since, until=until)


def archive(store: Store, seq: int) -> None:
    with store.write(sync=False) as tx:
        tx.inbox.finish(seq, now=2.0, outcome="done", note=None)
        tx.sweepings.archive(before=3.0, stale_before=0.0, limit=10)


def test_mail_of_the_thread_came_until_a_turn_was_counted_for_it(store: Store) -> None:
    """However much of it there was: what followed it is one turn."""
    assert came(store) is None
    put_in(store, "a", "b", thread="t")
    (last,) = put_in(store, "c", thread="t")
    assert came(store) == last

    turn(store, last)
    assert came(store) is None and came(store, re="a") is None
    (next_one,) = put_in(store, "d", thread="t")
    assert came(store) == next_one


def test_mail_of_others_and_of_other_threads_did_not_come(store: Store) -> None:
    """It is counted by agent and thread."""
    put_in(store, "a", thread="t", agent="another")
    put_in(store, "b", thread="u")
    put_in(store, "c")

    assert came(store) is None
    assert came(store, agent="another") is not None and came(store, thread="u") is not None


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(("id", "re"), [("t", None), ("q", "q")])
def test_what_a_thread_is_named_after_and_what_is_answered_came(
    store: Store, archived: bool, id: str, re: str | None
) -> None:
    """Neither need say that it is of the thread; the archive counts."""
    (seq,) = put_in(store, id)
    if archived:
        archive(store, seq)
    assert came(store, re=re) == seq
    turn(store, seq)
    assert came(store, re=re) is None


@pytest.mark.parametrize("re", [None, "n1"])
def test_one_word_of_a_hold_is_no_mail(store: Store, re: str | None) -> None:
    """Two are, or mail: or who calls everything so is never counted."""
    put_in(store, "n1", thread="t", type=HELD_TYPE)
    assert came(store, re=re) is None
    (second,) = put_in(store, "n2", thread="t", type=HELD_TYPE)
    assert came(store, re=re) == second


def test_turns_are_counted_within_a_time(store: Store) -> None:
    """After its beginning, up to its end; what is older than is asked for may be forgotten."""
    for at in range(1, 6):
        turn(store, at, now=float(at))
    assert (turns(store), turns(store, since=2.0, until=4.0)) == (5, 2)
    turn(store, 6, now=6.0, forget_before=4.0)
    assert turns(store) == 3
    with store.write(sync=False) as tx:
        assert tx.loops.forget(before=6.0) == 2
    assert turns(store) == 1


def test_a_hold_stands_until_it_ends(store: Store) -> None:
    """Then turns count from zero, and what was answered makes none again."""
    (seq,) = put_in(store, "a", thread="t")
    turn(store, seq)
    with store.write(sync=False) as tx:
        assert tx.loops.standing("me", "t") is None and not tx.loops.end("me", "t")
    turn(store, seq + 1)
    with store.write(sync=False) as tx:
        tx.loops.hold(HOLD)
        assert tx.loops.standing("me", "t") == HOLD and tx.loops.standing("you", "t") is None
        assert tx.loops.holds() == [HOLD]
        assert tx.loops.end("me", "t") and tx.loops.holds() == []
    assert turns(store) == 0 and came(store) is None


def test_what_is_kept_is_leased_by_nobody_until_it_is_carried(store: Store) -> None:
    """Queued, and due at no time; then as any other, in its old place."""
    link(store)
    first, second = put(store, "m1", "m2", thread="t")
    with store.write(sync=False) as tx:
        tx.loops.keep(first, reason="why")
        assert [each.id for each in tx.loops.held("me", "t")] == ["m1"] and tx.loops.held("me", "u") == []
        assert tx.loops.count() == 1 and not tx.sweepings.expired(now=10.0, limit=9)
    assert is_held(row(store)) and row(store).reason == "why"
    assert [each.id for each in lease(store)] == ["m2"]

    with store.write(sync=False) as tx:
        tx.loops.carry(first, now=9.0)
        tx.loops.carry(second, now=9.0)
        assert tx.loops.count() == 0
    assert not is_held(row(store)) and row(store).reason is None
    assert [each.id for each in lease(store, now=100.0)] == ["m1", "m2"]


def test_what_is_kept_ends_with_its_lifetime(store: Store) -> None:
    """The sweep finds it, though nothing is due."""
    (seq,) = put(store, "m1", thread="t", expires_at=50.0)
    with store.write(sync=False) as tx:
        tx.loops.keep(seq, reason="why")
        assert tx.sweepings.expired(now=49.0, limit=9) == []
        assert [each.id for each in tx.sweepings.expired(now=50.0, limit=9)] == ["m1"]


def test_what_has_gone_is_not_kept(store: Store) -> None:
    """Nor is what was proved meanwhile carried again."""
    (seq,) = put(store, "m1", thread="t")
    with store.write(sync=False) as tx:
        tx.loops.keep(seq, reason="why")
        tx.outbox.advance(seq, "m1", State.RECEIVED, now=3.0, there=None, host=None)
        tx.loops.keep(seq, reason="why")
        tx.loops.carry(seq, now=9.0)
        assert tx.loops.count() == 0
    assert (row(store).state, row(store).due, row(store).reason) == (State.RECEIVED, None, None)


def test_the_thread_of_a_message_is_told(store: Store) -> None:
    """Its own id where it began one; on either side, live or archived."""
    put_in(store, "a", thread="t")
    put(store, "b")
    (seq,) = put_in(store, "c", thread="u")
    archive(store, seq)
    with store.read() as tx:
        assert [tx.loops.thread_of(id) for id in ("a", "b", "c", "d")] == ["t", "b", "u", None]


def test_a_hold_that_ends_is_of_one_agent_in_one_thread(store: Store) -> None:
    """What others took turns at counts on, and stays held."""
    with store.write(sync=False) as tx:
        for agent, thread in (("me", "t"), ("me", "other"), ("else", "t")):
            tx.loops.hold(HOLD._replace(agent=agent, thread=thread))
            tx.loops.turn(agent, thread, came=1, now=5.0, forget_before=0.0)
        assert tx.loops.end("me", "t")
        assert not tx.loops.end("me", "t")

    with store.read() as tx:
        assert [(each.agent, each.thread) for each in tx.loops.holds()] == [("me", "other"), ("else", "t")]
        counted = [
            tx.loops.turns(agent, thread, since=0.0, until=9.0)
            for agent, thread in (("me", "t"), ("me", "other"), ("else", "t"))
        ]
    assert counted == [0, 1, 1]


@pytest.mark.parametrize("side", ["in", "out"])
def test_the_thread_of_an_archived_message_is_told(store: Store, side: str) -> None:
    """An answer may come late; of two messages it is that of the one that is named."""
    for id, thread in (("m1", "one"), ("m2", "two")):
        (seq,) = (put_in if side == "in" else put)(store, id, thread=thread)
        with store.write(sync=False) as tx:
            if side == "out":
                tx.outbox.bury(seq, now=2.0, reason="x")
        if side == "in":
            archive(store, seq)
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=3.0, stale_before=0.0, limit=10)

    with store.read() as tx:
        assert [tx.loops.thread_of(id) for id in ("m2", "m1", "m9")] == ["two", "one", None]

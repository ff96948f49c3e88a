"""When agents were last heard of, and what their hosts told of them: what each store must keep."""

from __future__ import annotations

from spool.store.base import Heard, Store, Told, Unread
from tests.rows import put_in


def hear(store: Store, at: float, *agents: str, peer: str = "p", what: str = "message") -> None:
    """Word of agents came from a peer."""
    with store.write(sync=False) as tx:
        tx.presence.hear(peer, agents, what, now=at)


def heard(store: Store, peer: str = "p", agent: str | None = None) -> list[Heard]:
    """Who was heard of from a peer."""
    with store.read() as tx:
        return tx.presence.heard(peer, agent)


def test_the_last_word_counts(store: Store) -> None:
    """For each agent and each way by itself."""
    hear(store, 10.0, "a", "b")
    hear(store, 20.0, "b", what="read")
    hear(store, 30.0, "b", peer="q")

    assert heard(store) == [Heard("a", 10.0, "message"), Heard("b", 20.0, "read")]
    assert heard(store, agent="b") == [Heard("b", 20.0, "read")]
    assert heard(store, "q") == [Heard("b", 30.0, "message")]
    assert heard(store, agent="nobody") == []


def test_within_a_second_nothing_is_written(store: Store) -> None:
    """Who sends a thousand a second must not cost a thousand pages."""
    hear(store, 10.0, "a")
    hear(store, 10.9, "a", what="done")
    assert heard(store) == [Heard("a", 10.0, "message")]


def test_a_clock_that_was_set_back_does_not_keep_an_agent_present(store: Store) -> None:
    """Heard of in a future that never comes would be just now for ever."""
    hear(store, 9_000.0, "a")
    hear(store, 10.0, "a")
    assert heard(store) == [Heard("a", 10.0, "message")]


def test_what_is_told_stands_in_the_place_of_all_before(store: Store) -> None:
    """An agent that is not named any more has nothing waiting that anybody knows of."""
    with store.write(sync=False) as tx:
        tx.presence.tell("p", [Told("a", 1, 5.0, 0, 10.0), Told("b", 0, None, None, 10.0)])
        tx.presence.tell("q", [Told("a", 9, 9.0, 9, 10.0)])
        tx.presence.tell("p", [Told("b", 2, 7.5, 1, 20.0)])

    with store.read() as tx:
        assert tx.presence.told("p") == [Told("b", 2, 7.5, 1, 20.0)]
        assert tx.presence.told("p", "a") == []
        assert tx.presence.told("q", "a") == [Told("a", 9, 9.0, 9, 10.0)]


def test_what_came_from_a_peer_goes_with_it(store: Store) -> None:
    """And with no other."""
    hear(store, 10.0, "a")
    hear(store, 10.0, "a", peer="q")
    with store.write(sync=False) as tx:
        tx.presence.tell("p", [Told("a", 1, 5.0, 0, 10.0)])
        tx.presence.forget("p")

    with store.read() as tx:
        assert (tx.presence.heard("p"), tx.presence.told("p")) == ([], [])
    assert heard(store, "q") == [Heard("a", 10.0, "message")]


def test_each_peer_keeps_those_that_were_heard_of_last(store: Store) -> None:
    """A peer that makes names up loses its own old ones, and nobody else's."""
    for n in range(5):
        hear(store, 10.0 + n, f"a{n}")
    hear(store, 1.0, "b", peer="q")
    with store.write(sync=False) as tx:
        tx.presence.trim(keep=2)

    assert [each.agent for each in heard(store)] == ["a3", "a4"]
    assert [each.agent for each in heard(store, "q")] == ["b"]


def test_unread_mail_is_counted_for_each_agent(store: Store) -> None:
    """With the time the oldest came; what was read is not among it."""
    put_in(store, "m1", received_at=30.0)
    put_in(store, "m2", received_at=20.0)
    (read,) = put_in(store, "m3", received_at=10.0)
    put_in(store, "m4", agent="other", received_at=40.0)
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(read, now=50.0)

    with store.read() as tx:
        assert tx.inbox.unread_each() == [Unread("me", 2, 20.0), Unread("other", 1, 40.0)]
        assert tx.inbox.unread_each("other") == [Unread("other", 1, 40.0)]
        assert tx.inbox.unread_each("nobody") == []

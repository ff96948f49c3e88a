"""What every store promises to whoever wakes sessions, or follows an inbox."""

from __future__ import annotations

from spool.store.base import Session, Store
from tests.rows import put_in

ME = Session(id="s1", agent="me", since=1.0, seen_at=1.0)


def news(store: Store) -> list[int]:
    with store.read() as tx:
        return [row.seq for row in tx.sessions.news(ME, ways=("told",), limit=9)]


def test_what_came_through_was_told_and_nothing_else(store: Store) -> None:
    """A session was woken twice: of the one that it shows to have heard it is told no more."""
    one, two, three = put_in(store, "m0", "m1", "m2")
    with store.write(sync=False) as tx:
        tx.sessions.put(ME)
        tx.sessions.announce("s1", [one], "woken", now=5.0)
        tx.sessions.announce("s1", [two], "woken", now=6.5)
        for _ in range(2):
            tx.sessions.hear("s1", woken_at=6.5, now=7.0)
        tx.sessions.hear("nobody", woken_at=6.5, now=7.0)

    assert news(store) == [one, three]


def test_unread_mail_beyond_a_sequence_comes_in_order(store: Store) -> None:
    """Of this agent, whatever its priority; what was read is not among it."""
    with store.read() as tx:
        assert tx.inbox.newest() == 0
    seqs = [seq for n in range(5) for seq in put_in(store, f"m{n}", priority=3 - n % 2)]
    (last,) = put_in(store, "m9", agent="you")
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(seqs[2], now=2.0)

    with store.read() as tx:
        assert tx.inbox.newest() == last
        assert [row.seq for row in tx.inbox.unread_beyond(seqs[0], "me", limit=9)] == [
            seqs[1],
            seqs[3],
            seqs[4],
        ]
        assert [row.seq for row in tx.inbox.unread_beyond(seqs[0], "me", limit=1)] == [seqs[1]]
        assert tx.inbox.unread_beyond(seqs[4], "me", limit=9) == []

"""Messages by a part of their id, as every store finds them."""

from __future__ import annotations

from spool.store.base import Store
from tests.rows import new_incoming, new_outgoing


def test_a_message_is_found_by_its_ending(store: Store) -> None:
    """Letter by letter: an underscore stands for itself, and large is not small."""
    with store.write(sync=True) as tx:
        for id in ("a-1_b3a788", "a-2xb3a788", "a-3_B3A788"):
            tx.outbox.put(new_outgoing(id))
            tx.inbox.put(new_incoming(id))
    with store.read() as tx:
        for rows in (tx.outbox, tx.inbox):
            assert [row.id for row in rows.ending("_b3a788")] == ["a-1_b3a788"]
            assert [row.id for row in rows.ending("b3a788")] == ["a-2xb3a788", "a-1_b3a788"]
            assert [row.id for row in rows.ending("b3a788", limit=1)] == ["a-2xb3a788"]
            assert rows.ending("a-1_b3") == rows.ending("%a788") == []
            assert rows.ending("a-1_b3a788-and-more") == []


def test_an_ending_may_be_asked_for_one_agent(store: Store) -> None:
    """Another agent's mail does not make it ambiguous."""
    with store.write(sync=True) as tx:
        tx.inbox.put(new_incoming("a-93a788", agent="you"))
        tx.inbox.put(new_incoming("b-93a788", agent="she"))
    with store.read() as tx:
        assert [row.id for row in tx.inbox.ending("93a788", agent="she")] == ["b-93a788"]

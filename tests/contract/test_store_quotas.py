"""What of each peer waits here: counted by whatever changes it."""

from __future__ import annotations

import pytest

from spool.states import State
from spool.store.base import Quota, Store
from tests.rows import new_incoming, new_outgoing

SIZE = len(new_incoming().raw)


def waits(store: Store, peer: str = "p") -> tuple[int, int]:
    """How many messages of a peer wait, and how many bytes."""
    with store.read() as tx:
        quota = tx.quotas.get(peer)
    return quota.messages, quota.bytes


def bring(store: Store, *ids: str, agent: bool = True) -> list[int]:
    """Messages of the peer p come, for an agent here or to be relayed to q; their sequences."""
    with store.write(sync=False) as tx:
        tx.quotas.add("p", messages=len(ids), bytes=SIZE * len(ids), paid_until=7.0)
        if agent:
            return [tx.inbox.put(new_incoming(id)) for id in ids]
        return [tx.outbox.put(new_outgoing(id, peer="q", origin="p")) for id in ids]


def test_nothing_is_known_of_a_peer_that_brought_nothing(store: Store) -> None:
    """It is asked before a peer's first message."""
    with store.read() as tx:
        assert tx.quotas.get("p") == Quota()
        assert tx.quotas.all() == {}


def test_what_is_read_still_waits_and_what_is_done_does_not(store: Store) -> None:
    """It takes room until its agent has ended it; once more is not counted twice."""
    one, _ = bring(store, "m1", "m2")
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(one, now=2.0)
    assert waits(store) == (2, 2 * SIZE)
    for _ in range(2):
        with store.write(sync=False) as tx:
            tx.inbox.finish(one, now=3.0, outcome="done", note=None)

    assert waits(store) == (1, SIZE)


@pytest.mark.parametrize("how", ["sent", "received", "dead"])
def test_what_was_carried_on_waits_no_more(store: Store, how: str) -> None:
    """The next hop has it, or nobody will; the archive takes it out without counting again."""
    (seq,) = bring(store, "m1", agent=False)
    assert waits(store) == (1, SIZE)
    with store.write(sync=False) as tx:
        if how == "dead":
            tx.outbox.bury(seq, now=2.0, reason="why")
        else:
            tx.outbox.advance(seq, "m1", State(how), now=2.0, there=2.0, host="far")
    assert waits(store) == (0, 0)
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=9.0, stale_before=9.0, limit=9)
    assert waits(store) == (0, 0)


def test_what_is_offered_again_waits_again(store: Store) -> None:
    """The next hop does not have it after all; deferring it changes nothing."""
    (seq,) = bring(store, "m1", agent=False)
    with store.write(sync=False) as tx:
        tx.outbox.advance(seq, "m1", State.SENT, now=2.0, there=2.0, host=None)
        tx.outbox.offer_again([seq], now=3.0)
        tx.outbox.hold(seq, due=9.0, reason="later")

    assert waits(store) == (1, SIZE)


def test_a_dead_letter_that_is_tried_again_waits_again(store: Store) -> None:
    """A person revived it; one that was dropped is gone."""
    one, two = bring(store, "m1", "m2", agent=False)
    with store.write(sync=False) as tx:
        for seq in (one, two):
            tx.outbox.bury(seq, now=2.0, reason="why")
        tx.outbox.revive(one, now=3.0, expires_at=99.0)
        tx.outbox.drop(two)

    assert waits(store) == (1, SIZE)


def test_mail_of_this_host_is_nobodys_quota(store: Store) -> None:
    """Neither what its agents send nor what they send each other."""
    bring(store, "m1")
    with store.write(sync=False) as tx:
        seq = tx.outbox.put(new_outgoing("m2", peer="p"))
        tx.outbox.advance(seq, "m2", State.SENT, now=2.0, there=2.0, host=None)
        tx.inbox.finish(tx.inbox.put(new_incoming("m3", peer=None)), now=3.0, outcome="done", note=None)

    assert waits(store) == (1, SIZE)


def test_what_was_undone_does_not_count(store: Store) -> None:
    """Counted in the transaction that takes it in, or not at all."""
    with pytest.raises(ZeroDivisionError), store.write(sync=True) as tx:
        tx.quotas.add("p", messages=1, bytes=SIZE, paid_until=7.0)
        tx.inbox.put(new_incoming())
        _ = 1 / 0

    assert waits(store) == (0, 0)


def test_what_the_log_was_told_stays_beside_the_count(store: Store) -> None:
    """One does not undo the other."""
    with store.write(sync=False) as tx:
        tx.quotas.tell("p", now=5.0)
    bring(store, "m1")
    with store.read() as tx:
        assert tx.quotas.all() == {"p": Quota(1, SIZE, 7.0, 5.0)}


@pytest.mark.parametrize(
    ("by", "peer", "counts"),
    [
        ("you", "p", True),
        ("you", "another", True),
        ("somebody", "p", True),
        ("somebody", "another", False),
        ("yo", "another", False),
        ("somebody", "", False),
    ],
)
@pytest.mark.parametrize("recipient", ["you", "you@far"])
def test_who_was_asked_answers(store: Store, by: str, peer: str, counts: bool, recipient: str) -> None:
    """The agent it was for, by whatever way, or somebody at the peer it went to; nobody else can."""
    with store.write(sync=False) as tx:
        tx.outbox.put(new_outgoing("m1", recipient=recipient))
        assert tx.outbox.awaits("m1", "me", by=by, peer=peer) is counts
        tx.outbox.answered("m1", "me", by=by, peer=peer)
        row = tx.outbox.exact("m1", "me")
        assert row is not None and row.answered is counts
        assert not (counts and tx.outbox.awaits("m1", "me", by=by, peer=peer))

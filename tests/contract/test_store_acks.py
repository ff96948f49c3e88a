"""What every store promises of acks on their way, and of what it knows of the peers."""

from __future__ import annotations

from typing import Any

import pytest

from spool.store.base import LeasedAck, PeerRow, Store
from tests.rows import link, new_ack


def put_ack(store: Store, *acks: Any, peer: str = "p") -> None:
    with store.write(sync=True) as tx:
        for ack in acks:
            tx.acks.put(peer, ack)


def lease_acks(store: Store, *, now: float = 10.0, generation: int = 1, limit: int = 9) -> list[LeasedAck]:
    with store.write(sync=False) as tx:
        return tx.acks.lease("p", generation=generation, now=now, until=now + 60, limit=limit)


def test_the_same_ack_again_is_nothing_new(store: Store) -> None:
    """Of one message and status; the first one stays."""
    link(store)
    put_ack(store, new_ack(at=2.0), new_ack(at=3.0), new_ack(status="read"), new_ack("m2"), new_ack(to="z"))

    leased = [each.ack for each in lease_acks(store)]
    assert leased == [new_ack(at=2.0), new_ack(status="read"), new_ack("m2"), new_ack(to="z")]
    with store.read() as tx:
        assert tx.acks.waiting() == {"p": 4}


def test_an_ack_comes_back_as_it_was_put(store: Store) -> None:
    """With outcome and note."""
    link(store)
    ack = new_ack(status="rejected", outcome="rejected", note="no: ✗", at=None, host=None)
    put_ack(store, ack)

    assert [each.ack for each in lease_acks(store)] == [ack]


def test_acks_are_leased_oldest_first_and_once(store: Store) -> None:
    """Until the lease runs out, is given back, or a newer link is up."""
    link(store)
    put_ack(store, *(new_ack(f"m{n}") for n in range(4)))
    first = lease_acks(store, limit=3)
    assert [each.ack.re for each in first] == ["m0", "m1", "m2"]
    assert [each.ack.re for each in lease_acks(store)] == ["m3"]

    with store.write(sync=False) as tx:
        tx.acks.release(first[:1])
    assert [each.ack.re for each in lease_acks(store)] == ["m0"]
    assert len(lease_acks(store, now=70.0)) == 4
    link(store)
    assert lease_acks(store, now=70.0) == []
    assert len(lease_acks(store, now=70.0, generation=2)) == 4


def test_an_ack_that_arrived_is_dropped(store: Store) -> None:
    """Twice hurts nobody, and its number is not given to another."""
    link(store)
    put_ack(store, new_ack())
    (leased,) = lease_acks(store)
    for _ in range(2):
        with store.write(sync=False) as tx:
            tx.acks.drop([leased.seq])
    put_ack(store, new_ack("m2"))

    (other,) = lease_acks(store)
    assert other.seq != leased.seq and other.ack.re == "m2"


def test_another_peer_s_links_are_nothing_to_an_ack(store: Store) -> None:
    """Each peer counts its own."""
    for peer in ("a", "a", "p", "z", "z"):
        link(store, peer)
    put_ack(store, new_ack())

    assert lease_acks(store, generation=2) == []
    assert len(lease_acks(store, generation=1)) == 1


def test_what_arrived_is_dropped_and_nothing_else(store: Store) -> None:
    """The others are still to be carried: one that goes unsaid leaves its sender waiting for ever."""
    link(store)
    put_ack(store, *(new_ack(f"m{n}") for n in range(4)))
    put_ack(store, new_ack(), peer="q")
    leased = lease_acks(store)
    with store.write(sync=False) as tx:
        tx.acks.drop([leased[0].seq, leased[2].seq])
        tx.acks.release(leased[1:2])

    assert [each.ack.re for each in lease_acks(store)] == ["m1"]
    with store.read() as tx:
        assert tx.acks.waiting() == {"p": 2, "q": 1}


def test_a_peer_that_nobody_met_has_a_plain_row(store: Store) -> None:
    """Waiting, of generation 0; asking for it does not make one."""
    with store.read() as tx:
        assert tx.peers.get("p") == PeerRow(name="p")
        assert tx.peers.all() == {}


def test_what_is_known_of_a_peer_is_kept(store: Store) -> None:
    """Column by column; what is not named stays."""
    values = {
        "holder": "serve-1",
        "holder_until": 5.0,
        "dialled": True,
        "state": "linked",
        "failures": 3,
        "error_kind": "unreachable",
        "error": "no",
        "far_host": "far",
        "far_agents": ["a", "b*"],
        "far_unread": 7,
        "clock_offset": -1.5,
    }
    with store.write(sync=False) as tx:
        tx.peers.update("p", **values)
        tx.peers.update("p", failures=0, error=None)

    with store.read() as tx:
        assert tx.peers.get("p") == PeerRow(name="p", **{**values, "failures": 0, "error": None})
        assert list(tx.peers.all()) == ["p"]


@pytest.mark.parametrize("values", [{}, {"colour": "red"}, {"state": "linked", "name; --": 1}])
def test_only_what_a_peer_has_can_be_set(store: Store, values: dict[str, Any]) -> None:
    """A typing error must not pass."""
    with pytest.raises(ValueError), store.write(sync=False) as tx:
        tx.peers.update("p", **values)
    with store.read() as tx:
        assert tx.peers.all() == {}


def test_each_link_has_its_own_generation(store: Store) -> None:
    """Going up, each peer for itself."""
    assert [link(store), link(store), link(store, "q"), link(store)] == [1, 2, 1, 3]
    with store.read() as tx:
        assert tx.peers.get("p").generation == 3


def test_each_peer_has_its_own_row(store: Store) -> None:
    """What is written of one, or forgotten, is nothing to another."""
    values = {"holder": "t", "holder_until": 5.0, "dialled": True, "linked_at": 6.0, "state": "linked"}
    with store.write(sync=False) as tx:
        for peer in ("p", "q", "r"):
            tx.peers.update(peer, state="waiting", holder="other")
        tx.peers.update("q", **values)
        for column, value in values.items():
            tx.peers.update("r", **{column: value})
        tx.peers.raise_generation("q")

    with store.read() as tx:
        assert tx.peers.get("p") == PeerRow(name="p", holder="other")
        assert tx.peers.get("q") == PeerRow(name="q", generation=1, **values)
        assert tx.peers.get("r") == PeerRow(name="r", **values)
    with store.write(sync=False) as tx:
        tx.peers.forget("q")
    with store.read() as tx:
        assert sorted(tx.peers.all()) == ["p", "r"]


def test_a_forgotten_peer_is_gone(store: Store) -> None:
    """Twice hurts nobody."""
    link(store)
    for _ in range(2):
        with store.write(sync=False) as tx:
            tx.peers.forget("p")

    with store.read() as tx:
        assert tx.peers.all() == {}

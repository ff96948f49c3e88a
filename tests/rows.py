"""Rows for tests of the store: everything that does not matter has a value."""

from __future__ import annotations

from typing import Any

from spool.message import Ack
from spool.store.base import NewIncoming, NewOutgoing, Outgoing, Parcel, Store


def new_outgoing(id: str = "m1", **more: Any) -> NewOutgoing:
    """A message to deliver, from `me` to `you` over the peer `p`."""
    usual = NewOutgoing(
        id=id,
        sender="me",
        recipient="you",
        peer="p",
        origin=None,
        type="message",
        priority=2,
        queued_at=1.0,
        expires_at=1_000_000.0,
        deadline_at=None,
        hops="[]",
        re=None,
        thread=None,
        filled='["id"]',
        digest=b"d" * 32,
        raw=b'{"body":"text"}',
    )
    return usual._replace(**more)


def new_incoming(id: str = "m1", **more: Any) -> NewIncoming:
    """A message for the agent `me` of this host, from `you` over the peer `p`."""
    usual = NewIncoming(
        id=id,
        sender="you",
        recipient="me",
        agent="me",
        peer="p",
        type="message",
        priority=2,
        received_at=1.0,
        deadline_at=None,
        hops='["far"]',
        re=None,
        thread=None,
        filled="[]",
        digest=b"d" * 32,
        raw=b'{"body":"text"}',
    )
    return usual._replace(**more)


def new_parcel(seq: int = 1, **more: Any) -> Parcel:
    """A leased message of `me` to `you`, with 98 s to live at 2.0."""
    usual = Parcel(
        seq=seq,
        lease=7,
        id=f"m{seq}",
        sender="me",
        recipient="you",
        origin=None,
        type="message",
        priority=2,
        attempts=1,
        queued_at=1.0,
        expires_at=100.0,
        hops="[]",
        re=None,
        filled="[]",
        raw=b'{"body":"text"}',
        digest=b"d" * 32,
        state="queued",
    )
    return usual._replace(**more)


def new_ack(re: str = "m1", status: str = "received", **more: Any) -> Ack:
    """The word that a message of `you` was received."""
    return Ack(**{"sender": "me", "to": "you", "re": re, "status": status, "at": 2.0, "host": "here", **more})


def put(store: Store, *ids: str, **more: Any) -> list[int]:
    """Put messages to deliver; their sequences."""
    with store.write(sync=False) as tx:
        return [tx.outbox.put(new_outgoing(id, **more)) for id in ids]


def put_in(store: Store, *ids: str, **more: Any) -> list[int]:
    """Put messages for an agent here; their sequences."""
    with store.write(sync=False) as tx:
        return [tx.inbox.put(new_incoming(id, **more)) for id in ids]


def link(store: Store, peer: str = "p") -> int:
    """A new link to a peer is up; its generation."""
    with store.write(sync=False) as tx:
        return tx.peers.raise_generation(peer)


def lease(
    store: Store,
    *,
    peer: str = "p",
    now: float = 10.0,
    limit: int = 100,
    generation: int = 1,
    for_s: float = 60.0,
) -> list[Parcel]:
    """Lease what is due for a peer."""
    with store.write(sync=False) as tx:
        return tx.outbox.lease(peer, generation=generation, now=now, until=now + for_s, limit=limit)


def row(store: Store, id: str = "m1", sender: str = "me") -> Outgoing:
    """The row of a message to deliver."""
    with store.read() as tx:
        found = tx.outbox.exact(id, sender)
    assert found is not None, f"{id} is not there"
    return found

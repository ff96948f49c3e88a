"""A host for tests of the Python API: agents here, peers that are never dialled, a clock to turn."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from spool import home as homes
from spool import inbox
from spool.api import Spool
from spool.clock import Clock
from spool.message import Ack, seal
from spool.outbox import apply_acks
from spool.transports.base import Outcome

PEERS = """
[peers.cloud]
agents = ["cloud-*"]
via = ["far-*"]

[peers.desk]
agents = ["desk-*"]
"""


class Turned:
    """Seconds since the epoch, as far as a test turned them."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def make_home(folder: Path, *agents: str, peers: str = PEERS, host: str = "") -> Path:
    """A home named `here` with these agents; `host` is more of its `[host]` table."""
    home = homes.init(folder / "home", name="here", agents=list(agents)).home
    with (home / "spool.toml").open("a") as file:
        file.write(host + "\n" + peers)
    return home


def clocked(home: Path, now: Turned, **more: Any) -> Spool:
    """A Spool whose time of day is turned by hand; what it waits for is real."""
    return Spool(home, clock=Clock(now, time.monotonic), **more)


def arrive(spool: Spool, peer: str = "cloud", *, now: float = 1_000_000.0, **fields: Any) -> Outcome:
    """A message from a peer comes in, as a link would hand it over."""
    given = {"from": "cloud-1", "to": "me", "subject": "Hello", "body": "text", **fields}
    sealed = seal(given, id=fields.get("id", "msg-in"), timestamp="2025-11-13T10:30:45Z")
    arrival = inbox.Arrival(sealed.raw, sealed.filled, ttl_s=86_400.0, hops=["cloud"])
    taken = inbox.accept(
        spool.store, spool.config, spool._router(), spool.config.peer(peer), [arrival], now=now
    )
    return taken.outcomes[0]


def told(spool: Spool, id: str, status: str, *, sender: str = "me", peer: str = "cloud", **more: Any) -> None:
    """An ack from a peer comes in."""
    ack = Ack(sender="cloud-1", to=sender, re=id, status=status, at=5.0, host="cloud", **more)
    apply_acks(spool.store, peer, [ack], now=spool._clock.now())


def acks(spool: Spool, peer: str = "cloud") -> list[Ack]:
    """The acks that wait for a peer, in order."""
    with spool.store.write(sync=False) as tx:
        generation = tx.peers.raise_generation(peer)
        leased = tx.acks.lease(peer, generation=generation, now=2.0, until=3.0, limit=100)
        tx.acks.release(leased)
    return [each.ack for each in leased]


def tasks(spool: Spool) -> set[str]:
    """The peers for which a push task stands."""
    with spool.store.read() as tx:
        return {name for name in spool.config.peers if tx.ledger.has_task(name)}

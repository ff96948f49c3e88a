"""Hosts that carry mail to each other within one process, by a clock that is turned by hand."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import msgspec

from spool import home as homes
from spool import inbox, outbox
from spool.api import Spool
from spool.store.base import HELD_TYPE, Incoming, Parcel
from spool.transports.base import Outcome
from tests.desk import Turned, clocked

START = 1_800_000_000.0


class Circle:
    """One host for each agent, every one a peer of every other: `with Circle(tmp_path, "ann", "bob")`."""

    def __init__(self, folder: Path, *agents: str, host: str = "") -> None:
        self.now = Turned(START)
        self.spools = {agent: self._open(folder, agent, agents, host) for agent in agents}

    def __enter__(self) -> Circle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self.spools.values():
            spool.close()

    def __getitem__(self, agent: str) -> Spool:
        return self.spools[agent]

    def carry(self) -> int:
        """Bring everything that is due to its next hop, once; how many messages that were."""
        return sum(self._carry(near, far) for near in self.spools for far in self.spools if near != far)

    def take(self, agent: str) -> list[Incoming]:
        """The agent's unread mail, which is done by that; what hosts say of holds is left alone."""
        rows = [row for row in self[agent].inbox(unread_only=True) if row.type != HELD_TYPE]
        self[agent].done([row.id for row in rows])
        return rows

    def told(self, agent: str) -> list[Incoming]:
        """What hosts have told an agent of holds."""
        return [row for row in self[agent].inbox() if row.type == HELD_TYPE]

    def _open(self, folder: Path, agent: str, agents: tuple[str, ...], host: str) -> Spool:
        home = homes.init(folder / agent, name=f"host-{agent}", agents=[agent]).home
        peers = [f'[peers.host-{far}]\nagents = ["{far}"]\n' for far in agents if far != agent]
        with (home / "spool.toml").open("a") as file:
            file.write("\n".join([host, *peers]))
        return clocked(home, self.now)

    def _carry(self, near: str, far: str) -> int:
        here = self[near]
        with here.store.write(sync=False) as tx:
            generation = tx.peers.raise_generation(f"host-{far}")
        load = outbox.lease(
            here.store, f"host-{far}", generation=generation, now=self.now.at, limit=1000
        ).parcels
        if load:
            told = list(zip(load, self._accept(near, far, load), strict=True))
            outbox.settle(here.store, f"host-{far}", f"host-{near}", told, now=self.now.at)
        return len(load)

    def _accept(self, near: str, far: str, load: list[Parcel]) -> list[Outcome]:
        there = self[far]
        arrivals = [
            inbox.Arrival(parcel.raw, msgspec.json.decode(parcel.filled), 86_400.0, [f"host-{near}"])
            for parcel in load
        ]
        peer = there.config.peer(f"host-{near}")
        return inbox.accept(
            there.store, there.config, there._router(), peer, arrivals, now=self.now.at
        ).outcomes

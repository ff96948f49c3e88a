"""What every part of Spool rests on: the home, its config and store, and who acts."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spool import config as configs
from spool import home as homes
from spool.clock import Clock
from spool.config import Config
from spool.errors import NoAgent, NoRoute, StoreFull
from spool.router import Route, Router
from spool.store.sqlite import SqliteStore

SYSTEM: Final = Clock(time.time, time.monotonic)


class Desk:
    """One home, opened; see `Spool` for the arguments."""

    def __init__(
        self, home: str | Path | None = None, *, agent: str | None = None, clock: Clock = SYSTEM
    ) -> None:
        self.home = Path(home).expanduser().absolute() if home else homes.default()
        self.config: Config = configs.load(self.home)
        self.store = SqliteStore(self.home)
        self._agent = agent
        self._clock = clock
        self._router_made: Router | None = None
        # Whether a message sent here started the consumer.
        self.started = False

    def close(self) -> None:
        """Close the store, as often as one likes."""
        self.store.close()

    def now(self) -> float:
        """The time by this Spool's clock, in seconds since the epoch."""
        return self._clock.now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def agent(self, given: str | None = None) -> str:
        """The agent to act as: the given, else this Spool's, `$SPOOL_AGENT`, the only one here.

        Raises:
            NoAgent: several and none chosen, none at all, or one that does not read here.
        """
        named = given or self._agent or os.environ.get("SPOOL_AGENT")
        here = self.config.host.agents
        # An empty variable is as good as none.
        if named:
            if not self._router().is_local(named):
                raise NoAgent(
                    f"{named!r} is not an agent of this host ({', '.join(here) or 'it has none'})",
                    hint=f"`spool agent add {named}` makes it one",
                )
            return named
        exact = [name for name in here if "*" not in name]
        if len(exact) == 1 and len(here) == 1:
            return exact[0]
        if not here:
            raise NoAgent("no agent reads on this host", hint="`spool agent add NAME` adds one")
        raise NoAgent(
            f"several agents here ({', '.join(here)}) and none chosen",
            hint="give --agent NAME, or set SPOOL_AGENT",
        )

    def _resolve(self, to: str) -> Route:
        try:
            return self._router().resolve(to)
        except NoRoute:
            self._reload()
            return self._router().resolve(to)

    def _knows(self, peer: str) -> bool:
        if peer not in self.config.peers:
            self._reload()
        return peer in self.config.peers

    def _reload(self) -> None:
        # Somebody may have been added since this Spool was made.
        self.config, self._router_made = configs.load(self.home), None

    def _router(self) -> Router:
        if self._router_made is None:
            with self.store.read() as tx:
                self._router_made = Router(self.config, tx.peers.all())
        return self._router_made

    def _refuse_low_space(self) -> None:
        low = self.config.host.low_water_mb * 1024 * 1024
        if (free := self.store.free_bytes()) < low:
            raise StoreFull(
                f"{free // 1024 // 1024} MB free where {self.home} lies, the low-water mark is"
                f" {self.config.host.low_water_mb} MB; nothing was stored"
            )

"""The config in force and the routes it makes: re-read when the file changes, a bad one kept out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from spool import config, log
from spool.clock import Clock
from spool.config import Config
from spool.errors import BadConfig, NotInitialised
from spool.router import Router
from spool.store.base import Store

FACT: str = "config_error"
_FRESH_S = 1.0


class Settings:
    """The config of one home for a process that lives long.

    Raises:
        NotInitialised, BadConfig: as `config.load`, at the start only.
    """

    def __init__(self, home: Path, store: Store, clock: Clock) -> None:
        self.home = home
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        # Several threads look: one of them picks a change up, and says so once.
        self._looking = threading.Lock()
        self._stamp = self._look()
        self.config: Config = config.load(home)
        # What an earlier process said of an earlier file.
        self._remember("")
        self._router: Router | None = None
        self._made = 0.0

    def refresh(self) -> bool:
        """Pick up a changed file; True where the config in force is another one now.

        A bad file is logged and kept as a fact for `status`; the old config stays in force.
        """
        with self._looking:
            return self._refresh()

    def _refresh(self) -> bool:
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            fresh = config.load(self.home)
        except (BadConfig, NotInitialised) as exc:
            log.error("config.bad", error=str(exc))
            self._remember(str(exc))
            self._stamp = stamp
            return False
        with self._lock:
            before, self.config, self._router = self.config, fresh, None
        self._remember("")
        # Last: where the store failed, the next look finds the change again.
        self._stamp = stamp
        log.rename(fresh.host.name)
        log.info("config.changed", peers=len(fresh.peers), keys=_changed(before, fresh))
        return True

    def router(self) -> Router:
        """The routes in force; at most a second behind what peers say of themselves."""
        now = self._clock.monotonic()
        with self._lock:
            if self._router is None or now - self._made > _FRESH_S:
                with self._store.read() as tx:
                    self._router = Router(self.config, tx.peers.all())
                self._made = now
            return self._router

    def _remember(self, problem: str) -> None:
        with self._store.read() as tx:
            if (tx.ledger.fact(FACT) or "") == problem:
                return
        with self._store.write(sync=False) as tx:
            tx.ledger.set_fact(FACT, problem)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = (self.home / config.FILE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _changed(before: Config, after: Config) -> list[str]:
    """The keys that say something else now, without what they say."""
    old, new = _flat(before), _flat(after)
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _flat(config: Config) -> Mapping[str, Any]:
    tables = {"host": config.host, **{f"peers.{name}": peer for name, peer in config.peers.items()}}
    if config.escalation is not None:
        tables["escalation"] = config.escalation
    if config.web is not None:
        tables["web"] = config.web
    return {
        f"{table}.{key}": value
        for table, values in tables.items()
        for key, value in msgspec.structs.asdict(values).items()
    }

"""One host of the machine: its home, its clock, its disk, and the programs that run on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, Literal

import apsw

from spool import config, home
from spool.api import Spool
from spool.clock import Clock
from spool.presence import Presence
from spool.settings import Settings
from spool.store import sqlite
from tests.machine.brittle import BrittleStore
from tests.machine.counts import count
from tests.machine.disk import Disk

Role = Literal["desk", "one", "two"]
EPOCH: Final = 1_800_000_000.0
_MEMORY: Final = Path("/dev/shm")


class Time:
    """The true time, in seconds since the world began. Nobody on the hosts can see it."""

    def __init__(self) -> None:
        self.at = 0.0


class Program:
    """One running program of a host, with a store of its own: an agent's desk, or one of two consumers."""

    def __init__(self, host: Host, role: Role) -> None:
        self.host = host
        self.role = role
        self.alive = True
        self.store = BrittleStore(host.home, host.disk)
        self.settings = Settings(host.home, self.store, host.clock)
        self._presence = Presence(host.home / "run", role, now=host.now(), version="0")
        self.token = self._presence.token
        self._spool: Spool | None = None

    @property
    def spool(self) -> Spool:
        """The Python API, over this program's store."""
        if self._spool is None:
            self._spool = Spool(self.host.home, clock=self.host.clock)
            self._spool.store.close()
            self._spool.store = self.store
        return self._spool

    def die(self) -> None:
        """End as by kill -9: the kernel closes its files, and nothing else happens."""
        self.alive = False
        self.store.dead = True
        # A lock goes with its file; the announcement's name stays.
        os.close(self._presence._file)
        self._presence._file = -1
        self.store.close()


class Host:
    """A home, and what runs there.

    Attributes:
        offset: how far its clock is from the true time, in seconds.
    """

    def __init__(self, name: str, folder: Path, text: str, time: Time) -> None:
        self.name = name
        self.home = folder / name
        shutil.copytree(_template(), self.home)
        (self.home / config.FILE).write_text(text)
        (self.home / config.FILE).chmod(0o600)
        self.config = config.load(self.home)
        self.offset = 0.0
        self.clock = Clock(lambda: EPOCH + time.at + self.offset, lambda: time.at)
        self.disk = Disk(self.home / sqlite.FILE)
        self._programs: dict[Role, Program] = {}
        self._eye: apsw.Connection | None = None

    def now(self) -> float:
        """The time by this host's clock, in seconds since the epoch."""
        return self.clock.now()

    def program(self, role: Role) -> Program:
        """A program of the host, started where it does not run."""
        found = self._programs.get(role)
        if found is None or not found.alive:
            found = self._programs[role] = Program(self, role)
        return found

    @property
    def running(self) -> list[Program]:
        """The programs that run."""
        return [program for program in self._programs.values() if program.alive]

    @property
    def eye(self) -> apsw.Connection:
        """A connection that only looks, past spool."""
        if self._eye is None:
            self._eye = apsw.Connection(str(self.disk.path), apsw.SQLITE_OPEN_READONLY)
            self._eye.set_busy_timeout(10_000)
        return self._eye

    def cut_power(self, lost: int) -> None:
        """End every program at once; of what was not synced the last `lost` commits are gone."""
        count("commits undone by power cuts", min(lost, self.disk.unsynced()))
        self.disk.cut(lost, self.close)

    def close(self) -> None:
        """End every program and close the eye."""
        for program in self.running:
            program.die()
        if self._eye is not None:
            self._eye.close()
            self._eye = None


@cache
def _template() -> Path:
    """A home with an empty store, made once; copied for each host of each world."""
    folder = Path(tempfile.mkdtemp(prefix="spool-machine-", dir=_MEMORY if _MEMORY.is_dir() else None))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home.init(folder / "home", name="template", agents=[])
    return folder / "home"


def new_folder() -> Path:
    """A folder for the homes of one world; in memory where there is such a disk."""
    return Path(tempfile.mkdtemp(prefix="spool-world-", dir=_MEMORY if _MEMORY.is_dir() else None))

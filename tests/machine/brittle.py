"""A store over the real file that dies, or fails, at a chosen one of its steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from spool.errors import StoreFull
from spool.store.sqlite import SqliteStore
from spool.store.sqlite_tables import SqliteTx
from tests.machine.disk import Disk

NEVER: Final = 1_000_000
# sqlite.org/pragma.html#pragma_synchronous
_FULL: Final = 2

Point = Literal["before", "after", "full"]


class Crash(BaseException):
    """The program died here: nobody catches it, and nothing of the program is used again."""


class Fuse(NamedTuple):
    """At which of the transactions to come (0 is the next) what happens: death `before` or `after` its
    commit, or a disk that is `full`."""

    left: int
    point: Point


class BrittleStore(SqliteStore):
    """The real store. Once it has crashed it refuses everything, so that no `finally` can write.

    Attributes:
        steps: transactions begun so far.
    """

    def __init__(self, home: Path, disk: Disk) -> None:
        self.disk = disk
        self.fuse: Fuse | None = None
        self.dead = False
        self.steps = 0
        # Writing the log back syncs: what a power cut may undo would depend on how many pages there are.
        super().__init__(home, log_pages=NEVER)

    @contextlib.contextmanager
    def write(self, *, sync: bool) -> Iterator[SqliteTx]:
        """As the real one, with a step before its commit and one behind it."""
        self._refuse_dead()
        self.steps += 1
        burns = self._burn()
        with super().write(sync=sync) as tx:
            yield tx
            self._reach(burns, "before")
            if burns == "full":
                raise StoreFull(f"{self.path}: the disk is full")
            synced = self._syncs(tx)
        self.disk.committed(sync=synced)
        self._reach(burns, "after")

    @contextlib.contextmanager
    def read(self) -> Iterator[SqliteTx]:
        """As the real one."""
        self._refuse_dead()
        with super().read() as tx:
            yield tx

    def _leave(self) -> None:
        """Nothing: its programs are killed, and who is killed writes no log back."""

    def free_bytes(self) -> int:
        """What the disk says."""
        return self.disk.free_bytes()

    def _syncs(self, tx: SqliteTx) -> bool:
        """Whether the commit of a transaction is synced: what SQLite says of it, not what was asked for."""
        (connection,) = (connection for connection, each in self._open.values() if each is tx)
        return int(connection.pragma("synchronous")) >= _FULL

    def _burn(self) -> Point | None:
        if self.fuse is None:
            return None
        if self.fuse.left > 0:
            self.fuse = self.fuse._replace(left=self.fuse.left - 1)
            return None
        point, self.fuse = self.fuse.point, None
        return point

    def _reach(self, burns: Point | None, point: Point) -> None:
        if burns == point:
            self.dead = True
            raise Crash(point)

    def _refuse_dead(self) -> None:
        if self.dead:
            raise Crash("it is dead")

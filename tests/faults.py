"""Every call to the disk of a scripted run failing once, and from then on: what is said, and what is left."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from spool.errors import SpoolError
from spool.store import sqlite
from tests import scripted
from tests.faulty_vfs import FULL, KINDS, Fault, Lost
from tests.scripted import Step
from tests.world import World, broken, damage, halves, lay_out, look, state_of

# A transaction or an opening makes fewer calls than this of any kind.
MOST: Final = 2000
OF_HUEY: Final = "an error of SQLite, to Huey"
SAID: Final = frozenset({"store_failed", "store_full", OF_HUEY})
# One in so many failures, and each of a sync, is followed by a crash: what the files hold then is looked at.
CRASHED: Final = 5


class Way(NamedTuple):
    """How calls of a kind fail: with SQLite's own code or another, once or from then on, by half."""

    kind: str
    code: int = 0
    lasting: bool = False
    short: bool = False

    def __str__(self) -> str:
        told = "disk full" if self.code == FULL else "I/O error"
        return f"{self.kind}: {told}{', by half' * self.short}{', from then on' * self.lasting}"


WAYS: Final = tuple(
    Way(kind, code, lasting, short)
    for kind in KINDS
    for code in ((0, FULL) if kind == "write" else (0,))
    for short in ((False, True) if kind == "write" else (False,))
    for lasting in (False, True)
)


@dataclass
class Count:
    """What was tried: `overcome` without a word, `said` by kind, and after a crash `revived`."""

    points: int = 0
    overcome: int = 0
    crashes: int = 0
    revived: int = 0
    said: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)


class Ordeal:
    """Tries steps of the script with a fault at each call, in a world that lives on.

    Args:
        place: an empty folder, for what a crash would leave.
    """

    def __init__(self, world: World, place: Path) -> None:
        self._world = world
        self._place = place
        self.count = Count()
        self._copied = ""
        self._copy: dict[str, bytes] = {}

    def suffer(self, step: Step, way: Way, wanted: Callable[[int], bool] = lambda nth: True) -> None:
        """Try a step with the first call failing, the second, and so on, until it does not come so far.

        After that nothing of it has been done. `wanted` says which calls are tried.
        """
        for nth in filter(wanted, range(1, MOST)):
            with self._undone():
                if not self._try(step, way, nth):
                    return
        raise AssertionError(f"{step.__name__}, {way}: there is no end to it")

    def do(self, step: Step) -> None:
        """The step itself, with nothing in its way."""
        step(self._world)
        self._assert_whole(self._world.home / sqlite.FILE, f"after {step.__name__}")

    def _try(self, step: Step, way: Way, nth: int) -> bool:
        """Whether the call came, and so failed."""
        world = self._world
        fault = world.vfs.fault = Fault(way.kind, nth, way.code, way.lasting, way.short)
        raised: Exception | None = None
        commits = len(world.commits)
        before = world.state()
        try:
            step(world)
        except (SpoolError, apsw.Error) as exc:
            raised = exc
        finally:
            world.vfs.fault = None
        where = f"{step.__name__}, {way}, call {nth}"
        if not fault.fired:
            assert raised is None, f"{where}: nothing failed, and yet {raised!r}"
            return False
        self._judge(
            where,
            way,
            _kind(step, raised),
            before if len(world.commits) == commits else world.commits[-1].state,
        )
        return True

    def _judge(self, where: str, way: Way, said: str | None, expected: str) -> None:
        self.count.points += 1
        self.count.kinds[way.kind] += 1
        path = self._world.home / sqlite.FILE
        if said is None:
            self.count.overcome += 1
        else:
            assert said in SAID, f"{where}: {said}"
            self.count.said[said] += 1
        files = self._world.files()
        self._assert_whole(path, where)
        with look(path) as connection:
            left = state_of(connection)
        assert left == expected, f"{where}: {said}, and what stands there is not what was committed last"
        if way.kind == "sync" or self.count.points % CRASHED == 0:
            self._crash(where, files, left)

    def _assert_whole(self, path: Path, where: str) -> set[str]:
        with look(path) as connection:
            wrong = damage(connection) + halves(connection)
            lost = {
                label
                for label in broken(connection, self._world.promises)
                if self._world.promises[label].until is None
            }
        assert not wrong, f"{where}: {wrong}"
        assert not lost, f"{where}: what was promised is lost: {sorted(lost)}"
        return lost

    def _crash(self, where: str, files: dict[str, bytes], left: str) -> None:
        """Every process is killed at this point: what the files hold is whole, too."""
        self.count.crashes += 1
        lay_out(self._place, files)
        self._assert_whole(self._place / sqlite.FILE, f"{where}, killed")
        with look(self._place / sqlite.FILE) as connection:
            self.count.revived += state_of(connection) != left

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        """What happens within did not happen; connections stay open where nothing was written."""
        world = self._world
        before, memory = world.state(), self._memory()
        if before != self._copied:
            self._copied, self._copy = before, world.copy()
        yield
        (world.named, world.promises, world.now.at, world.generation, commits) = memory
        del world.commits[commits:]
        world.gate._generation = world.generation
        if world.state() != before or not world.is_open:
            world.put_back(self._copy)
            world.open()
            self._warm()

    def _memory(self) -> tuple[Any, ...]:
        world = self._world
        return dict(world.named), dict(world.promises), world.now.at, world.generation, len(world.commits)

    def _warm(self) -> None:
        """Open every connection, so that the next try meets the calls of its step and not of these."""
        store = self._world.spool.store
        for sync in (False, True):
            with store.write(sync=sync) as tx:
                tx.outbox.counts()
        with store.read() as tx:
            tx.outbox.counts()
        self._world.queue.queue_size()


def insist(step: Step, world: World) -> None:
    """Do a step whose first sync fails, and do it once more where it said so.

    The changes up to there are noted: a crash within the commit that fails may keep it.
    """
    memory = dict(world.named), dict(world.promises), world.now.at
    begun = world.changes
    world.vfs.fault = Fault("sync", 1)
    try:
        step(world)
    except SpoolError:
        world.vfs.fault = None
        world.failing.append(_until_it_failed(world, max(begun, _last(world)) + 1))
        world.named, world.promises, world.now.at = memory
        step(world)
    finally:
        world.vfs.fault = None


def _until_it_failed(world: World, since: int) -> range:
    changes = world.vfs.changes or []
    failed = (at for at in range(since, world.changes + 1) if isinstance(changes[at - 1], Lost))
    return range(since, next(failed, since))


def _last(world: World) -> int:
    return world.commits[-1].changes if world.commits else 0


def _kind(step: Step, raised: Exception | None) -> str | None:
    if raised is None or isinstance(raised, SpoolError):
        return raised and raised.kind
    # Huey's own code stands between its storage and spool: it logs whatever is raised there, and goes on.
    return OF_HUEY if step is scripted.queue else repr(raised)

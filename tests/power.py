"""Power that goes at any point: the files as a disk may have kept them, and what is found in them then.

What was synced stands there. Of what was written since, any part may: all, nothing, one write of many, some
sectors of a page; and a file may have the name it had when its folder was synced last.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from spool.store import sqlite
from spool.store.sqlite import SqliteStore
from tests.faulty_vfs import Change, Cut, Lost, Named, Synced, Written
from tests.world import World, broken, damage, halves, lay_out, look, state_of

SECTOR: Final = 512
# Of one point: as many images as this are drawn at random where not each is tried.
DRAWN: Final = 4
# One in so many is opened by spool, too, which goes on with it.
OPENED: Final = 40

Kept = Sequence[Written | Cut]


class Image(NamedTuple):
    """The files that are found when the power is back; `how` names what was lost."""

    how: str
    files: dict[str, bytes]


@dataclass
class Disk:
    """The files of one folder, as they are and as they would be after a power cut.

    Args:
        names: the files that are there, by name, each with its number.
        content: what they hold, synced.
        synced_names: those whose name is on the disk.
    """

    names: dict[str, int]
    content: dict[int, bytes]
    synced_names: dict[str, int]
    pending: dict[int, list[Written | Cut]] = field(default_factory=dict)

    def take(self, change: Change) -> None:
        """What SQLite did next."""
        match change:
            case Written(inode=inode) | Cut(inode=inode):
                self.pending.setdefault(inode, []).append(change)
            case Synced(inode=inode, folder=folder):
                self.content[inode] = _with(self.content.get(inode, b""), self.pending.pop(inode, []))
                if folder:
                    self.synced_names = dict(self.names)
            case Lost(inode=inode):
                self.pending.pop(inode, None)
            case Named(name=name, inode=None, synced=synced):
                self.names.pop(name, None)
                if synced:
                    self.synced_names = dict(self.names)
            case Named(name=name, inode=int(inode)):
                self.names[name] = inode
                self.content[inode] = b""

    def images(self, rng: random.Random, *, each: bool) -> Iterator[Image]:
        """What may be found: with `each`, also with each single write kept or lost."""
        yield self._image("nothing is lost", lambda at, kept: kept)
        yield self._image("all is lost", lambda at, kept: [])
        if self.names != self.synced_names:
            yield self._image("names are lost", lambda at, kept: kept, self.synced_names)
            yield self._image("all and names are lost", lambda at, kept: [], self.synced_names)
        places = [(inode, n) for inode, kept in self.pending.items() for n in range(len(kept))]
        for place in places if each else rng.sample(places, min(2, len(places))):
            yield self._image(f"only {place} is kept", _chosen({place}))
            yield self._image(f"only {place} is lost", _chosen({*places} - {place}))
        for n in range(DRAWN if places else 0):
            some = {place for place in places if rng.random() < (0.5, 0.9)[n % 2]}
            yield self._image(f"some are kept: {sorted(some)}", _chosen(some))
            yield self._image("sectors are kept", lambda at, kept: _torn(kept, rng))

    def _image(
        self, how: str, choose: Callable[[int, Kept], Kept], names: dict[str, int] | None = None
    ) -> Image:
        found = {}
        for path, inode in (self.names if names is None else names).items():
            kept = choose(inode, self.pending.get(inode, []))
            found[Path(path).name] = _with(self.content[inode], kept)
        return Image(how, found)


def _chosen(places: set[tuple[int, int]]) -> Callable[[int, Kept], Kept]:
    return lambda inode, kept: [each for n, each in enumerate(kept) if (inode, n) in places]


def _torn(kept: Kept, rng: random.Random) -> Kept:
    """Of each write only some sectors."""
    found: list[Written | Cut] = []
    for each in kept:
        if isinstance(each, Cut):
            found.append(each)
            continue
        at, end = each.offset, each.offset + len(each.raw)
        while at < end:
            beyond = min(end, (at // SECTOR + 1) * SECTOR)
            if rng.random() < 0.6:
                found.append(Written(each.inode, at, each.raw[at - each.offset : beyond - each.offset]))
            at = beyond
    return found


def _with(content: bytes, kept: Kept) -> bytes:
    if not kept:
        return content
    raw = bytearray(content)
    for each in kept:
        if isinstance(each, Cut):
            raw[each.size :] = bytes(max(0, each.size - len(raw)))
        else:
            raw.extend(bytes(max(0, each.offset - len(raw))))
            raw[each.offset : each.offset + len(each.raw)] = each.raw
    return bytes(raw)


@dataclass
class Tally:
    """What was tried; `images` counts those that differ, `lost_commits` unsynced ones that were undone."""

    points: int = 0
    cuts: int = 0
    images: int = 0
    states: int = 0
    opened: int = 0
    lost_commits: int = 0


class Inquest:
    """What is found after a power cut, held against what a world had committed and promised by then.

    Args:
        world: recorded from its opening to its end.
        begun: its state when the record began.
        place: an empty folder, for the files that are found.
    """

    def __init__(self, world: World, begun: str, place: Path) -> None:
        self._world = world
        self._states = [begun, *(commit.state for commit in world.commits)]
        self._place = place
        self._known: dict[bytes, str] = {}
        self._broken: dict[str, set[str]] = {}
        self.tally = Tally()

    def judge(self, point: int, image: Image) -> None:
        """Raise AssertionError where something is lost that must not be, or is there by half."""
        self.tally.cuts += 1
        state = self._state(image)
        done = sum(commit.changes <= point for commit in self._world.commits)
        synced = [n for n, commit in enumerate(self._world.commits[:done], 1) if commit.sync]
        # What was committed last and synced, each one after it, and the one that is being committed.
        allowed = self._states[max(synced, default=0) : done + 2]
        where = f"after change {point}, {image.how}"
        missing = {label for label in self._broken[state] if self._promised(label, point)}
        assert not missing, f"{where}: what was promised is lost: {sorted(missing)}"
        assert state in allowed, f"{where}: {self._place_of(state, done)}"
        self.tally.lost_commits += state not in self._states[done : done + 2]

    def _promised(self, label: str, point: int) -> bool:
        promise = self._world.promises[label]
        return promise.since <= point and (promise.until is None or point < promise.until)

    def _place_of(self, state: str, done: int) -> str:
        places = [n for n, known in enumerate(self._states) if known == state]
        return f"{done} transactions had ended, the state is that after {places or 'none of them'}"

    def _state(self, image: Image) -> str:
        key = hashlib.sha256()
        for name, raw in sorted(image.files.items()):
            key.update(f"{name} {len(raw)} ".encode() + raw)
        if (digest := key.digest()) not in self._known:
            self.tally.images += 1
            self._known[digest] = self._look(image)
        return self._known[digest]

    def _look(self, image: Image) -> str:
        lay_out(self._place, image.files)
        with look(self._place / sqlite.FILE) as connection:
            wrong, state = damage(connection), state_of(connection)
            # The same rows are right or wrong however they lie in the file.
            if state not in self._broken:
                wrong += halves(connection)
                self._broken[state] = broken(connection, self._world.promises)
        assert not wrong, f"{image.how}: {wrong}"
        if self.tally.images % OPENED == 0:
            lay_out(self._place, image.files)
            self._go_on()
        return state

    def _go_on(self) -> None:
        """spool itself opens it and writes to it, synced and not."""
        self.tally.opened += 1
        store = SqliteStore(self._place, vfs=self._world.vfs.name)
        try:
            for sync in (False, True):
                with store.write(sync=sync) as tx:
                    tx.ledger.set_fact("power", "back")
        finally:
            store.close()

    def run(self, disk: Disk, points: Sequence[int], rng: random.Random, *, each: bool) -> Tally:
        """Cut the power after each of these changes, in every way that `Disk.images` knows."""
        changes = self._world.vfs.changes or []
        wanted = set(points)
        for point, change in enumerate(changes, 1):
            disk.take(change)
            if point in wanted and not any(point in failing for failing in self._world.failing):
                self.tally.points += 1
                for image in disk.images(rng, each=each):
                    self.judge(point, image)
        self.tally.states = len(self._broken)
        return self.tally


def disk_of(world: World) -> Disk:
    """The disk of a world whose record begins now, all of it synced."""
    names = {str(world.home / name): world.vfs.inode(str(world.home / name)) for name in world.files()}
    content = {names[str(world.home / name)]: raw for name, raw in world.files().items()}
    return Disk(dict(names), content, dict(names))

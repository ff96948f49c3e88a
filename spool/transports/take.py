"""Taking what others left in a folder: each file whole, once, and nothing that came meanwhile is lost."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from spool import foreign, log
from spool.errors import SpoolError
from spool.foreign import Found, NotWhole
from spool.transports.base import Entry, Failure, Files
from spool.transports.cargo import FOLDER
from spool.transports.paths import shown
from spool.transports.put_off import Declined, Growing, Told

BATCH: Final = 1000
BATCH_BYTES: Final = 16 * 1024 * 1024
# Of one look: mail of ours must not wait until a hundred thousand files are taken.
MOST: Final = 2 * BATCH
# How long a file that is no whole JSON may stand unchanged before it is taken for what it is.
PATIENCE_S: Final = 60.0
# Before the name of what was too large to take.
REFUSED: Final = ".spool-refused~"


class Keeper(Protocol):
    """Who takes the files in: this host's side, see `FilesGate`."""

    def take(self, found: Sequence[Found]) -> list[bool]:
        """Take whole files in; True for each that is on disk here, as mail or in the quarantine."""

    def refuse(self, found: Found, reason: str) -> bool:
        """Keep what can be kept of a file, and why, in the quarantine; False where that is full."""

    def remembered(self, entries: Sequence[Entry]) -> set[str]:
        """The names among these that were taken before and could not be removed."""

    def remember(self, found: Found) -> None:
        """This one was taken and cannot be removed."""

    def spare(self) -> list[str]:
        """The SHA-256 of each file that is here with what was just taken, so not needed there; told once."""


class Taker:
    """Takes files from one folder.

    A whole file is claimed by a rename to a hidden name before it is read for good: what its
    writer puts there afterwards, under the same name, is a new file. A claim names its host, so
    that what a crash leaves is found again.

    Args:
        host: this host's name.
        monotonic: a clock that never jumps, in seconds.
        max_bytes: of one message.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        keeper: Keeper,
        *,
        host: str,
        max_bytes: int,
        monotonic: Callable[[], float],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._files = files
        self._folder = folder
        self._keeper = keeper
        self._max_bytes = max_bytes
        self._claim = re.compile(rf"\.spool-{re.escape(host)}~[0-9a-f]{{16}}~(.+)", re.DOTALL)
        self._prefix = f".spool-{host}~"
        self._growing = Growing(monotonic, patience_s)
        self._declined = Declined(monotonic)
        self._told = Told(monotonic)
        self.has_more = False

    def take(self) -> int:
        """Take what is there, so many at most; how many files that were. `has_more` says to look again.

        Raises:
            LinkError: what was claimed and not taken in is found again.
        """
        entries = self._files.entries(self._folder)
        self._forget_all_but({entry.name for entry in entries})
        claimed = [entry for entry in entries if self._claim.fullmatch(entry.name) and entry.kind == "file"]
        offered = sorted((entry for entry in entries if self._is_offered(entry)), key=_age)
        known = self._keeper.remembered(offered)
        due = [*claimed, *(entry for entry in offered if entry.name not in known)]
        fresh, again = self._declined.sort([entry for entry in due if not self._growing.is_idle(entry)])
        self.has_more = len(fresh) > MOST
        return sum(map(self._take_some, _batches([*fresh[:MOST], *again])))

    def try_again(self) -> None:
        """What kept files from being taken may be gone."""
        self._declined.forget()

    def _take_some(self, entries: Sequence[Entry]) -> int:
        claims = [_Claim(entry, self._name_of(entry)) for entry in entries if entry.name[0] == "."]
        offered = [entry for entry in entries if entry.name[0] != "."]
        return self._take_claimed(claims) + self._take_offered(offered)

    def _forget_all_but(self, names: set[str]) -> None:
        self._growing.keep(names)
        self._declined.keep(names)

    def _is_offered(self, entry: Entry) -> bool:
        if entry.name.startswith(".") or not entry.name.endswith(foreign.SUFFIX):
            return False
        if entry.kind == "file":
            return True
        what = "pipe, socket or device" if entry.kind == "other" else entry.kind
        self._tell_once(entry.name, f"it is a {what}, and no file")
        return False

    def _take_offered(self, entries: Sequence[Entry]) -> int:
        small = [entry for entry in entries if entry.size <= self._max_bytes]
        for entry in entries:
            if entry.size > self._max_bytes:
                self._set_aside(entry, entry.name, entry.size)
        raws = self._files.fetch([self._path(entry.name) for entry in small], max_bytes=self._max_bytes + 1)
        ready = []
        for entry, raw in zip(small, raws, strict=True):
            match raw:
                case bytes() if self._may_take(entry, raw):
                    ready.append((entry, raw))
                case Failure(reason=reason):
                    self._put_off(entry.name, reason)
        return self._claim_and_take(ready)

    def _may_take(self, entry: Entry, raw: bytes) -> bool:
        """Whether it is whole, or has been anything else for so long that it never will be."""
        if is_whole(entry.name, raw, self._max_bytes):
            self._growing.drop(entry.name)
            return True
        return self._growing.is_over(entry, len(raw))

    def _claim_and_take(self, ready: Sequence[tuple[Entry, bytes]]) -> int:
        if not ready:
            return 0
        names = [
            f"{self._prefix}{secrets.token_hex(8)}~{foreign.short_name(entry.name)}" for entry, _ in ready
        ]
        moved = self._files.move(
            [
                (self._path(entry.name), self._path(name))
                for (entry, _), name in zip(ready, names, strict=True)
            ]
        )
        claims, unclaimed = [], []
        for (entry, raw), name, done in zip(ready, names, moved, strict=True):
            match done:
                case True:
                    claims.append(_Claim(entry._replace(name=name), foreign.short_name(entry.name), raw))
                case Failure(reason=reason):
                    unclaimed.append(
                        (Found(foreign.short_name(entry.name), raw, entry.mtime, entry.size), entry, reason)
                    )
        return self._take_claimed(claims) + self._take_unclaimed(unclaimed)

    def _take_claimed(self, claims: Sequence[_Claim]) -> int:
        if not claims:
            return 0
        paths = [self._path(claim.entry.name) for claim in claims]
        raws = self._files.fetch(paths, max_bytes=self._max_bytes + 1)
        found: list[Found] = []
        owners: list[Entry | None] = []
        for claim, raw in zip(claims, raws, strict=True):
            entry = claim.entry
            if isinstance(raw, Failure):
                self._put_off(entry.name, raw.reason)
            if not isinstance(raw, bytes):
                continue
            if claim.before not in (None, raw) and is_whole(claim.name, claim.before or b"", self._max_bytes):
                # Written over between our two looks: both were whole, so both were meant.
                found.append(Found(claim.name, claim.before or b"", entry.mtime, len(claim.before or b"")))
                owners.append(None)
            if len(raw) > self._max_bytes:
                # It grew meanwhile, or somebody gave it this name: to remove it would lose the rest.
                self._set_aside(entry, claim.name, max(entry.size, len(raw)))
            elif claim.before == raw or self._may_take(entry, raw):
                found.append(Found(claim.name, raw, entry.mtime, max(entry.size, len(raw))))
                owners.append(entry)
        kept = self._take_in(found)
        told = [(entry, ok) for entry, ok in zip(owners, kept, strict=True) if entry is not None]
        self._declined.note([(entry.name, ok) for entry, ok in told])
        done = [entry.name for entry, ok in told if ok]
        gone = self._files.remove([self._path(name) for name in done]) if done else []
        for name, failed in zip(done, gone, strict=True):
            if isinstance(failed, Failure):
                self._put_off(name, failed.reason)
        return len(done)

    def _take_in(self, found: Sequence[Found]) -> list[bool]:
        # At return what was taken is on the disk here; only then may it go there.
        kept = self._keeper.take(found)
        # Their files first: when they themselves are gone, nothing there names those any more.
        if spare := [f"{FOLDER}/{sha256}" for sha256 in self._keeper.spare()]:
            gone = self._files.remove([self._path(name) for name in spare])
            for name, failed in zip(spare, gone, strict=True):
                if isinstance(failed, Failure):
                    self._tell_once(name, failed.reason)
        return kept

    def _take_unclaimed(self, ready: Sequence[tuple[Found, Entry, str]]) -> int:
        """Take files that cannot be renamed: they stay, and are remembered as they are."""
        if not ready:
            return 0
        kept = self._take_in([found for found, _, _ in ready])
        self._declined.note([(entry.name, ok) for (_, entry, _), ok in zip(ready, kept, strict=True)])
        for (found, entry, reason), ok in zip(ready, kept, strict=True):
            if ok:
                self._keeper.remember(found._replace(name=entry.name))
                self._tell_once(entry.name, f"taken, and cannot be removed: {reason}")
        return sum(kept)

    def _set_aside(self, entry: Entry, name: str, size: int) -> None:
        """Keep the beginning of what is too large, and move the file itself out of the way."""
        path = self._path(entry.name)
        (head,) = self._files.fetch([path], max_bytes=self._max_bytes)
        if not isinstance(head, bytes):
            return
        # The same after a crash, so that it is one row; and the row first: hidden without one it is lost.
        token = hashlib.sha256(f"{entry.name}/{size}/{entry.mtime}".encode("utf-8", "surrogateescape"))
        aside = self._path(f"{REFUSED}{token.hexdigest()[:16]}~{foreign.short_name(name)}")
        found = Found(name, head, entry.mtime, size)
        limit = f"{size:,} bytes, the limit is {self._max_bytes:,}"
        reason = f"too large: {limit}; the whole stays there as {shown(aside)}"
        kept = self._keeper.refuse(found, reason)
        self._declined.note([(entry.name, kept)])
        if not kept:
            return
        (moved,) = self._files.move([(path, aside)])
        if moved is not True:
            why = moved.reason if isinstance(moved, Failure) else f"{shown(aside)}: the name is taken"
            self._tell_once(entry.name, f"too large, kept as {shown(path)}: {why}")
            if entry.name == name:
                self._keeper.remember(found)
            self._declined.note([(entry.name, False)])

    def _put_off(self, name: str, reason: str) -> None:
        self._tell_once(name, reason)
        self._declined.note([(name, False)])

    def _tell_once(self, name: str, reason: str) -> None:
        if self._told.is_new(name, reason):
            log.warning("file.skipped", folder=self._folder, file=name[:200], error=reason)

    def _name_of(self, entry: Entry) -> str:
        found = self._claim.fullmatch(entry.name)
        return found.group(1) if found is not None else entry.name

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"


class _Claim(NamedTuple):
    """A file under its hidden name; `name` is the one it was left under, `before` what it held then."""

    entry: Entry
    name: str
    before: bytes | None = None


def is_whole(name: str, raw: bytes, max_bytes: int) -> bool:
    """Whether it is a JSON object to its end, good or bad: no beginning of one is one itself."""
    try:
        foreign.read(Found(name, raw, 0.0), max_bytes=max_bytes)
    except NotWhole:
        return False
    except SpoolError:
        return True
    return True


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Files that are read at once: neither too many nor too large."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == BATCH or size + entry.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def _age(entry: Entry) -> tuple[float, str]:
    return entry.mtime, entry.name

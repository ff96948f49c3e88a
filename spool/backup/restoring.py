"""Putting a backup back: everything is checked beside the home, which then takes its place at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from spool import config, presence
from spool import home as homes
from spool.backup import manifest, unpacking
from spool.backup.draft import scratch, sync_folder
from spool.backup.manifest import Manifest
from spool.backup.unpacking import Told
from spool.errors import BadInput, FileTrouble, StoreBusy, StoreCorrupt, StoreError, StoreNewer
from spool.message import format_time
from spool.store import afresh, copying, sqlite
from spool.store.afresh import Counts

_LOCK: Final = Path("run") / "home.lock"


class Restored(NamedTuple):
    """What stands where now. `aside` is the home that was there; no host knows a `new_key` yet."""

    home: Path
    manifest: Manifest
    counts: Counts
    public_key: str
    new_key: bool
    aside: Path | None
    lines: Path | None


def restore(
    file: Path, home: Path, *, force: bool, now: float, tell: Told = lambda done, whole: None
) -> Restored:
    """Put a backup back as a home, all of it or nothing.

    What it says is true as of the backup. Numbers that were given since fit none that is given from
    here on, and peers are told at their next link, so that either side asks about what it is not sure of.

    Args:
        force: a home that is there is moved aside, never removed.

    Raises:
        BadInput: no backup, a damaged one, or a place that is taken.
        StoreError: the home is in use, or the backup is newer than this spool. Nothing was changed.
        FileTrouble: it could not be read, or not be written.
    """
    # What a link leads to is what is meant.
    home = Path(os.path.realpath(home))
    taken = _taken(home, force=force)
    homes.refuse_network_disk(home)
    with contextlib.ExitStack() as stack:
        if taken:
            stack.enter_context(_alone(home))
        draft = stack.enter_context(_drafted(home))
        told = unpacking.read(file, draft, tell=tell)
        _check(draft, file, told)
        new_key = _keys(draft, home)
        made = homes.init(draft, name=None, agents=[])
        counts = afresh.begin(
            draft / sqlite.FILE,
            now=now,
            host=made.host,
            token=secrets.token_hex(8),
            told=f"from a backup of {format_time(told.made_at)}",
            files=told.attachments,
        )
        _sync(draft)
        aside = _aside(home, now) if taken else None
        _move(draft, home, aside)
    lines = home / manifest.LINES
    return Restored(home, told, counts, made.public_key, new_key, aside, lines if lines.exists() else None)


def _taken(home: Path, *, force: bool) -> bool:
    """Whether there is a home that has to give way. Raises BadInput."""
    try:
        inside = os.listdir(home)
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise BadInput(f"{home}: {exc.strerror}", hint="choose another --home") from exc
    if not inside:
        return False
    if config.FILE not in inside and sqlite.FILE not in inside:
        raise BadInput(f"{home} is not empty, and no spool home", hint="choose another --home")
    if not force:
        raise BadInput(
            f"{home} is a spool home already", hint="--force moves it aside; or choose another --home"
        )
    return True


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else has this home open, nor opens it meanwhile. Raises StoreBusy."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    lock = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock_alone(lock, home)
        yield
    finally:
        os.close(lock)


def _lock_alone(lock: int, home: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        who = ", ".join(f"{each.role} {each.pid}" for each in presence.living(home / "run"))
        raise StoreBusy(
            f"{home} is in use{f' by {who}' if who else ''}",
            hint="`spool down`, end what else reads or serves there, then again; nothing was changed",
        ) from exc


@contextlib.contextmanager
def _drafted(home: Path) -> Iterator[Path]:
    """A folder beside the home that becomes the home; where it does not, it goes. Raises FileTrouble."""
    try:
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with scratch(home.parent, f".{home.name}.restore-") as draft:
            yield draft
    except OSError as exc:
        hint = "check the disk, or choose another --home; nothing was changed"
        raise FileTrouble(f"{exc.filename or home}: {exc.strerror}", hint=hint) from exc


def _check(draft: Path, file: Path, told: Manifest) -> None:
    """Raises where what was unpacked cannot be lived on."""
    database = draft / manifest.DATABASE
    try:
        schema = sqlite.schema_of(database)
    except StoreError as exc:
        raise BadInput(
            f"{file}: its database cannot be read: {exc.message}", hint="take another backup"
        ) from exc
    if schema > sqlite.SCHEMA:
        raise StoreNewer(
            f"{file} was made by spool {told.spool}, with schema {schema}; this one knows {sqlite.SCHEMA}"
        )
    if found := copying.damage(database):
        raise StoreCorrupt(f"{file}: its database is damaged: {found[0]}", hint="take another backup")
    config.load(draft)
    if lacking := set(copying.needed_files(database)) - told.attachments if schema >= 3 else set():
        raise BadInput(f"{file} lacks {len(lacking)} attachments of its messages", hint="take another backup")


def _keys(draft: Path, home: Path) -> bool:
    """See to it that the home keeps its key, where there is one; True where a new one must be made."""
    kept = (manifest.PRIVATE, manifest.PUBLIC)
    if all((draft / name).exists() for name in kept):
        return False
    if not all((home / name).exists() for name in kept):
        return True
    (draft / "keys").mkdir(mode=0o700, exist_ok=True)
    for name in kept:
        shutil.copy(home / name, draft / name)
    return False


def _sync(draft: Path) -> None:
    for folder in (*(each for each in draft.iterdir() if each.is_dir()), draft):
        for each in folder.iterdir():
            if each.is_file():
                opened = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
                os.fsync(opened)
                os.close(opened)
        sync_folder(folder)


def _aside(home: Path, now: float) -> Path:
    aside = home.with_name(f"{home.name}.before-{format_time(now).replace(':', '')}")
    try:
        return home.rename(aside)
    except OSError as exc:
        raise _in_the_way(home, exc) from exc


def _move(draft: Path, home: Path, aside: Path | None) -> None:
    """Give the draft the home's place. A kill before it leaves no home, and both of them whole beside it."""
    try:
        # An empty folder in its place is replaced: rename(2).
        draft.rename(home)
    except OSError as exc:
        if aside is not None:
            aside.rename(home)
        raise _in_the_way(home, exc) from exc
    sync_folder(home.parent)


def _in_the_way(home: Path, exc: OSError) -> FileTrouble:
    hint = "a home that is a mount point cannot be moved: choose a --home below it; nothing was changed"
    return FileTrouble(f"{home}: {exc.strerror}", hint=hint)

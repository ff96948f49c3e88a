"""Repairs of the home's files: their modes, folders that are gone, and what dead processes left."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from spool import config, living
from spool.doctor.finding import counted
from spool.doctor.repair import Repair
from spool.folder import FOLDER
from spool.store import sqlite

_FOLDERS: Final = ("run", "log", "keys")
_FILES: Final = (config.FILE, sqlite.FILE, f"{sqlite.FILE}-wal", f"{sqlite.FILE}-shm")
# Names that hold the id of the process that made them, and what each of them is.
_LEFT: Final = (
    ("", re.compile(r"\.spool\.toml\.(\d+)")),
    ("keys", re.compile(r"\.id_ed25519(?:\.pub)?\.(\d+)")),
    ("run", re.compile(r"\.[a-z]+-(\d+)-[0-9a-f]{8}")),
    ("run", re.compile(r"(\d+)-[0-9a-f]{8}\.(?:carry|wait)\.bell")),
)


def look(home: Path) -> list[Repair]:
    """What may be repaired there, outermost first."""
    return [*_modes(home), *_missing(home), *_left(home)]


def _modes(home: Path) -> Iterator[Repair]:
    places = [(home, 0o700, 0o077)]
    places += [(home / name, 0o700, 0o022) for name in (*_FOLDERS, FOLDER)]
    places += [(home / name, 0o600, 0o077) for name in _FILES]
    for path, mode, others in places:
        try:
            found = path.lstat()
        except OSError:
            continue
        mine = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
        if mine and (found.st_mode & others or found.st_mode & mode != mode):
            what = f"chmod {mode:o} {path}, which has {stat.S_IMODE(found.st_mode):o}"
            yield Repair("home", what, partial(_chmod, path, mode))


def _chmod(path: Path, mode: int) -> None:
    # Not by its name: who may write in the folder could put a link in its place meanwhile.
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(opened, mode)
    finally:
        os.close(opened)


def _missing(home: Path) -> Iterator[Repair]:
    for name in _FOLDERS:
        path = home / name
        if not os.path.lexists(path):
            yield Repair("home", f"mkdir {path}", partial(path.mkdir, mode=0o700))


def _left(home: Path) -> Iterator[Repair]:
    found = [path for name, pattern in _LEFT for path in _of_the_dead(home / name, pattern)]
    if found:
        what = f"remove {counted(len(found), 'file')} that dead processes left, such as {found[0]}"
        yield Repair("home", what, partial(_remove, found))


def _of_the_dead(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        match = pattern.fullmatch(name)
        if match is not None and living.born(int(match.group(1))) is None:
            yield folder / name


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)

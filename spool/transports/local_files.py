"""Folders and files of this machine by file descriptor: no link is followed, no pipe opened."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from spool.errors import FileTrouble
from spool.transports.base import Entry
from spool.transports.paths import shown, split
from spool.transports.renaming import Place

# O_PATH, where there is one, also enters a folder that may be written to and not listed.
ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe put in a file's place must not hold us, nor a terminal become ours.
PLAIN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_A_LINK: Final = {errno.ELOOP, errno.ENOTDIR}
_NO_SYNC: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def opened(folder: str, flags: int) -> Iterator[int]:
    """A folder that is no link, as a file descriptor."""
    where = expanded(folder).rstrip("/") or "/"
    try:
        fd = os.open(where, flags)
    except OSError as exc:
        if exc.errno in _A_LINK and Path(where).is_symlink():
            raise OSError(errno.ELOOP, "the folder is a link; name what it points to", where) from exc
        raise
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def regular(path: str, flags: int) -> Iterator[int]:
    """A regular file, as a file descriptor; what is none is not even opened."""
    folder, name = split(path)
    with opened(folder, ENTER) as at:
        if not flags & os.O_EXCL:
            _require_file(path, os.stat(name, dir_fd=at, follow_symlinks=False))
        fd = os.open(name, flags | PLAIN, 0o600, dir_fd=at)
        try:
            _require_file(path, os.fstat(fd))
            yield fd
        finally:
            os.close(fd)


def _require_file(path: str, found: os.stat_result) -> None:
    if (kind := _kind(found.st_mode)) != "file":
        raise FileTrouble(f"{shown(path)}: no regular file ({kind})")


def stat_of(place: Place) -> Entry | None:
    """What stands there, None for nothing."""
    try:
        found = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(place.name, _kind(found.st_mode), found.st_size, found.st_mtime)


def _kind(mode: int) -> Literal["file", "folder", "link", "other"]:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def read_all(fd: int, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset`; fewer only at the end."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.pread(fd, min(size, 1 << 20), offset)):
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return b"".join(pieces)


def write_all(fd: int, offset: int, data: bytes) -> None:
    """Write all of it at `offset`."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        offset += written
        rest = rest[written:]


def check(path: str, fd: int, data: bytes) -> None:
    """Pass if what stands there is what was written; a file system across a network may say yes too soon."""
    if os.fstat(fd).st_size != len(data) or read_all(fd, 0, len(data)) != data:
        raise FileTrouble(f"{shown(path)}: what stands there is not what was written")


def expanded(folder: str) -> str:
    """The folder with the user's home in the place of `~/`."""
    return str(Path(folder).expanduser()) if folder.startswith("~/") else folder


def make(folder: str) -> None:
    """Make a folder and those above it, each for its owner alone."""
    target = Path(folder)
    for path in (*reversed(target.parents), target):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError:
            # Some file systems are asked whether they may be written to before whether it is there.
            if not path.is_dir():
                raise
            continue
        sync_folder(str(path.parent.resolve()))


def sync_folder(folder: str) -> None:
    """Sync a folder's names, where its file system and its mode allow that."""
    try:
        with opened(folder, LIST) as fd:
            os.fsync(fd)
    except PermissionError:
        return  # one that may not be listed cannot be synced either
    except OSError as exc:
        if exc.errno not in _NO_SYNC:
            raise

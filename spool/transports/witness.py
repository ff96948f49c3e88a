"""Whether anybody has read a local file, told by its access time through a second, hidden name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from spool.errors import FileTrouble
from spool.transports.base import Failure
from spool.transports.local_files import ENTER, PLAIN, opened
from spool.transports.paths import shown, split

# So far before the file's own time is its access time put. Linux moves it at the first read, also where
# it is lazy about that (relatime in mount(8)).
BEFORE_NS: Final = 86_400 * 10**9

T = TypeVar("T")


class LocalWitness:
    """See `Witness`."""

    def share(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Give files a second name, never over what is there."""
        return [_each(old, lambda old, new=new: _share(old, new)) for old, new in pairs]  # type: ignore[misc]  # mypy cannot type a default of a lambda

    def mark(self, paths: Sequence[str]) -> list[Failure | None]:
        """Make files count as unread."""
        return [_each(path, _mark) for path in paths]

    def was_read(self, paths: Sequence[str]) -> list[bool | Failure | None]:
        """Whether files were read since they were marked."""
        return [_each(path, _was_read) for path in paths]


def local_witness(folder: str) -> LocalWitness | None:
    """The witness of a folder's files; None where its file system does not tell of reading.

    It is tried: mounted with noatime, or not one's own to link in, it tells nothing.
    """
    name = f".spool-check.{secrets.token_hex(8)}.part"
    path = f"{folder}/{name}"
    try:
        with opened(folder, ENTER) as at:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN, 0o600, dir_fd=at))
            try:
                return LocalWitness() if _tells(at, name, path) else None
            finally:
                os.unlink(name, dir_fd=at)
    except (OSError, FileTrouble):
        # Whatever is wrong there shows when mail is put into it.
        return None


def _tells(at: int, name: str, path: str) -> bool:
    with open(os.open(name, os.O_WRONLY | PLAIN, dir_fd=at), "wb") as file:
        file.write(b"?")
    _mark(path)
    if _was_read(path):
        return False
    with open(os.open(name, os.O_RDONLY | PLAIN, dir_fd=at), "rb") as file:
        file.read()
    return _was_read(path) is True


def _share(old: str, new: str) -> bool:
    old_folder, old_name = split(old)
    new_folder, new_name = split(new)
    with opened(old_folder, ENTER) as one, opened(new_folder, ENTER) as other:
        try:
            os.link(old_name, new_name, src_dir_fd=one, dst_dir_fd=other, follow_symlinks=False)
        except FileExistsError:
            return False
    return True


def _mark(path: str) -> None:
    folder, name = split(path)
    with opened(folder, ENTER) as at:
        mtime_ns = os.stat(name, dir_fd=at, follow_symlinks=False).st_mtime_ns
        os.utime(name, ns=(mtime_ns - BEFORE_NS, mtime_ns), dir_fd=at, follow_symlinks=False)


def _was_read(path: str) -> bool | None:
    folder, name = split(path)
    with opened(folder, ENTER) as at:
        try:
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return None
    return found.st_atime_ns > found.st_mtime_ns - BEFORE_NS // 2


def _each(path: str, step: Callable[[str], T]) -> T | Failure:
    try:
        return step(path)
    except FileTrouble as exc:
        return Failure(exc.message)
    except OSError as exc:
        return Failure(f"{shown(path)}: {exc.strerror}")

"""A rename within this machine that never replaces what is there."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from typing import Final, NamedTuple

RENAME_NOREPLACE: Final = 1  # linux/fs.h
NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
_NOT_THERE: Final = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


class Place(NamedTuple):
    """A name in an open folder."""

    folder: int
    name: str


def rename(old: Place, new: Place) -> bool:
    """Give a file its new name; False where that is taken.

    renameat2, in one step. Where there is none: link and unlink, as OpenSSH does it; a crash in
    between leaves both names, and what is put under the old name in between is lost. Where the
    file system has no hard links either, the name is claimed by an empty file first, which others
    may see for a moment.

    Raises:
        OSError: it could not be done.
    """
    try:
        return _by_renameat2(old, new)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in _NOT_THERE:
            raise
    try:
        return _by_link(old, new)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
    return _by_claim(old, new)


def _by_link(old: Place, new: Place) -> bool:
    os.link(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder, follow_symlinks=False)
    try:
        os.unlink(old.name, dir_fd=old.folder)
    except OSError:
        # Under one name or the other, never under both with an error.
        os.unlink(new.name, dir_fd=new.folder)
        raise
    return True


def _by_renameat2(old: Place, new: Place) -> bool:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    done = call(
        old.folder, os.fsencode(old.name), new.folder, os.fsencode(new.name), ctypes.c_uint(RENAME_NOREPLACE)
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True


def _by_claim(old: Place, new: Place) -> bool:
    try:
        os.close(os.open(new.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=new.folder))
    except FileExistsError:
        return False
    try:
        os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
    except OSError:
        os.unlink(new.name, dir_fd=new.folder)
        raise
    return True


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """The C library's own, where it has one (glibc since 2.28, musl since 1.2.6)."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)

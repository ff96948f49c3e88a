"""Work that shows only when it is whole: a hidden folder beside its place, and what gives it its name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool.errors import BadInput

# What file systems say that know no second name for a file.
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextlib.contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder of one's own, locked; what is left of it at the end is removed.

    One that a killed process left goes when the next one is made there. Raises OSError.
    """
    for left in parent.glob(f"{prefix}*"):
        _clear(left)
    folder, lock = _made(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(draft: Path, out: Path, *, force: bool) -> None:
    """Give a file that is synced its name; it is there for good when this returns.

    Raises:
        BadInput: there is something of that name, and `force` is not given.
        OSError: as the system says.
    """
    if force:
        draft.replace(out)
    else:
        _name(draft, out)
    sync_folder(out.parent)


def refuse_existing(out: Path) -> None:
    """Raises BadInput where there is something of this name."""
    if os.path.lexists(out):
        raise BadInput(f"{out} is there already", hint="give another name, or --force to replace it")


def sync_folder(path: Path) -> None:
    """What was named, renamed or removed in a folder stays so after a power cut."""
    folder = _opened(path)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(6)}"
        folder.mkdir(mode=0o700)
        try:
            lock = _opened(folder)
        except FileNotFoundError:
            # Taken for a left one before it was locked.
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                return folder, lock
        os.close(lock)


def _clear(left: Path) -> None:
    try:
        lock = _opened(left)
    except OSError:
        # Gone meanwhile, or not ours.
        return
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left, ignore_errors=True)
    os.close(lock)


def _name(draft: Path, out: Path) -> None:
    try:
        # Not rename: it would replace what somebody else has put there meanwhile.
        os.link(draft, out)
    except FileExistsError:
        refuse_existing(out)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        refuse_existing(out)
        draft.rename(out)

"""Where a backup grows: a hidden folder beside its file, which gets its name when all is on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spool.errors import BadInput

_PREFIX: Final = ".spool-backup-"
_LOCK: Final = "lock"
# What file systems say that know no second name for a file.
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Draft:
    """`with Draft(out) as draft`: a folder of its own, gone at the end however that comes.

    One that a killed process left goes when the next backup is made there. Raises OSError.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.parent / f"{_PREFIX}{secrets.token_hex(6)}"
        self.database = self.folder / "spool.db"
        self.archive = self.folder / "backup"
        self._lock = -1

    def __enter__(self) -> Self:
        _clear(self.out.parent)
        self.folder.mkdir(mode=0o700)
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def publish(self, *, force: bool) -> None:
        """Give the archive its name; it is there for good when this returns.

        Raises:
            BadInput: there is such a file, and `force` is not given.
        """
        if force:
            self.archive.replace(self.out)
        else:
            _name(self.archive, self.out)
        sync_folder(self.out.parent)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)


def refuse_existing(out: Path) -> None:
    """Raises BadInput where there is something of this name."""
    if os.path.lexists(out):
        raise BadInput(f"{out} is there already", hint="give another name, or --force to replace it")


def sync_folder(path: Path) -> None:
    """What was named, renamed or removed in a folder stays so after a power cut."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name(archive: Path, out: Path) -> None:
    try:
        # Not rename: it would replace what somebody else has put there meanwhile.
        os.link(archive, out)
    except FileExistsError:
        refuse_existing(out)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        refuse_existing(out)
        archive.rename(out)


def _clear(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(left / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            # Another one has only just made its folder; or it is not ours.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(lock)

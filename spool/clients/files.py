"""A settings file of somebody else's: read as it is, replaced whole, and not over a change that just came."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spool.errors import FileTrouble


class ChangedMeanwhile(Exception):
    """The file is not what it was when it was read; nothing was written."""


def read(path: Path) -> bytes | None:
    """The file's bytes; None where there is none. Raises FileTrouble."""
    with _translated(path):
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise FileTrouble(f"{path} is not a file", hint="look what it is; it was left alone")
            return path.read_bytes()
        except FileNotFoundError:
            return None


def replace(path: Path, old: bytes | None, new: bytes | None, *, mode: int) -> None:
    """Put `new` where `old` is; None stands for no file. On the disk when this returns.

    A link is followed: what it points to is replaced, with its owner and its permissions.

    Raises:
        ChangedMeanwhile: it holds something else than `old`.
        FileTrouble: it cannot be written; it is as it was.
    """
    with _translated(path):
        target = path.resolve()
        _compare(target, old)
        if new is None:
            target.unlink()
            return
        for folder in missing_folders(target):
            folder.mkdir(mode=0o700 if mode == 0o600 else 0o755, exist_ok=True)
        draft = target.with_name(f".{target.name}.spool-{os.getpid()}")
        try:
            _write(draft, new, mode=mode, like=target.stat() if old is not None else None)
            _compare(target, old)
            draft.replace(target)
        except BaseException:
            # With a folder that went meanwhile, the draft went too.
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        _sync(target.parent)


def missing_folders(path: Path) -> list[Path]:
    """The folders above a file that are not there, the outermost first."""
    return [folder for folder in reversed(path.resolve().parents) if not folder.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Remove those folders, the innermost first, up to one that holds anything."""
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:
            # Somebody else has use for it by now, or has removed it.
            return


def _compare(target: Path, old: bytes | None) -> None:
    try:
        found = target.read_bytes()
    except FileNotFoundError:
        found = None
    if found != old:
        raise ChangedMeanwhile


def _write(draft: Path, content: bytes, *, mode: int, like: os.stat_result | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    # One that a killed install left; its name is ours.
    draft.unlink(missing_ok=True)
    with open(os.open(draft, flags, 0o600), "wb") as file:
        if like is not None:
            mode = stat.S_IMODE(like.st_mode)
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise FileTrouble(
            f"{path}: {exc.strerror or exc}",
            hint="nothing was changed in it; you must be able to write there",
        ) from exc

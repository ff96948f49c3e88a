"""A file that a keeper reads: written for one home, and taken away only if it still is."""

from __future__ import annotations

from pathlib import Path

from spool.errors import SpoolError
from spool.home import write_atomically


def put(path: Path, content: bytes, mark: str) -> None:
    """Write the file whole.

    Raises:
        SpoolError: another home's, or somebody's own, is there; or it cannot be written.
    """
    _ours(path, mark)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, mode=0o644)
    except OSError as exc:
        raise SpoolError(f"{path}: {exc.strerror}", hint="you must be able to write there") from exc


def remove(path: Path, mark: str) -> bool:
    """Remove it; False where there is none. Raises SpoolError: it is not ours."""
    if not _ours(path, mark):
        return False
    path.unlink()
    return True


def holds(path: Path, mark: str) -> bool:
    """Whether the file is there and ours."""
    try:
        return mark in path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False


def _ours(path: Path, mark: str) -> bool:
    """Whether it is there. Raises SpoolError: it is, and not for this home."""
    if not path.exists() and not path.is_symlink():
        return False
    if not holds(path, mark):
        raise SpoolError(
            f"{path} is there and was not written for this home",
            hint="look at it; remove it, or give this host another [host] name",
        )
    return True

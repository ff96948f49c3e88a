"""A file that a person asked for: it appears whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from spool.errors import BadInput


@contextlib.contextmanager
def replaced(name: str) -> Iterator[BinaryIO]:
    """Write to a hidden file beside it, mode 0600, which takes its name when all is on the disk.

    One of that name is replaced then, and not before. An exception leaves it as it was.

    Raises:
        BadInput: it is no plain file, or cannot be written there.
    """
    draft: Path | None = None
    try:
        # What a link leads to is what is meant.
        path = Path(name).expanduser().resolve()
        if path.exists() and not path.is_file():
            raise BadInput(f"{name} is not a plain file", hint="name a file, or write to - and redirect that")
        draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync(path.parent)
    except OSError as exc:
        hint = "name a file in a folder with room, that you may write to"
        raise BadInput(f"{name}: {exc.strerror}", hint=hint) from exc
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

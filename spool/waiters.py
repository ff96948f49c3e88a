"""Waiters: of those that wait beside one session, the newest; the others see that they are not needed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_ENDING: Final = ".waiter"
_TOKEN_BYTES: Final = 8
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class Waiter:
    """This one, the newest of its session until another is made. Its file is locked while it lives.

    Args:
        run: the folder `run/` of the home.
        session: an id of any letters.
    """

    def __init__(self, run: Path, session: str) -> None:
        # Of a fixed length, so that one write puts the new token over the old one.
        self._token = secrets.token_hex(_TOKEN_BYTES).encode()
        self._path = run / f"{hashlib.sha256(session.encode('utf-8', 'replace')).hexdigest()[:16]}{_ENDING}"
        self._file = self._opened()
        os.pwrite(self._file, self._token, 0)

    def is_newest(self) -> bool:
        """Whether no other came since."""
        return os.pread(self._file, len(self._token), 0) == self._token

    def close(self) -> None:
        """It waits no more; once."""
        if self.is_newest():
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        os.close(self._file)

    def _opened(self) -> int:
        while True:
            file = os.open(self._path, _OPEN, 0o600)
            fcntl.flock(file, fcntl.LOCK_SH)
            if _is_at(file, self._path):
                return file
            # It was removed between the two.
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def clear(run: Path) -> None:
    """Remove the files of waiters that were killed."""
    for path in run.glob(f"*{_ENDING}"):
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                path.unlink()
        except BlockingIOError:
            # One of them lives.
            pass
        finally:
            os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False

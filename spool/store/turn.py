"""Whose turn it is to write: processes that want SQLite's write lock stand in a queue, and sleep there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILE: Final = "write-turn.lock"
PATIENCE_S: Final = 1.0


class Turn:
    """The queue before the write lock of one home; one thread at a time asks for its turn.

    SQLite's lock can only be tried again and again: many writers burn the processor with it, and who
    comes by at the right moment goes first. A lock file is waited for asleep, and nearly in order. It
    is no more than that: SQLite's lock decides, and without a turn, because the file cannot be had or
    whoever has it was stopped, one writes all the same.

    Args:
        run: the folder `run/` of the home.
        patience_s: how long a turn is waited for.
    """

    def __init__(self, run: Path, *, patience_s: float = PATIENCE_S) -> None:
        self._path = run / FILE
        self._patience_s = patience_s
        self._file = -1
        self._queue: _Queue | None = None

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Have the turn meanwhile, where it can be had."""
        release = self._take()
        try:
            yield
        finally:
            if release >= 0:
                fcntl.flock(release, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file, as often as one likes."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self) -> int:
        """The open file that holds the lock now; -1 for none."""
        try:
            if self._file < 0:
                self._file = _opened(self._path)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait()
        except OSError:
            # No room for it, or no number: SQLite's own lock is there.
            return -1
        return self._file

    def _wait(self) -> int:
        if self._queue is None:
            try:
                self._queue = _Queue(self._path)
            except (OSError, RuntimeError):
                # No thread can be had: a program that ends, or one that has too many.
                return -1
        return self._queue.wait(self._patience_s)


class _Queue:
    """A thread that stands in the queue: a call that waits for a lock file ends in no other way."""

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        self._asked = threading.Semaphore(0)
        self._got = threading.Event()
        self._lock = threading.Lock()
        self._wanted = self._busy = self._closed = False
        try:
            threading.Thread(target=self._run, name="turn", daemon=True).start()
        except RuntimeError:
            os.close(self._file)
            raise

    def wait(self, patience_s: float) -> int:
        """The open file that holds the lock; -1 after so many seconds, and while an older wait goes on."""
        with self._lock:
            if self._busy:
                return -1
            self._busy = self._wanted = True
            self._got.clear()
        self._asked.release()
        try:
            self._got.wait(patience_s)
        except BaseException:
            if self._had():
                fcntl.flock(self._file, fcntl.LOCK_UN)
            raise
        return self._file if self._had() else -1

    def _had(self) -> bool:
        """Whether the lock is ours; had later than now, the thread gives it back."""
        with self._lock:
            self._wanted = False
            return self._got.is_set()

    def close(self) -> None:
        """Let the thread go, once it is out of the queue."""
        with self._lock:
            self._closed = True
        self._asked.release()

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            with self._lock:
                if self._closed:
                    break
            fcntl.flock(self._file, fcntl.LOCK_EX)
            with self._lock:
                self._busy = False
                if self._wanted:
                    self._got.set()
                else:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

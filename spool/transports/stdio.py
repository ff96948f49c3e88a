"""The far end's pipe: this process's own stdin and stdout."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from spool.errors import LinkLost


class StdioPipe:
    """Stdin and stdout as a pipe; from here on nothing else in the process can write there."""

    def __init__(self) -> None:
        self._in = os.dup(0)
        self._out = os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        # A stray print must not break a frame: it goes to the dialler's stderr.
        os.dup2(2, 1)
        os.close(null)
        sys.stdout = sys.stderr
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._wake_r, self._wake_w = os.pipe()
        self._closed = False

    def send(self, frames: bytes) -> None:
        """See `Pipe.send`."""
        rest = memoryview(frames)
        while rest:
            self._wait([], [self._out])
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                continue
            except OSError as exc:
                raise LinkLost(f"the dialler is gone: {exc.strerror}") from exc

    def receive(self, max_bytes: int) -> bytes:
        """See `Pipe.receive`."""
        while True:
            self._wait([self._in], [])
            try:
                return os.read(self._in, max_bytes)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise LinkLost(f"the dialler is gone: {exc.strerror}") from exc

    def close(self) -> None:
        """See `Pipe.close`."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            os.write(self._wake_w, b"!")

    def last_words(self) -> str:
        """Nothing: the dialler has no stderr here."""
        return ""

    def exit_status(self) -> int | None:
        """None: the dialler is not a command of ours."""
        return None

    def _wait(self, readable: list[int], writable: list[int]) -> None:
        if self._closed:
            raise LinkLost("closed here")
        ready, _, _ = select.select([*readable, self._wake_r], writable, [])
        if self._wake_r in ready or self._closed:
            raise LinkLost("closed here")

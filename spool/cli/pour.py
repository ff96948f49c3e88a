"""Printing so that one knows what was taken: a reader that goes away midway is noticed."""

from __future__ import annotations

import array
import fcntl
import io
import os
import select
import stat
import sys
import termios
import time
from typing import Final

# The most that is written to a pipe before its reader is looked at again.
CHUNK: Final = 4096
# How long a reader may leave what was written in the pipe.
PATIENCE_S: Final = 5.0
LOOK_S: Final = 0.002
# A reader that stops early goes within this time of its last read.
GRACE_S: Final = 0.005


class Tap:
    """Standard output, written to without a buffer of its own.

    A file or a terminal has what was written. A pipe only holds it: `pour` keeps the last piece
    back until the reader took all before it, and `taken` waits until it took that as well. So
    what a reader like `head -c` cuts off was never taken.

    Args:
        fd: where standard output is kept, if not where it belongs.

    Raises (both methods):
        BrokenPipeError: the reader is gone.
    """

    def __init__(self, fd: int | None = None) -> None:
        sys.stdout.flush()
        try:
            self._fd = sys.stdout.fileno() if fd is None else fd
        except (io.UnsupportedOperation, ValueError):
            # Some other program's own stream, in memory.
            self._fd = -1
            self._question = 0
            return
        mode = os.fstat(self._fd).st_mode
        # How many bytes lie there unread. On Linux a pipe's write end may ask too; where it
        # may not (macOS says 0), all counts as taken once it is written.
        if stat.S_ISFIFO(mode):
            self._question = termios.FIONREAD
        elif stat.S_ISSOCK(mode):
            self._question = termios.TIOCOUTQ
        else:
            self._question = 0

    def pour(self, text: bytes) -> None:
        """Write all of it."""
        if self._fd < 0:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
            return
        head, tail = text[:-CHUNK], text[-CHUNK:]
        self._write(head)
        if head:
            # Its answer does not matter here: an impatient end leaves the message unread.
            self.taken()
        self._write(tail)

    def taken(self) -> bool:
        """Wait until the reader took all of it; False where it leaves it lying for too long."""
        if not self._question:
            return True
        deadline = time.monotonic() + PATIENCE_S
        while self._lying() > 0:
            self._refuse_no_reader(LOOK_S)
            if time.monotonic() > deadline:
                return False
        self._refuse_no_reader(GRACE_S)
        return True

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            if self._question:
                self._await_room()
            try:
                rest = rest[os.write(self._fd, rest[:CHUNK] if self._question else rest) :]
            except BlockingIOError:
                # Whoever started us left it non-blocking.
                self._await_room()

    def _await_room(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.poll()

    def _refuse_no_reader(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._fd, 0)
        # Only POLLERR and POLLHUP are waited for: the other end was closed.
        if poll.poll(timeout_s * 1000):
            raise BrokenPipeError("the reader is gone")

    def _lying(self) -> int:
        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._fd, self._question, count)
        except OSError:
            return 0
        return count[0]

"""A pipe to the far spool over any command that gives one: `exec:docker exec -i box spool serve …`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, Final

from spool.config import Peer, parse_exec
from spool.errors import LinkLost, NoSpoolThere
from spool.transports.base import Pipe
from spool.transports.lastwords import LastWords

LEAVE_S: Final = 0.5  # for a command that ends by itself when its stdin does
TERM_S: Final = 1.0  # after SIGTERM, before SIGKILL
MOMENT_S: Final = 1.0  # for the last words and the exit status, once stdout has ended
READ_BYTES: Final = 4096


def dial(peer: Peer, home: Path, *, as_name: str) -> Pipe:
    """Start the command of an `exec:` url and return its stdin and stdout as a pipe.

    `home` and `as_name` are not used: the command line is written out in the url.

    Raises:
        NoSpoolThere: the command cannot be started.
        BadConfig: the url holds no command.
    """
    argv = parse_exec(peer.url)
    where = f"{peer.name} ({argv[0]})"
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        problem = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise NoSpoolThere(
            f"{where}: cannot start the command: {problem}",
            hint=f"correct the url of [peers.{peer.name}], or give the program's full path",
        ) from exc
    return ExecPipe(child, where)


class ExecPipe:
    """A child process and its three pipes; see `Pipe` for the promise.

    Every wait is a poll of the pipe and of a wake-up pipe, so that `close` ends it even
    where some grandchild in another session still holds the other end.
    """

    def __init__(self, child: subprocess.Popen[bytes], where: str) -> None:
        self._child = child
        self._where = where
        self._stdin, self._stdout, self._stderr = map(_present, (child.stdin, child.stdout, child.stderr))
        os.set_blocking(self._stdin.fileno(), False)
        self._wake_read, self._wake_write = os.pipe()
        self._closed = threading.Event()
        self._ended = threading.Event()
        self._closing = threading.Lock()
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._words = LastWords()
        self._listener = threading.Thread(target=self._listen, name=f"stderr of {where}", daemon=True)
        self._listener.start()

    def send(self, frames: bytes) -> None:
        """Write all of it to the command's stdin."""
        rest = memoryview(frames)
        with self._sending:
            while rest:
                self._await(self._stdin, select.POLLOUT)
                try:
                    rest = rest[os.write(self._stdin.fileno(), rest) :]
                except BlockingIOError:
                    continue
                except OSError as exc:
                    raise LinkLost(f"{self._where}: the command reads no more: {exc.strerror}") from exc

    def receive(self, max_bytes: int) -> bytes:
        """Return what the command wrote to stdout; b"" when it closed it."""
        with self._receiving:
            self._await(self._stdout, select.POLLIN)
            try:
                got = os.read(self._stdout.fileno(), max_bytes)
            except OSError as exc:
                raise LinkLost(f"{self._where}: {exc.strerror}") from exc
        if not got:
            self._ended.set()
        return got

    def close(self) -> None:
        """End the command and everything in its process group; takes at most about two seconds."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
            os.write(self._wake_write, b"x")
            with self._sending:
                self._stdin.close()
            self._finish()
            self._listener.join(MOMENT_S)
            with self._receiving:
                self._stdout.close()
            self._stderr.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def last_words(self) -> str:
        """What the command said last on stderr, and how it ended."""
        if self._over():
            self._listener.join(MOMENT_S)
            self._reap(MOMENT_S)
        return self._words.text(self._ending())

    def exit_status(self) -> int | None:
        """The command's exit status; None while it runs, or where a signal ended it."""
        self._reap(MOMENT_S if self._over() else 0)
        status = self._child.returncode
        return status if status is not None and status >= 0 else None

    def _over(self) -> bool:
        return self._ended.is_set() or self._closed.is_set()

    def _ending(self) -> str:
        status = self._child.returncode
        if status is None:
            return ""
        return f"exit status {status}" if status >= 0 else f"ended by signal {-status}"

    def _await(self, pipe: IO[bytes], event: int) -> None:
        """Wait until the pipe can be used, or raise LinkLost once `close` was called."""
        if not self._closed.is_set():
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            poll.register(pipe, event)
            poll.poll()
        if self._closed.is_set():
            raise LinkLost(f"{self._where}: the link was closed on this side")

    def _listen(self) -> None:
        with contextlib.suppress(LinkLost, OSError):
            while True:
                self._await(self._stderr, select.POLLIN)
                if not (piece := os.read(self._stderr.fileno(), READ_BYTES)):
                    return
                self._words.feed(piece)

    def _finish(self) -> None:
        if self._reap(LEAVE_S):
            return
        self._signal(signal.SIGTERM)
        if self._reap(TERM_S):
            return
        self._signal(signal.SIGKILL)
        self._reap(MOMENT_S)

    def _reap(self, timeout_s: float) -> bool:
        """Wait for the command's end; take what is left of its group with it. Return whether it ended."""
        if self._child.returncode is not None:
            return True
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        # Now, not later: once the group is empty its number may be given to someone else.
        self._signal(signal.SIGKILL)
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "Popen was asked for all three pipes"
    return pipe

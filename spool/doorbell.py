"""The doorbell: wakes the processes of this home that wait; losing a ring costs time, no message."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

_LONGEST: Final = 100


class Bell:
    """One process's own datagram socket under `run/`; wait on it, from one thread.

    Args:
        run: the folder `run/` of the home.
        carries: whether this process carries mail; else it only waits for something to happen.
    """

    def __init__(self, run: Path, *, carries: bool = False) -> None:
        import secrets
        import socket

        kind = "carry" if carries else "wait"
        self._path = run / f"{os.getpid()}-{secrets.token_hex(4)}.{kind}.bell"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            with _reachable(self._path) as name:
                self._socket.bind(name)
            self._path.chmod(0o600)
        except BaseException:
            self._socket.close()
            raise

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody rings; False after `timeout_s`."""
        import select

        # Not select: it knows no file above 1,023.
        poll = select.poll()
        with contextlib.suppress(ValueError):
            poll.register(self._socket, select.POLLIN)
            poll.poll(max(0.0, timeout_s) * 1000)
        return self._drain()

    def _drain(self) -> bool:
        rung = False
        while True:
            try:
                self._socket.recv(16)
                rung = True
            except (BlockingIOError, InterruptedError):
                return rung
            except OSError:
                return rung

    def ring(self) -> None:
        """Ring this one bell; it may be closed."""
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            _ring_one(sender, self._path)

    def close(self) -> None:
        """Take it down, as often as one likes."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket.close()

    def __enter__(self) -> Bell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Listener:
    """Waits on a bell in a thread of its own and calls whoever subscribed."""

    def __init__(self, run: Path) -> None:
        self._bell = Bell(run, carries=True)
        self._subscribers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
        self._thread.start()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` at each ring, from the listener's thread; returns what ends it."""
        with self._lock:
            self._subscribers.append(wake)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._subscribers.remove(wake)

        return unsubscribe

    def close(self) -> None:
        """Stop listening and take the bell down."""
        self._stop.set()
        self._bell.ring()
        self._thread.join(2.0)
        self._bell.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._bell.wait(0.5):
                with self._lock:
                    subscribers = list(self._subscribers)
                for wake in subscribers:
                    wake()


def ring(run: Path) -> None:
    """Ring every bell of this home; bells whose process is gone are cleared away. Never raises."""
    _ring(run, ".bell")


def ring_waiting(run: Path) -> None:
    """Ring the bells of those that wait for something to happen: there is nothing to carry."""
    _ring(run, ".wait.bell")


def _ring(run: Path, ending: str) -> None:
    try:
        names = [name for name in os.listdir(run) if name.endswith(ending)]
    except OSError:
        return
    if not names:
        return
    # Only now: where nobody listens, a `send` is over sooner.
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for name in names:
            _ring_one(sender, run / name)


def _ring_one(sender: socket.socket, path: Path) -> None:
    try:
        with _reachable(path) as name:
            sender.sendto(b"!", name)
    except OSError as exc:
        # A full socket has rings enough; a refused one belonged to a process that is gone.
        if exc.errno == errno.ECONNREFUSED:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """A name of at most 107 bytes for the socket: unix(7) allows no longer one."""
    whole = os.fspath(path)
    if len(whole.encode()) <= _LONGEST:
        yield whole
        return
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENAMETOOLONG, "too long for a socket", whole)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

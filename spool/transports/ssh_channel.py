"""An ssh channel as a wire whose every wait has an end, and whose failures are ours."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

import paramiko

from spool.errors import LinkError, LinkLost, TimedOut
from spool.transports.lastwords import LastWords
from spool.transports.patience import Patience
from spool.transports.ssh_connection import Connection

STDERR_BYTES: Final = 64 * 1024


class Wire:
    """A channel of a logged-in connection; one thread uses it, within `bounded`.

    Args:
        where: host:port, for messages.
        closed: set once this side has closed the connection.
        stall_s: how long may go by without progress.
    """

    def __init__(
        self,
        connection: Connection,
        channel: paramiko.Channel,
        *,
        where: str,
        closed: threading.Event,
        stall_s: float,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._where = where
        self._closed = closed
        self._stall_s = stall_s
        self._patience: Patience | None = None
        self._words = LastWords()

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """What is sent and received inside ends with TimedOut when nothing moves for too long."""
        with Patience(self._stall_s, self._connection.cut) as patience:
            self._patience = patience
            yield

    def send(self, packets: bytes) -> None:
        """Write all of it.

        Raises:
            LinkLost, TimedOut: the connection ended.
        """
        try:
            self._channel.sendall(packets)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self.lost(str(exc)) from exc
        self._moved()

    def end_of_input(self) -> None:
        """Tell the far command that nothing more comes."""
        try:
            self._channel.shutdown_write()
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self.lost(str(exc)) from exc

    def receive(self, max_bytes: int) -> bytes:
        """Return what has come, at least one byte.

        Raises:
            LinkLost, TimedOut: the connection or the far command ended.
        """
        if piece := self.receive_or_end(max_bytes):
            return piece
        raise self.lost("the far side ended")

    def receive_or_end(self, max_bytes: int) -> bytes:
        """Return what has come, or b"" where the far command has ended its output in an orderly way."""
        try:
            piece = self._channel.recv(max_bytes)
            # Unread, it would fill the window that both streams share.
            self._drain()
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self.lost(str(exc)) from exc
        if not piece and (self._ended_badly() or not self._channel.eof_received):
            raise self.lost("the connection broke")
        self._moved()
        return piece

    def last_words(self) -> str:
        """What the far command said on stderr."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._drain()
        return self._words.text()

    def lost(self, problem: str) -> LinkError:
        """The error that stands for an end of the connection, whatever it came from."""
        if self._closed.is_set():
            return LinkLost(f"{self._where}: the connection was closed on this side")
        if self._patience is not None and self._patience.late:
            hint = "is the host well, and its disk?"
            return TimedOut(f"{self._where}: nothing came for {self._stall_s:g} s", hint=hint)
        said = self.last_words()
        return LinkLost(f"{self._where}: {problem or 'the connection broke'}{': ' if said else ''}{said}")

    def close(self) -> None:
        """End the channel, not the connection."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()

    def _ended_badly(self) -> bool:
        late = self._patience is not None and self._patience.late
        return self._closed.is_set() or late

    def _drain(self) -> None:
        while self._channel.recv_stderr_ready() and (piece := self._channel.recv_stderr(STDERR_BYTES)):
            self._words.feed(piece)

    def _moved(self) -> None:
        if self._patience is not None:
            self._patience.progress()

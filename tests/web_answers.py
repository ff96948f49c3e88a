"""A server that answers what a test tells it to, for what no spool would say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

# Instead of an answer: the connection is closed, or nothing is said until the end.
CLOSE: Final = b""
SILENCE: Final = b"\0"


def answer(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of an answer; `_` in a header's name is a dash."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Answers:
    """Gives each request what `tell` makes of its path and body.

    Attributes:
        asked: the path and the body of each request so far.
        connections: how many were taken.
    """

    def __init__(self, tell: Callable[[str, bytes], bytes], *, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.connections = 0
        self._tell = tell
        self._context = context
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        # What is no request is not answered, as a server of another kind would.
        with contextlib.suppress(OSError, ValueError, IndexError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock, sock.makefile("rb") as file:
                while line := file.readline():
                    path, length = line.split()[1].decode(), 0
                    while (head := file.readline().strip()) != b"":
                        name, _, value = head.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    body = file.read(length)
                    self.asked.append((path, body))
                    said = self._tell(path, body)
                    if said == CLOSE:
                        return
                    if said != SILENCE:
                        sock.sendall(said)

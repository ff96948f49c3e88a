"""A gateway in front of GitHub's emulator that counts what was asked for, and can swallow an answer."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

# They belong to one connection, or to what the gateway reads whole.
_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
TIMEOUT_S: Final = 30.0


class Gateway:
    """Hands each request on to `target` and its answer back: `with Gateway(tower.url) as gateway`.

    Attributes:
        url: where to ask.
        calls: method, path without query, and status of what was answered by the target, in order.
    """

    def __init__(self, target: str) -> None:
        self.calls: list[tuple[str, str, int]] = []
        self._target = urlsplit(target)
        self._swallow: threading.Event | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _door(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def swallow_create(self) -> threading.Event:
        """The answer to the next issue that is made never comes; set once it was made."""
        with self._lock:
            self._swallow = threading.Event()
            return self._swallow

    def creates(self) -> int:
        """How many issues were made."""
        return sum(method == "POST" and path.endswith("/issues") for method, path, _ in self.calls)

    def _pass(self, ask: BaseHTTPRequestHandler) -> None:
        body = ask.rfile.read(int(ask.headers.get("content-length") or 0))
        line = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=TIMEOUT_S)
        try:
            headers = {key: value for key, value in ask.headers.items() if key.lower() not in _HOP}
            line.request(ask.command, ask.path, body or None, headers)
            answer = line.getresponse()
            told = answer.read()
        finally:
            line.close()
        path = ask.path.partition("?")[0]
        with self._lock:
            self.calls.append((ask.command, path, answer.status))
            swallowed = self._swallow if ask.command == "POST" and path.endswith("/issues") else None
            self._swallow = None if swallowed else self._swallow
        if swallowed is not None:
            swallowed.set()
            self._over.wait(TIMEOUT_S)
            ask.close_connection = True
            return
        ask.send_response(answer.status)
        for key, value in answer.headers.items():
            if key.lower() not in _HOP:
                ask.send_header(key, value)
        ask.send_header("content-length", str(len(told)))
        ask.end_headers()
        ask.wfile.write(told)


def _door(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            gateway._pass(self)

        def do_POST(self) -> None:
            gateway._pass(self)

        def do_PATCH(self) -> None:
            gateway._pass(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Door

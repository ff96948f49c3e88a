"""A gateway in front of the emulator for what neither it nor the checking proxy can do: refuse and break."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Call(NamedTuple):
    """What was asked for, and with which status it was answered; 0 where the answer was lost."""

    method: str
    path: str
    query: str
    status: int
    token: str


class Fault(NamedTuple):
    """An answer in the place of the emulator's; or its answer is `lost`: the line breaks before it comes."""

    status: int = 0
    headers: Mapping[str, str] = MappingProxyType({})
    body: Mapping[str, Any] = MappingProxyType({})
    lost: bool = False


class Faulty:
    """Hands requests on, unless a fault is set for them.

    Attributes:
        calls: what was asked for, in order.
        tags: whether lists are answered with an ETag, and with 304 where it is shown again.
        tokens: where there are any, every other one is refused; the emulator takes each for somebody's.
        is_shut: whether every line breaks before anything is asked.
    """

    def __init__(self, target: str) -> None:
        self.calls: list[Call] = []
        self.tags = True
        self.tokens: set[str] = set()
        self.is_shut = False
        self._target = urlsplit(target)
        self._faults: list[tuple[Callable[[str, str], bool], Fault, int]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _door(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def fail(self, method: str, part: str, fault: Fault, *, times: int = 1) -> None:
        """The next `times` requests of this method whose path ends so meet the fault."""
        with self._lock:
            self._faults.append((lambda m, p: m == method and p.endswith(part), fault, times))

    @contextmanager
    def all(self, fault: Fault) -> Iterator[None]:
        """Every request meets the fault within the block."""
        with self._lock:
            self._faults.insert(0, (lambda m, p: True, fault, 1_000_000))
        yield
        with self._lock:
            self._faults.pop(0)

    def count(self, method: str, part: str, *statuses: int) -> int:
        """How many such requests there were, with one of these statuses."""
        with self._lock:
            calls = list(self.calls)
        return sum(
            each.method == method and each.path.endswith(part) and (not statuses or each.status in statuses)
            for each in calls
        )

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for n, (fits, fault, times) in enumerate(self._faults):
                if fits(method, path):
                    if times == 1:
                        del self._faults[n]
                    else:
                        self._faults[n] = (fits, fault, times - 1)
                    return fault
        return None

    def _pass(self, ask: BaseHTTPRequestHandler) -> None:
        body = ask.rfile.read(int(ask.headers.get("content-length") or 0))
        if self.is_shut:
            ask.close_connection = True
            return
        path, _, query = ask.path.partition("?")
        fault = self._fault(ask.command, path)
        token = (ask.headers.get("authorization") or "").removeprefix("Bearer ")
        if self.tokens and token not in self.tokens:
            fault = Fault(401, body={"message": "Bad credentials"})
        if fault is not None and not fault.lost:
            status, headers, told = fault.status, dict(fault.headers), json.dumps(dict(fault.body)).encode()
        else:
            status, headers, told = self._ask(ask, body)
            if self.tags and ask.command == "GET" and status == 200 and told.startswith(b"["):
                headers["etag"] = f'W/"{hashlib.sha256(told).hexdigest()[:32]}"'
                if ask.headers.get("if-none-match") == headers["etag"]:
                    status, told = 304, b""
        lost = fault is not None and fault.lost
        with self._lock:
            self.calls.append(Call(ask.command, path, query, 0 if lost else status, token))
        if lost:
            ask.close_connection = True
            return
        ask.send_response(status)
        for key, value in headers.items():
            ask.send_header(key, value)
        if status != 304:
            ask.send_header("content-length", str(len(told)))
        ask.end_headers()
        ask.wfile.write(told)

    def _ask(self, ask: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=30)
        try:
            headers = {key: value for key, value in ask.headers.items() if key.lower() not in _HOP}
            # It would answer with what is packed, which is not what the tag is made of.
            headers["accept-encoding"] = "identity"
            line.request(ask.command, ask.path, body or None, headers)
            answer = line.getresponse()
            told = answer.read()
        finally:
            line.close()
        return answer.status, {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}, told


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone away: that is what some tests do."""


def _door(faulty: Faulty) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            faulty._pass(self)

        do_POST = do_PATCH = do_GET  # noqa: N815  the library looks for these names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Door

"""Who asks: reads a request within its bounds and believes its signature, or turns it away without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from spool import log
from spool.transports import http_signed
from spool.transports.http_words import ID, PEER, Trouble, encode
from spool.web import limits
from spool.web.peers import Peers

# Twice the time for which a timestamp is believed, before and behind.
SEEN_S: Final = 2 * http_signed.TOLERANCE_S + 60.0
BUSY_S: Final = 1.0
STRANGER: Final = encode(Trouble("not believed"))


class Guest(NamedTuple):
    """A peer that signed its request: its name, the request's id and time as signed, and the body."""

    peer: str
    id: str
    at: float
    body: bytes


class Door:
    """Lets requests in. One thread, the event loop's, uses it."""

    def __init__(self, peers: Peers, monotonic: Callable[[], float], *, behind_proxy: bool) -> None:
        self._peers = peers
        self._behind_proxy = behind_proxy
        self._rates = limits.Buckets(limits.PEER, monotonic)
        self._failures = limits.Buckets(limits.FAILURES, monotonic)
        self._seen = limits.Seen(SEEN_S, monotonic)
        self._room = limits.Room(limits.ROOM_BYTES)

    async def let_in(self, request: Request, *, once: bool) -> Guest | Response:
        """The guest, or the answer for one who is none.

        Args:
            once: whether an id that was seen before is turned away; else it is the same request again.
        """
        held = _Held(self._room, self.address(request))
        try:
            body = await self._body(request, held)
            return body if isinstance(body, Response) else await self._known(request, body, once=once)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            held.give_back()

    async def _body(self, request: Request, held: _Held) -> bytes | Response:
        most = self._peers.request_bytes
        if request.headers.get("content-encoding", "identity") != "identity":
            return self._refused(request, 415, "the body is compressed: send it as it is")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            return self._refused(request, 413, f"more than {most:,} bytes")
        parts: list[bytes] = []
        async for part in request.stream():
            parts.append(part)
            if held.size + len(part) > most:
                return self._refused(request, 413, f"more than {most:,} bytes")
            if not held.take(len(part), one=most):
                return self._refused(request, 503, "too many requests at once", after_s=BUSY_S)
        return b"".join(parts)

    async def _known(self, request: Request, body: bytes, *, once: bool) -> Guest | Response:
        headers = request.headers
        name = headers.get(PEER, "")
        # Where a command says it, that may take a while.
        secrets = await asyncio.get_running_loop().run_in_executor(None, self._peers.secrets_of, name)
        why = http_signed.is_signed(
            secrets, body, {key: headers[key] for key in http_signed.HEADERS if key in headers}
        )
        if not why and once and not self._seen.is_new(name, headers[ID]):
            why = "this request came before"
        if why:
            return self._not_believed(request, name, why)
        if wait_s := self._rates.take(name):
            return self._refused(request, 429, "too many requests", peer=name, after_s=wait_s)
        return Guest(name, headers[ID], float(headers["webhook-timestamp"]), body)

    def _not_believed(self, request: Request, name: str, why: str) -> Response:
        address = self.address(request)
        if wait_s := self._failures.take(address):
            # Not logged: whoever tries without end would fill the log.
            return _answer(429, STRANGER, after_s=wait_s)
        log.warning("web.refused", address=address, status=401, claims=name[:64] or None, error=why)
        return _answer(401, STRANGER)

    def _refused(
        self, request: Request, status: int, why: str, *, peer: str | None = None, after_s: float = 0.0
    ) -> Response:
        address = self.address(request)
        if not self._failures.take(address):
            log.warning("web.refused", address=address, status=status, peer=peer, error=why)
        return _answer(status, encode(Trouble(why)), after_s=after_s)

    def address(self, request: Request) -> str:
        """Where a request comes from; behind a proxy, as the proxy says it last."""
        told = request.headers.get("x-forwarded-for", "") if self._behind_proxy else ""
        if told:
            return told.rpartition(",")[2].strip()[:64]
        return request.client.host if request.client else ""


class _Held:
    """What one request holds of the room."""

    def __init__(self, room: limits.Room, address: str) -> None:
        self._room = room
        self._address = address
        self.size = 0

    def take(self, size: int, *, one: int) -> bool:
        is_there = self._room.take(self._address, size, one=one)
        self.size += size if is_there else 0
        return is_there

    def give_back(self) -> None:
        self._room.give(self._address, self.size)
        self.size = 0


def _answer(status: int, body: bytes, *, after_s: float = 0.0) -> Response:
    # The rest of the request is not read: the connection is of no more use.
    headers = {"connection": "close"}
    if after_s:
        headers["retry-after"] = str(int(after_s) + 1)
    return Response(body, status, headers, "application/json")

"""What can be asked of `spool web`: a message, a batch, a hello, a poll, and what all of that looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spool import log
from spool.errors import LinkError, NotAuthorised, StoreError, UnknownPeer, VersionSkew
from spool.foreign import Found
from spool.transports import http_words as words
from spool.transports.http_words import Batch, Greet, Greeting, Outcome, Poll, Taken, Trouble
from spool.web import openapi
from spool.web.door import Door, Guest
from spool.web.peers import Peers
from spool.web.sessions import Sessions
from spool.web_gate import name_of

STORE_S: Final = 5.0
MOST_LINES: Final = 2048
LINES: Final = "application/x-ndjson"
_T = TypeVar("_T")
Answer = Callable[[Guest, Request], Awaitable[Response]]


class App:
    """The endpoints, below one path."""

    def __init__(self, path: str, door: Door, peers: Peers, sessions: Sessions) -> None:
        self._door = door
        self._peers = peers
        self._sessions = sessions
        self.asgi = Starlette(
            routes=[
                Route(path, self._guarded(self._plain, once=False), methods=["POST"]),
                Route(path + words.HELLO, self._guarded(self._hello), methods=["POST"]),
                Route(path + words.BATCH, self._guarded(self._batch), methods=["POST"]),
                Route(path + words.POLL, self._guarded(self._poll), methods=["POST"]),
                Route(path + words.OPENAPI, self._guarded(self._openapi), methods=["GET"]),
            ],
        )
        self._described = words.encode(openapi.description(path))
        # A name without the slash is one place, not two.
        self.asgi.router.redirect_slashes = False

    def _guarded(self, answer: Answer, *, once: bool = True) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            guest = await self._door.let_in(request, once=once)
            if isinstance(guest, Response):
                return guest
            try:
                return await answer(guest, request)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
                return self._trouble(guest, 400, f"not what is expected here: {exc}")
            except VersionSkew as exc:
                return self._trouble(guest, 426, exc.message, exc.hint)
            except NotAuthorised as exc:
                return self._trouble(guest, 403, exc.message, exc.hint)
            except LinkError as exc:
                return self._trouble(guest, 409, exc.message, exc.hint)
            except UnknownPeer:
                # Removed from the config since it was let in.
                return self._trouble(guest, 401, "not believed")
            except StoreError as exc:
                log.error("store.failed", peer=guest.peer, error=str(exc), kind=exc.kind)
                return self._trouble(guest, 503, "it cannot be stored here now", after_s=STORE_S)

        return endpoint

    async def _plain(self, guest: Guest, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        name = name_of(guest.id)
        if kind != LINES:
            (said,) = await self._take_plain(guest, [Found(name, guest.body, guest.at)])
            return _of_plain(said)
        lines = [line for line in guest.body.splitlines() if line.strip()]
        if len(lines) > MOST_LINES:
            return self._trouble(guest, 400, f"more than {MOST_LINES:,} lines")
        found = [Found(f"{name}-{n}", line, guest.at) for n, line in enumerate(lines, start=1)]
        outcomes = await self._take_plain(guest, found)
        return Response(b"".join(words.encode(each) + b"\n" for each in outcomes), media_type=LINES)

    async def _take_plain(self, guest: Guest, found: list[Found]) -> list[Outcome]:
        gate = self._peers.gate(guest.peer)
        await self._sessions.run(gate.heard)
        return await self._sessions.run(gate.take_plain, found)

    async def _hello(self, guest: Guest, request: Request) -> Response:
        greet = msgspec.json.decode(guest.body, type=Greet)
        if greet.probe:
            return _json(Greeting(await self._sessions.run(self._peers.gate(guest.peer).hello)))
        return _json(await self._sessions.begin(guest.peer, greet.hello))

    async def _batch(self, guest: Guest, request: Request) -> Response:
        batch = msgspec.json.decode(guest.body, type=Batch)
        return _json(await self._sessions.run(self._take, guest.peer, batch))

    def _take(self, peer: str, batch: Batch) -> Taken:
        gate = self._peers.gate(peer)
        gate.heard()
        results = gate.take(batch.messages)
        if batch.acks:
            gate.take_acks(batch.acks)
        gate.take_standing(batch.counts)
        # At return everything these results say is on the disk here.
        return Taken(gate.host, results, gate.answers(batch.query))

    async def _poll(self, guest: Guest, request: Request) -> Response:
        mail = await self._sessions.poll(guest.peer, msgspec.json.decode(guest.body, type=Poll))
        if mail is None:
            return _json(Trouble("the session is over", "say hello again"), 409)
        return _json(mail)

    async def _openapi(self, guest: Guest, request: Request) -> Response:
        return Response(self._described, media_type="application/json")

    def _trouble(
        self, guest: Guest, status: int, why: str, hint: str = "", *, after_s: float = 0.0
    ) -> Response:
        log.warning("web.refused", peer=guest.peer, status=status, error=why)
        answer = _json(Trouble(why, hint), status)
        if after_s:
            answer.headers["retry-after"] = str(int(after_s))
        return answer


def _of_plain(said: Outcome) -> Response:
    """The outcome as its own status too: a script looks at that first."""
    answer = _json(said, {"accepted": 200, "deferred": 503}.get(said.r, 422))
    if said.r == "deferred":
        answer.headers["retry-after"] = str(int(said.after) or 5)
    return answer


def _json(said: object, status: int = 200) -> Response:
    return Response(words.encode(said), status, media_type="application/json")

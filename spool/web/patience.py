"""A connection that must come to the point: its request is whole within a time, and it is one of few."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from spool import log

# From its first byte to its last, headers and body; the sender's own limit is shorter.
REQUEST_S: Final = 20.0
HANDSHAKE_S: Final = 10.0
# Longer than a sender keeps a silent connection.
KEEP_S: Final = 75
MOST: Final = 512
MOST_EACH: Final = 64
LONGEST_HEAD: Final = 16 * 1024


class Guests:
    """The connections that stand, by address; `each` is how many one address may have, 0 for any number."""

    def __init__(self, *, most: int = MOST, each: int = MOST_EACH) -> None:
        self._most = most
        self._each = each
        self._count: Counter[str] = Counter()
        self._full = False

    def enter(self, address: str) -> bool:
        """Whether there is room for one more; then it counts."""
        if self._count.total() >= self._most or (self._each and self._count[address] >= self._each):
            if not self._full:
                # Once, until there is room again: whoever fills it would fill the log too.
                log.warning("web.full", address=address, count=self._count.total())
            self._full = True
            return False
        self._count[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One went."""
        self._full = False
        self._count[address] -= 1
        if self._count[address] <= 0:
            del self._count[address]


def protocol(guests: Guests, *, request_s: float = REQUEST_S) -> type[H11Protocol]:
    """What uvicorn makes of each connection."""

    class Patient(H11Protocol):
        """HTTP/1.1 with an end to everybody's time."""

        _timer: asyncio.TimerHandle | None = None
        _counted = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._counted = guests.enter(self._address)
            if not self._counted:
                transport.abort()
                return
            self._timer = self.loop.call_later(request_s, self._too_slow)

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            if self._counted:
                self._counted = False
                guests.leave(self._address)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._timer is None and (self.cycle is None or self.cycle.response_complete):
                # The next request begins.
                self._timer = self.loop.call_later(request_s, self._too_slow)
            super().data_received(data)
            if self.cycle is not None and not self.cycle.more_body:
                self._disarm()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # What came behind the last request may be the beginning of the next one.
            begun = self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body
            if begun and self._timer is None and not self.transport.is_closing():
                self._timer = self.loop.call_later(request_s, self._too_slow)

        def send_400_response(self, msg: str) -> None:
            log.warning("web.refused", address=self._address, status=400, error="no HTTP request")
            self._disarm()
            super().send_400_response(msg)

        @property
        def _address(self) -> str:
            return self.client[0] if self.client else ""

        def _too_slow(self) -> None:
            self._timer = None
            if self.transport is not None and not self.transport.is_closing():
                error = f"its request was not whole within {request_s:g} s"
                log.warning("web.refused", address=self._address, status=408, error=error)
                # Not close: that waits until it reads what is written to it.
                self.transport.abort()

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Patient


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose TLS handshakes have an end that is near."""

    async def create_server(self, *args: Any, **more: Any) -> Any:
        """As asyncio's."""
        if more.get("ssl") is not None:
            more.setdefault("ssl_handshake_timeout", HANDSHAKE_S)
        return await super().create_server(*args, **more)

"""The tool that waits: wait_for_message. A look at a time on a thread of its own, so that it can be left."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from spool.errors import SpoolError, WaitTimedOut
from spool.mcp_server import given, texts
from spool.mcp_server.answers import refused, said
from spool.mcp_server.seat import Seat, Sitting
from spool.store.base import Incoming, Outgoing

# Clients put a call that takes two minutes into the background.
MOST_S: Final = 100.0
# How long a wait that was taken back, or whose client is gone, may go on unseen.
LOOK_S: Final = 2.0
TELL_EVERY_S: Final = 5.0
# Other calls have threads of their own: as many as wait can never hold them up.
MOST_WAITS: Final = 32
SHOWN: Final = 20

T = TypeVar("T")
Look = Callable[[Sitting, float], "list[Incoming | Outgoing]"]


class Awaiting:
    """What a client may wait for."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._limiter: anyio.CapacityLimiter | None = None

    async def wait_for_message(
        self,
        ctx: Context,
        timeout_s: Annotated[float, Field(ge=0, le=MOST_S)] = 60,
        message_id: Annotated[
            str | None, Field(description="sent by you: wait for its answer, or its end")
        ] = None,
        thread_id: str | None = None,
        sender: str | None = None,
    ) -> CallToolResult:
        """Wait for unread mail, or for an answer to message_id.

        Marks nothing. No mail in time is no error: call again or go on.
        """
        look = partial(_look, message_id=message_id, thread_id=thread_id, sender=sender)
        try:
            rows = await self._wait(ctx, look, timeout_s)
            text = await self._on_thread(partial(self._told, rows, timeout_s, message_id))
        except SpoolError as exc:
            return refused(exc)
        return said(text, self.seat)

    async def _wait(
        self,
        ctx: Context,
        look: Look,
        timeout_s: float,
    ) -> list[Incoming | Outgoing]:
        """What came in time; tells the client now and then that it still waits."""
        begun = told = time.monotonic()
        while True:
            waited = time.monotonic() - begun
            rows = await self._on_thread(partial(self._one, look, min(LOOK_S, max(0.0, timeout_s - waited))))
            now = time.monotonic()
            if rows or now - begun >= timeout_s:
                return rows
            if now - told >= TELL_EVERY_S:
                told = now
                await ctx.report_progress(round(now - begun, 1), timeout_s, "still waiting")

    def _one(self, look: Look, timeout_s: float) -> list[Incoming | Outgoing]:
        with self.seat.sit() as sitting:
            try:
                return look(sitting, timeout_s)
            except WaitTimedOut:
                return []

    async def _on_thread(self, call: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(MOST_WAITS)
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)

    def _told(self, rows: list[Incoming | Outgoing], timeout_s: float, message_id: str | None) -> str:
        if rows:
            some = f", {SHOWN} of them here" if len(rows) > SHOWN else ""
            head = f"Come: {len(rows)}{some}. Nothing was marked; read_message shows one."
            return f"{head}\n{texts.listing(rows[:SHOWN], now=time.time())}"
        if message_id is None:
            return f"No unread mail that fits within {timeout_s:g} s."
        with self.seat.sit() as sitting:
            row = given.own_sent(sitting, message_id)
            warnings = (
                [] if row.peer not in sitting.spool.config.peers else sitting.spool.outlook(row.peer)[1]
            )
        return "\n".join(
            [f"No answer within {timeout_s:g} s: {texts.heading(row, now=time.time())}", *warnings]
        )


def _look(
    sitting: Sitting, timeout_s: float, *, message_id: str | None, thread_id: str | None, sender: str | None
) -> list[Incoming | Outgoing]:
    spool, agent = sitting
    if message_id is not None:
        row = given.own_sent(sitting, message_id)
        return [spool.wait_for_end(row.id, agent=agent, timeout=timeout_s)]
    thread = thread_id and given.whole_id(sitting, thread_id)
    return [*spool.wait_for_mail(agent=agent, sender=sender, thread=thread, timeout=timeout_s)]

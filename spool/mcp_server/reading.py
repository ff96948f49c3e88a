"""The tools that read: check_inbox, read_message and ack_message. Only the last one consumes."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from mcp.server.mcpserver import Context
from pydantic import Field

from spool.api import Spool
from spool.errors import BadInput
from spool.mcp_server import given, texts
from spool.mcp_server.answers import answering
from spool.mcp_server.given import Priority, Texts, Time
from spool.mcp_server.reads import Reads
from spool.mcp_server.seat import Seat
from spool.store.base import Incoming

SHOWN = 12_000


class Reading:
    """What a client may read, and end."""

    def __init__(self, seat: Seat, reads: Reads) -> None:
        self.seat = seat
        self._reads = reads

    @answering
    def check_inbox(
        self,
        unread_only: bool = True,
        limit: Annotated[int, Field(ge=1, le=50)] = 20,
        priority: Annotated[Priority | None, Field(description="this urgent or more")] = None,
        thread_id: str | None = None,
        sender: str | None = None,
        since: Time | None = None,
    ) -> str:
        """List your mail, overdue and urgent first: headers and beginnings. Changes nothing."""
        with self.seat.sit() as sitting:
            rows = sitting.spool.inbox(
                agent=sitting.agent,
                unread_only=unread_only,
                priority=given.priority(priority),
                thread=thread_id and given.whole_id(sitting, thread_id),
                sender=sender,
                since=given.past("since", since),
                limit=limit + 1,
            )
            return inbox_text(sitting.spool, sitting.agent, rows, limit=limit, unread_only=unread_only)

    @answering
    def read_message(
        self,
        ctx: Context,
        message_id: str,
        offset: Annotated[int, Field(ge=0)] = 0,
        limit: Annotated[int, Field(ge=1, le=20_000, description="characters")] = SHOWN,
    ) -> str:
        """Show one message you got or sent; what its sender wrote stands fenced.

        Marks it read, not done. offset continues a long one.
        """
        with self.seat.sit() as sitting:
            row = given.own(sitting, message_id)
            page = texts.page(
                row,
                sitting.spool.home,
                now=time.time(),
                offset=offset,
                limit=limit,
                state=not isinstance(row, Incoming),
            )
            if offset and not page.shown:
                raise BadInput(f"offset: nothing stands behind character {offset}", hint="give a smaller one")
        request = ctx.request_context.request_id
        if isinstance(row, Incoming) and page.last and request is not None:
            self._reads.after(request, lambda: self._mark(row))
        return page.text

    @answering
    def ack_message(
        self,
        message_ids: Texts,
        outcome: Literal["done", "rejected"] = "done",
        note: Annotated[str | None, Field(description="a word to the sender")] = None,
    ) -> str:
        """End messages: their senders see done or rejected. The only tool that consumes mail.

        All or none; again is harmless.
        """
        if not 0 < len(message_ids) <= given.MOST_ENDED:
            raise BadInput(
                f"message_ids: {len(message_ids)} of them", hint=f"1 to {given.MOST_ENDED} in each call"
            )
        with self.seat.sit() as sitting:
            rows = given.all_own(sitting, message_ids)
            sitting.spool.done([row.id for row in rows], outcome=outcome, note=note, agent=sitting.agent)
            ended = [sitting.spool.received(row.id, agent=sitting.agent) for row in rows]
        return texts.as_json(
            {
                "acknowledged": [
                    {"id": row.id, "outcome": row.outcome, "note": row.note, "before": old.state == row.state}
                    for old, row in zip(rows, ended, strict=True)
                ]
            }
        )

    def _mark(self, row: Incoming) -> None:
        with Spool(self.seat.home) as spool:
            spool.read([row])


def inbox_text(spool: Spool, agent: str, rows: list[Incoming], *, limit: int, unread_only: bool) -> str:
    """Mail as it is listed; nothing of it is marked."""
    unread = spool.unread(agent=agent)
    if not rows:
        what = "unread" if unread_only else "open"
        return f"No {what} mail fits. {agent} has {unread} unread in all."
    more = f", more than these {limit}" if len(rows) > limit else ""
    head = f"Mail of {agent}: {unread} unread in all{more}. read_message shows one, ack_message ends it."
    return f"{head}\n{texts.listing(rows[:limit], now=time.time())}"

"""The tools that write: send_message and reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from spool import views
from spool.errors import BadInput
from spool.lengths import length_s
from spool.looking import message_of
from spool.mcp_server import given, texts
from spool.mcp_server.answers import answering
from spool.mcp_server.given import Priority, Texts
from spool.mcp_server.seat import Seat, Sitting

Body = Annotated[str, Field(description="stands alone: the reader has none of your context")]
Kind = Annotated[str, Field(description="request, inform, handoff, question, ...")]
Key = Annotated[str, Field(description="your own; the same call with it again sends nothing twice")]
Paths = Annotated[Texts, Field(description="file paths; copies travel beside the message")]


class Posting:
    """What a client may send."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    @answering
    def send_message(
        self,
        to: Annotated[Texts, Field(description="agent or agent@host, one message each")],
        body: Body,
        subject: str | None = None,
        type: Kind | None = None,
        priority: Priority | None = None,
        needs_reply: bool | None = None,
        reply_by: Annotated[
            str | None, Field(description="answer wanted by: RFC 3339, or 30m, 2h, 1d")
        ] = None,
        expires: Annotated[str | None, Field(description="worthless after: the same forms")] = None,
        thread_id: str | None = None,
        reply_to: Annotated[str | None, Field(description="id it refers to")] = None,
        attachments: Paths | None = None,
        idempotency_key: Key | None = None,
    ) -> str:
        """Queue a message for agents on this or other hosts.

        Returns id, state (queued: stored here, not read yet), peer, carrier, warnings.
        """
        if not 0 < len(to) <= given.MOST_RECIPIENTS:
            raise BadInput(
                f"to: {len(to)} recipients", hint=f"name 1 to {given.MOST_RECIPIENTS} in each call"
            )
        with self.seat.sit() as sitting:
            draft = {
                "subject": subject,
                "body": body,
                "type": type,
                "priority": given.priority(priority),
                "requires_response": needs_reply,
                "re": reply_to and given.whole_id(sitting, reply_to),
                "thread": thread_id and given.whole_id(sitting, thread_id),
            }
            times = {"deadline": reply_by, "expires": expires}
            drafts = [
                {**draft, **more, "to": each}
                for each, more in zip(to, _each(sitting, times, idempotency_key, len(to)), strict=True)
            ]
            posted = sitting.spool.post(map(_given, drafts), agent=sitting.agent, attach=attachments or ())
            return texts.as_json({"sent": [views.posted(sitting.spool, each) for each in posted]})

    @answering
    def reply(
        self,
        message_id: str,
        body: str,
        done: Annotated[bool, Field(description="also acknowledge it as done")] = False,
        subject: str | None = None,
        type: Kind | None = None,
        priority: Priority | None = None,
        attachments: Paths | None = None,
        idempotency_key: Key | None = None,
    ) -> str:
        """Answer a message in its thread, where it came from. It stays open for ack_message unless done."""
        with self.seat.sit() as sitting:
            (row,) = given.all_own(sitting, [message_id])
            more = {
                "type": type,
                "priority": given.priority(priority),
                "id": idempotency_key and given.own_id(sitting.agent, idempotency_key, 0),
            }
            posted = sitting.spool.post_reply(
                row.id,
                body,
                subject=subject,
                keep_open=not done,
                agent=sitting.agent,
                attach=attachments or (),
                extra=_given(more),
            )
            fresh = sitting.spool.received(row.id, agent=sitting.agent)
            answered = {"id": row.id, "state": str(fresh.state)}
            return texts.as_json({"sent": [views.posted(sitting.spool, posted)], "answered": answered})


def _given(draft: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in draft.items() if value is not None}


def _each(
    sitting: Sitting, times: dict[str, str | None], key: str | None, count: int
) -> Iterator[dict[str, Any]]:
    """What differs between the messages of one call: the id, and with it the times."""
    for n in range(count):
        if key is None:
            yield {name: given.ahead(name, value) for name, value in times.items()}
            continue
        id = given.own_id(sitting.agent, key, n)
        yield {"id": id, **_same_times(sitting, id, times)}


def _same_times(sitting: Sitting, id: str, times: dict[str, str | None]) -> dict[str, Any]:
    """A length of time means what it meant when this was sent first: else no call could be repeated."""
    with sitting.spool.store.read() as tx:
        before = tx.outbox.exact(id, sitting.agent)
    if before is None:
        return {name: given.ahead(name, value) for name, value in times.items()}
    first = message_of(before)
    return {
        name: getattr(first, name)
        if value is not None and length_s(value) is not None
        else given.ahead(name, value)
        for name, value in times.items()
    }

"""Notices: what an issue says of a message that a person should know of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from spool import issue_words, secret_rules
from spool.issue_blocks import Block, Marker, of_message
from spool.message import Message, format_time, load
from spool.store.base import Escalation

NOT_SHOWN: Final = (
    "[not shown: it holds what looks like a credential; `spool show ID` has it where it was sent]"
)


class Notice(NamedTuple):
    """What shall stand at the other road for one message: an issue, open or closed.

    Without a `number` one may be there already, made by a process that died before it could say so: it is
    looked for by the `marker` first. One that is not there and shall not be `open` is not made. Only where
    it `turns` is it closed or opened again: what a person closed by hand stays closed.
    """

    sender: str
    id: str
    title: str
    body: str
    marker: str
    open: bool
    turns: bool
    number: int | None
    revision: int


def notice(told: Escalation, host: str, *, now: float) -> Notice:
    """What shall stand there of an escalation that `host` made."""
    message = load(told.raw, filled=told.filled, digest=told.digest)
    marker = Marker("urgent", host, told.sender, told.id)
    secret = secret_rules.find(told.raw.decode()) is not None
    if secret:
        message = msgspec.structs.replace(message, subject="", body=NOT_SHOWN, context={})
    line = _line(told, host, now) if _may_go_this_way(told, message, now) and not secret else _empty(host)
    more = list(_more(told))
    try:
        body = issue_words.post(message, line, marker, more=more)
    except issue_words.TooLong:
        # People read it all the same; the message goes its own way.
        body = issue_words.post(message, _empty(host), marker, more=more)
    return Notice(
        sender=told.sender,
        id=told.id,
        title=issue_words.title(issue_words.URGENT, message.subject, message.body),
        body=body,
        marker=str(marker),
        open=told.state == "open",
        turns=told.stands != ("open" if told.state == "open" else "closed"),
        number=told.number,
        revision=told.revision,
    )


def _may_go_this_way(told: Escalation, message: Message, now: float) -> bool:
    """Whether the far host may take the message itself out of the issue: not one whose files would be
    missed."""
    return not message.attachments and told.travels and told.expires_at > now


def _line(told: Escalation, host: str, now: float) -> str:
    ttl_s = told.expires_at - now
    return of_message(told.raw, host=host, way="", ttl_s=ttl_s, filled=told.filled, queued_at=told.queued_at)


def _empty(host: str) -> str:
    """A block with no message in it: the issue is known by its marker."""
    return msgspec.json.encode(Block(host=host)).decode()


def _more(told: Escalation) -> Iterator[str]:
    yield "**Why you are told:**"
    yield ""
    for reason in told.reasons:
        text = f": {issue_words.quoted(reason.text)}" if reason.text else ""
        yield f"- {issue_words.quoted(reason.rule)}{text} ({format_time(reason.at)})"
    yield ""
    yield "**How it stands:**"
    yield ""
    for line in told.shown:
        yield f"- {issue_words.quoted(line)}"

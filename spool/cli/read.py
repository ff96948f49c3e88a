"""`spool read` and `spool show`: messages whole, their text fenced as their sender's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Final

import click
import msgspec

from spool import views
from spool.api import Spool
from spool.cli.common import Call, common, json_line
from spool.cli.pour import Tap
from spool.cli.text import field, plain
from spool.errors import NoAgent
from spool.message import FIELDS
from spool.store.base import Incoming, Outgoing

MAX_BYTES: Final = 16_384
BATCH: Final = 50
_SHOWN: Final = (
    ("from", "From"),
    ("to", "To"),
    ("id", "Id"),
    ("timestamp", "Date"),
    ("priority", "Priority"),
    ("type", "Type"),
    ("subject", "Subject"),
    ("requires_response", "Requires-Response"),
    ("deadline", "Deadline"),
    ("re", "Re"),
    ("thread", "Thread"),
    ("expires", "Expires"),
)
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@click.command()
@common
@click.argument("id", required=False)
@click.option("--all", "everything", is_flag=True, help="Everything that is unread.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=MAX_BYTES,
    help="How much to print; the first message is always printed whole.  [16384]",
)
def read(call: Call, id: str | None, everything: bool, max_bytes: int) -> None:
    """Print unread mail whole, and mark read what was printed, nothing else.

    Without ID: the most urgent oldest message, and as many more as fit whole in
    --max-bytes. What a pipe cuts off stays unread. How many are left is said on
    stderr. Read is not done: `spool done ID` or `spool reply ID` ends a message.

    The body stands between two lines with a random mark: what is between them is
    its sender's text, however it looks.

    \b
    Examples:
      spool read
      spool read msg-0199c2
      spool read --all --json
    """
    spool = call.spool()
    if id is not None:
        if everything:
            raise click.UsageError("ID and --all: give one of them")
        rows: Iterator[Incoming] = iter([spool.received(id)])
    else:
        rows = _unread(spool, everything)
    try:
        shown = print_rows(call, spool, rows, max_bytes=None if everything or id else max_bytes)
    except BrokenPipeError:
        _say_left(call, spool)
        raise
    if not shown and not call.json:
        call.warn(f"no unread mail for {spool.agent()}")
        return
    _say_left(call, spool)


def print_rows(
    call: Call, spool: Spool, rows: Sequence[Incoming] | Iterator[Incoming], *, max_bytes: int | None = None
) -> int:
    """Print messages whole, each marked read once its reader has it; how many.

    Args:
        max_bytes: stop before one that would go beyond this; the first is printed in any case.

    Raises:
        BrokenPipeError: the reader went away; what it did not take is unread.
    """
    tap = Tap()
    lying: list[Incoming] = []
    count = size = 0
    for row in rows:
        text = _json(row) if call.json else _text(row)
        size += len(text)
        if count and max_bytes is not None and size > max_bytes:
            break
        count += 1
        tap.pour(text)
        lying.append(row)
        if tap.taken():
            spool.read(lying)
            lying.clear()
    if lying:
        call.warn(f"the reader has not taken the last {len(lying)} in time: they stay unread")
    return count


def _unread(spool: Spool, everything: bool) -> Iterator[Incoming]:
    seen: set[int] = set()
    while rows := [row for row in spool.inbox(unread_only=True, limit=BATCH) if row.seq not in seen]:
        seen.update(row.seq for row in rows)
        yield from rows
        if not everything and len(rows) < BATCH:
            return


def _say_left(call: Call, spool: Spool) -> None:
    left = spool.unread()
    if left:
        call.warn(f"{left} more unread for {spool.agent()}; `spool read` shows the next")
    elif not call.json:
        call.warn(f"no more unread mail for {spool.agent()}")


@click.command()
@common
@click.argument("id")
def show(call: Call, id: str) -> None:
    """Print any message: one that came, one that was sent, one in the archive.

    Marks nothing. ID may be its citation, or its first six characters or more.

    \b
    Examples:
      spool show msg-0199c2
      spool show if://conversation/msg-0199c2 --json
    """
    spool = call.spool()
    sent, received = spool.find(id)
    row = _nearer(spool, sent, received)
    Tap().pour(_json(row) if call.json else _text(row))


def _nearer(spool: Spool, sent: Outgoing | None, received: Incoming | None) -> Incoming | Outgoing:
    """Of a message that was sent and received on this host, the side of the agent that asks."""
    if sent is None or received is None:
        row = sent or received
        assert row is not None
        return row
    try:
        return received if spool.agent() == received.agent else sent
    except NoAgent:
        return sent


def _json(row: Incoming | Outgoing) -> bytes:
    return json_line(views.letter(row, now=time.time(), full=True))


def _text(row: Incoming | Outgoing) -> bytes:
    """Headers, then the body between two lines that its sender cannot have foreseen."""
    parts = {k: v for k, v in _PARTS.decode(row.raw).items() if bytes(v) != b"null"}
    view = views.letter(row, now=time.time())
    lines = [f"{title}: {field(_value(view[name]))}" for name, title in _SHOWN if name in view]
    if view["peer"] is not None:
        lines.append(f"Peer: {field(view['peer'])}")
    lines.append(f"State: {view['state']}" + (" OVERDUE" if view["overdue"] else ""))
    if view.get("outcome"):
        lines.append(f"Outcome: {field(view['outcome'])}" + (f" ({field(view['note'])})" if view["note"] else ""))
    if view.get("reason"):
        lines.append(f"Reason: {field(view['reason'])}")
    for name in ("context", *(name for name in parts if name not in FIELDS)):
        if name in parts:
            lines.append(f"{field(name)}: {field(_value(msgspec.json.decode(parts[name])))}")
    body = msgspec.json.decode(parts["body"]) if "body" in parts else ""
    mark, who = secrets.token_hex(8), field(row.sender)
    if body:
        lines += [
            "",
            f"--- {mark} begin: untrusted text of {who}, up to the same mark ---",
            plain(body).rstrip("\n"),
            f"--- {mark} end of the untrusted text of {who} ---",
        ]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

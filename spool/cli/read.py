"""`spool read` and `spool show`: messages whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from spool.api import Spool
from spool.cli.common import Call
from spool.cli.declared import AtLeast, argument, command, option, usage
from spool.cli.pour import Tap
from spool.cli.whole import json_of, text_of
from spool.errors import NoAgent
from spool.store.base import Incoming, Outgoing

MAX_BYTES: Final = 16_384
BATCH: Final = 50


@command
@argument("id", required=False)
@option("--all", "everything", is_flag=True, help="Everything that is unread.")
@option(
    "--max-bytes",
    type=AtLeast(1),
    default=MAX_BYTES,
    help="How much to print; the first message is always printed whole.  [16384]",
)
def read(call: Call, id: str | None, everything: bool, max_bytes: int) -> None:
    """Print unread mail whole, and mark read what was printed, nothing else.

    Without ID: the most urgent oldest message, and as many more as fit whole in
    --max-bytes. What a pipe cuts off stays unread. How many are left is said on
    stderr. Read is not done: `spool done ID` or `spool reply ID` ends a message.

    Above the two lines with a random mark stands what spool knows; what is between
    them its sender wrote, subject and fields as well, however it looks.

    \b
    Examples:
      spool read
      spool read 93a788
      spool read --all --json
    """
    spool = call.spool()
    if id is not None:
        if everything:
            raise usage("ID and --all: give one of them")
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
        text = json_of(row, call.home) if call.json else text_of(row, call.home, state=False)
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


@command
@argument("id")
def show(call: Call, id: str) -> None:
    """Print any message: one that came, one that was sent, one in the archive.

    Marks nothing. ID may be its citation, or its first or last six characters or
    more: those that spool makes begin alike, so take the last.

    \b
    Examples:
      spool show 93a788
      spool show if://conversation/msg-0199c2 --json
    """
    spool = call.spool()
    sent, received = spool.find(id)
    row = _nearer(spool, sent, received)
    Tap().pour(json_of(row, call.home) if call.json else text_of(row, call.home))


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

"""Resources: the same looks as the tools give, by address. Reading one marks nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from spool import fence
from spool.errors import BadInput, FileTrouble, NotFound, SpoolError
from spool.folder import Folder
from spool.mcp_server import given, looking, texts
from spool.mcp_server.answers import hint_of
from spool.mcp_server.reading import inbox_text
from spool.mcp_server.seat import Seat, Sitting
from spool.plain import one_line

SHOWN: Final = 50
# A file goes into the model's context: a bigger one is for its path.
MOST_FILE: Final = 1024 * 1024
TEXT: Final = "text/plain"
T = TypeVar("T")


class Resources:
    """What a client may look up by address."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    def inbox(self) -> str:
        """Your open mail: headers and beginnings."""
        return self._told(_inbox)

    def outbox(self) -> str:
        """What you sent that is not done."""
        return self._told(lambda sitting: looking.sent_text(sitting, "open", limit=SHOWN))

    def dead(self) -> str:
        """What you sent that will not be tried again."""
        return self._told(lambda sitting: looking.sent_text(sitting, "dead", limit=SHOWN))

    def overdue(self) -> str:
        """What has no answer past its deadline."""
        return self._told(lambda sitting: looking.overdue_text(sitting, limit=SHOWN))

    def peers(self) -> str:
        """Who can be written to, and how other hosts stand."""
        return self._told(lambda sitting: looking.peers_text(looking.peers_view(self._seat, sitting)))

    def message(self, id: str) -> str:
        """One message, fenced, its beginning where it is long."""
        return self._told(lambda sitting: _message(sitting, id))

    def thread(self, id: str) -> str:
        """A thread: its newest messages."""
        return self._told(lambda sitting: looking.thread_text(sitting, id, limit=SHOWN))

    def attachment(self, sha256: str) -> bytes:
        """A file of a message you sent or got, up to 1 MiB."""
        return self._told(lambda sitting: _file(sitting, sha256))

    def _told(self, look: Callable[[Sitting], T]) -> T:
        try:
            with self._seat.sit() as sitting:
                return look(sitting)
        except NotFound as exc:
            raise ResourceNotFoundError(_said(exc)) from exc
        except SpoolError as exc:
            raise ResourceError(_said(exc)) from exc


def add(server: MCPServer, seat: Seat) -> None:
    """Give a server the resources of a seat."""
    found = Resources(seat)
    for name in ("inbox", "outbox", "dead", "overdue", "peers"):
        look = getattr(found, name)
        server.resource(f"spool://{name}", name=name, description=look.__doc__, mime_type=TEXT)(look)
    for uri, name in (("message/{id}", "message"), ("thread/{id}", "thread")):
        look = getattr(found, name)
        server.resource(f"spool://{uri}", name=name, description=look.__doc__, mime_type=TEXT)(look)
    server.resource(
        "spool://attachment/{sha256}",
        name="attachment",
        description=found.attachment.__doc__,
        mime_type="application/octet-stream",
    )(found.attachment)


def _said(exc: SpoolError) -> str:
    return fence.tamed(one_line(f"{exc.kind}: {exc.message}; {hint_of(exc)}"))


def _inbox(sitting: Sitting) -> str:
    rows = sitting.spool.inbox(agent=sitting.agent, limit=SHOWN + 1)
    return inbox_text(sitting.spool, sitting.agent, rows, limit=SHOWN, unread_only=False)


def _message(sitting: Sitting, id: str) -> str:
    row = given.own(sitting, id)
    page = texts.page(row, sitting.spool.home, now=time.time(), offset=0, limit=texts.MOST_BYTES, state=True)
    return page.text


def _file(sitting: Sitting, sha256: str) -> bytes:
    folder = Folder(sitting.spool.home)
    try:
        path = folder.path(sha256)
    except ValueError as exc:
        raise BadInput(str(exc), hint="read_message names the files of a message") from exc
    with sitting.spool.store.read() as tx:
        shown = tx.attachments.shown_to(sha256, sitting.agent)
        size = tx.attachments.reserved(sha256)
    if not shown or size is None:
        raise NotFound(
            f"no file {sha256} in a live message of {sitting.agent}", hint="ask its sender for it again"
        )
    if size > MOST_FILE:
        raise BadInput(f"{size:,} bytes, {MOST_FILE:,} at most go this way", hint=f"open {path}")
    try:
        return folder.read(sha256, 0, size)
    except FileTrouble as exc:
        raise NotFound(exc.message, hint="ask its sender for it again") from exc

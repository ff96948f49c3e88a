"""Files on their way, for people: how far each got, as a bar on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from spool import views
from spool.errors import NotFound

if TYPE_CHECKING:
    from spool.api import Posted, Spool
    from spool.attachments import Told

MB: Final = 1_000_000
# A smaller one is there before a bar is drawn.
WORTH_BYTES: Final = 8 * MB


def brought_text(there: int, whole: int) -> str:
    """How much of a message's files the next hop has."""
    if whole < 10 * MB:
        return f"attachment {there // 1000:,} of {whole // 1000:,} KB"
    return f"attachment {there // MB:,} of {whole // MB:,} MB"


@contextlib.contextmanager
def bar(what: str, *, total: int = 0) -> Iterator[Told]:
    """A bar on stderr while the block runs, where that is a terminal, drawn for what is worth one."""
    if not sys.stderr.isatty() or 0 < total < WORTH_BYTES:
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)

        def told(done: int, whole: int) -> None:
            progress.update(task, completed=done, total=whole, visible=whole >= WORTH_BYTES)

        yield told


def watch(spool: Spool, posted: Posted, told: Told) -> Callable[[], None]:
    """What tells how much of a message's files the next hop has, whenever it is called."""

    def look() -> None:
        with contextlib.suppress(NotFound):
            if (got := views.brought(spool, spool.sent(posted.id))) is not None:
                told(*got)

    return look

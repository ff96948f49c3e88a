"""Serving one client on standard input and output, which belong to the protocol alone."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

from spool import log
from spool.cli.pour import Tap
from spool.errors import SpoolError
from spool.mcp_server.reads import Reads, answered_in
from spool.mcp_server.seat import Seat, opened
from spool.mcp_server.server import Server, make

Mark = Callable[[], object]


def serve(home: Path, *, agent: str | None = None) -> None:
    """Serve the client that started this process, until it closes standard input or ends us."""
    wire = _claim_stdout()
    seat = Seat(home, agent=agent, pid=os.getppid(), cwd=_cwd())
    problem = opened(seat)
    if problem is not None:
        # Each call will say so too; whoever starts the server by hand sees it here.
        sys.stderr.write(f"spool: {problem}\n")
    _end_on_signals(seat)
    log.info("mcp.started")
    reads = Reads()
    try:
        anyio.run(_serve, make(seat, reads), reads, wire)
    except* BrokenPipeError:
        # The client went away with an answer unread: nothing in it counts as read.
        log.info("mcp.deserted")
    finally:
        _leave(seat)


class Wire(anyio.AsyncFile[str]):
    """Standard output as the SDK writes to it, a line at a time; says which lines were flushed.

    Args:
        file: where the lines go.
        flushed: called with each line once it has left this process.
    """

    def __init__(self, file: io.TextIOWrapper[Any], flushed: Callable[[str], None]) -> None:
        super().__init__(file)
        self._flushed = flushed
        self._line = ""

    async def write(self, b: str) -> int:
        """As a file's."""
        self._line += b
        return await super().write(b)

    async def flush(self) -> None:
        """As a file's."""
        await super().flush()
        line, self._line = self._line, ""
        if line:
            self._flushed(line)


async def _serve(server: Server, reads: Reads, wire: int) -> None:
    tap = Tap(wire)
    async with anyio.create_task_group() as settling:

        def flushed(line: str) -> None:
            request = answered_in(line)
            if request is not None and (mark := reads.answered(request)) is not None:
                settling.start_soon(anyio.to_thread.run_sync, _settle, tap, mark)

        file = io.TextIOWrapper(os.fdopen(wire, "wb", closefd=False), encoding="utf-8", newline="\n")
        async with stdio_server(stdout=Wire(file, flushed)) as (read, write):
            await server.serve(read, write)


def _settle(tap: Tap, mark: Mark) -> None:
    """Once the client took all that was written, what was shown to it is read; else it stays unread."""
    try:
        if tap.taken():
            mark()
    except BrokenPipeError:
        return
    except SpoolError as exc:
        log.warning("message.unmarked", error=str(exc))


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        # Somebody removed it: a session is known without it as well.
        return ""


def _claim_stdout() -> int:
    """Keep standard output for the protocol: what anything else prints goes to standard error."""
    sys.stdout.flush()
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


def _end_on_signals(seat: Seat) -> None:
    def end(_: int, __: FrameType | None) -> None:
        # The thread that reads standard input cannot be interrupted; nothing here is lost by ending so.
        threading.Thread(target=_end, args=(seat,), daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)


def _end(seat: Seat) -> None:
    try:
        _leave(seat)
    finally:
        os._exit(0)


def _leave(seat: Seat) -> None:
    log.info("mcp.stopped")
    try:
        seat.leave()
    except SpoolError as exc:
        log.warning("session.unannounced", error=str(exc))

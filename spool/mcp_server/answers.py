"""Answers: text for the model, and errors that say what to do next; never a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from mcp_types import CallToolResult, TextContent

from spool import fence
from spool.errors import SpoolError
from spool.mcp_server.seat import Seat
from spool.plain import one_line

P = ParamSpec("P")

# What a shell is told to type is not what a tool's caller can do.
_HINTS: Final = {
    "no_such_message": "check_inbox lists what is open for you, search_messages finds older mail",
    "ambiguous_id": "give the whole id",
    "id_taken": "use another idempotency_key, or leave it out",
    "no_route": "list_peers shows who can be written to",
    "too_large": "put the bulk into a file and pass its path in attachments",
    "store_newer": "spool was upgraded on this host: ask for this MCP server to be restarted",
}


class Seated(Protocol):
    """Tools, which have a seat."""

    @property
    def seat(self) -> Seat: ...


S = TypeVar("S", bound=Seated)


def answering(call: Callable[Concatenate[S, P], str]) -> Callable[Concatenate[S, P], CallToolResult]:
    """A tool whose text becomes its answer, and whose error becomes one that the model can act on."""

    @functools.wraps(call)
    def answer(self: S, /, *args: P.args, **more: P.kwargs) -> CallToolResult:
        try:
            text = call(self, *args, **more)
        except SpoolError as exc:
            return refused(exc)
        return said(text, self.seat)

    return answer


def said(text: str, seat: Seat) -> CallToolResult:
    """An answer; before it what the seat has to say once."""
    aside = seat.aside()
    return CallToolResult(content=[TextContent(type="text", text=f"{aside}\n\n{text}" if aside else text)])


def refused(exc: SpoolError) -> CallToolResult:
    """The error of a call that was understood and cannot be done."""
    return wrong(f"{exc.kind}: {exc.message}", hint_of(exc))


def hint_of(exc: SpoolError) -> str:
    """What the caller of a tool can do about an error."""
    return _HINTS.get(exc.kind, exc.hint)


def wrong(problem: str, hint: str) -> CallToolResult:
    """An error with what to do about it."""
    lines = [one_line(problem), *([f"What to do: {one_line(hint)}"] if hint else [])]
    text = fence.tamed("\n".join(lines))
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

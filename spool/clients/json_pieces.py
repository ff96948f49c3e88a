"""What is common to settings that are JSON: errors with their place, and the entry of an MCP server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from spool import jsontext
from spool.clients.base import runs
from spool.errors import BadInput
from spool.jsontext import MISSING, NotJson, Where

SERVERS: Final = "mcpServers"
NAME: Final = "spool"


class JsonServer(NamedTuple):
    """`mcpServers.spool` of a file, as Claude Code and Gemini CLI have it."""

    path: Path
    mode: int
    entry: dict[str, Any]

    def put(self, text: str | None) -> str:
        """As Piece."""
        now = text or ""
        with located(self.path):
            found = jsontext.get(now, (SERVERS, NAME))
            if found is not MISSING and not is_server(found):
                raise BadInput(
                    f"{self.path}: {SERVERS}.{NAME} is another program's",
                    hint="give that server another name there, or remove it",
                )
            return jsontext.put(now, (SERVERS, NAME), self.entry)

    def take(self, text: str, before: str | None) -> str | None:
        """As Piece."""
        with located(self.path):
            if not is_server(jsontext.get(text, (SERVERS, NAME))):
                return text
            rest = jsontext.drop(text, (SERVERS, NAME))
            return without_empty(rest, [(SERVERS,)], before)


def is_server(entry: Any) -> bool:
    """Whether the entry of an MCP server is spool's."""
    return isinstance(entry, dict) and runs(entry.get("command"), entry.get("args"), "mcp")


def without_empty(text: str, boxes: list[Where], before: str | None) -> str | None:
    """The text without those boxes that are empty now and were not there before; None where nothing is left.

    Raises:
        NotJson: one of the two texts is none.
    """
    for box in boxes:
        was_there = before is not None and jsontext.get(before, box) is not MISSING
        if jsontext.get(text, box) in ({}, []) and not was_there:
            text = jsontext.drop(text, box)
    return None if before is None and jsontext.parse(text) == {} else text


@contextlib.contextmanager
def located(path: Path) -> Iterator[None]:
    """Say of a text that is no JSON which file it is, and where in it the trouble is."""
    try:
        yield
    except NotJson as exc:
        raise BadInput(
            f"{path}, line {exc.line}, column {exc.column}: {exc.what}",
            hint="nothing was written; correct that file first (it must be JSON, without comments)",
        ) from exc

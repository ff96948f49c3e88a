"""The records of huey, paramiko, the MCP SDK and uvicorn, handed on to be lines of the log like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

LONGEST: Final = 2000
LONGEST_ERROR: Final = 4000
Say = Callable[[str, str, Mapping[str, Any]], None]


class _Foreign(logging.Handler):
    """Other libraries' records, in the same form as ours."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        values = {"text": record.getMessage()[:LONGEST]}
        if record.exc_info:
            values["error"] = logging.Formatter().formatException(record.exc_info)[-LONGEST_ERROR:]
        self._say(record.levelname.lower(), f"{record.name}.said", values)


def route(say: Say, *, verbose: bool) -> None:
    """Give what huey says, and the others' warnings, to `say(level, event, values)`."""
    # Huey says of each task that it runs: of a tick every two seconds nobody wants to read.
    _route("huey", logging.DEBUG if verbose else logging.WARNING, say)
    logging.getLogger("huey.consumer").setLevel(logging.INFO)
    _route("paramiko", logging.WARNING, say)
    _route("mcp", logging.WARNING, say)
    # Of what strangers send, `web.refused` tells.
    _route("uvicorn", logging.ERROR, say)
    _route("asyncio", logging.ERROR, say)


def _route(name: str, level: int, say: Say) -> None:
    logger = logging.getLogger(name)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(_Foreign(say))
    logger.setLevel(level)
    logger.propagate = False

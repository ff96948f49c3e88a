"""What a model may call the MCP server's tools with: an answer, or an error that says what to do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mcp_types import CallToolResult

from spool.api import Spool
from spool.clock import Clock
from tests.desk import arrive, make_home
from tests.fuzz.ground import NOW, Ground
from tests.mcp_client import Agent, text_of

# The others; one that waits would only wait, and one that attaches could read any file of this machine.
TOOLS: Final = (
    "send_message",
    "reply",
    "check_inbox",
    "read_message",
    "ack_message",
    "message_status",
    "list_peers",
    "search_messages",
)
_FILES: Final = "attachments"
_MOST_SHOWN: Final = 200_000
# Of one server: each leaves the mail that it was begun with.
_CALLS: Final = 25


class Tools:
    """The target: an input is `{"tool": name, "arguments": {}}`."""

    most_bytes = 16 * 1024

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._calls = 0
        self._stack = contextlib.ExitStack()

    def __call__(self, raw: bytes) -> str:
        call = _call(raw)
        if call is None:
            return "no call"
        name, arguments = call
        if self._calls % _CALLS == 0:
            self._begin()
        self._calls += 1
        result = self._agent.result(name, **arguments)
        _is_answer(result)
        with Spool(self._home, agent="me") as spool:
            assert spool.received("m-000001", agent="me").id == "m-000001", "mail is gone"
        return f"{name}/{'error' if result.is_error else 'answer'}"

    def _begin(self) -> None:
        """Take a new home and a new server, which is what costs most."""
        self.close()
        self._home = self._stack.enter_context(self._ground.copied())
        self._agent = Agent(self._home)
        self._stack.callback(self._agent.seat.leave)

    def close(self) -> None:
        """Leave the last home."""
        self._stack.close()

    def memory(self, size: int) -> int:
        """The store's pages, the SDK's models, the answer."""
        return 32 * 1024 * 1024 + 400 * size


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Tools]:
    """The server of a host with one agent, which has mail and has sent some."""
    first = make_home(scratch / "first", "me")
    with Spool(first, agent="me", clock=Clock(lambda: NOW, time.monotonic)) as spool:
        spool.send("cloud-1", subject="one", body="is it ready?", id="sent-1")
        arrive(spool, id="m-000001", now=NOW)
    with contextlib.closing(Tools(Ground(scratch, first))) as made:
        yield made


def _call(raw: bytes) -> tuple[str, dict[str, Any]] | None:
    """What a client could put into a request; the SDK itself refuses the rest."""
    try:
        found = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("tool") not in TOOLS:
        return None
    arguments = found.get("arguments")
    if not isinstance(arguments, dict) or _FILES in arguments or not _can_be_said(arguments):
        return None
    return found["tool"], arguments


def _can_be_said(arguments: dict[str, Any]) -> bool:
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        return False
    return "self" not in arguments and "tool" not in arguments


def _is_answer(result: CallToolResult) -> None:
    text = text_of(result)
    assert text and len(text) < _MOST_SHOWN, "nothing said, or too much"
    assert "Traceback" not in text and "Error executing tool" not in text, f"a defect: {text[:500]}"
    if result.is_error:
        assert "\n" in text or ":" in text, f"an error without a hint: {text[:200]}"

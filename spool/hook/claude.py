"""Claude Code's hooks: all that spool knows of their JSON stands here.

Source: code.claude.com/docs/en/hooks, as of August 2026. Read without msgspec: its import alone takes
longer than a hook that has nothing to tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

CLIENT: Final = "claude-code"
# What a hook says in one string is cut above this; JavaScript counts UTF-16 units.
MOST_UNITS: Final = 10_000
# The name of each event of ours, as Claude Code has it.
EVENTS: Final = {
    "session-start": "SessionStart",
    "user-prompt-submit": "UserPromptSubmit",
    "post-tool-use": "PostToolUse",
    "stop": "Stop",
    "session-end": "SessionEnd",
}
# The variable that names a file whose lines every later shell of the session runs first.
ENV_FILE: Final = "CLAUDE_ENV_FILE"
# What a prompt begins with that the client made up: a hook or a monitor woke the session, a task ended.
NOTIFICATION: Final = "<task-notification>"
# The variable that says how the client was started, and what it says of one that a person talks to.
_STARTED: Final = "CLAUDE_CODE_ENTRYPOINT"
_TALKS: Final = "cli"
_LONGEST_ID: Final = 200


class NotAnInput(Exception):
    """What came is no input of a hook."""


class Input(NamedTuple):
    """What a hook is told; `agent_id` is a subagent's, empty in the session itself."""

    session_id: str
    cwd: str = ""
    agent_id: str = ""
    prompt: str = ""
    stop_hook_active: bool = False


def read(raw: bytes) -> Input:
    """A hook's input, of which only what is used is looked at. Raises NotAnInput."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        # Not its own words: they may quote what a person typed.
        raise NotAnInput("the input is not JSON") from exc
    if not isinstance(found, dict):
        raise NotAnInput("the input is not a JSON object")
    session = _text(found, "session_id")
    if not session or len(session) > _LONGEST_ID:
        raise NotAnInput("the input has no session_id")
    return Input(
        session,
        _text(found, "cwd"),
        _text(found, "agent_id"),
        _text(found, "prompt"),
        found.get("stop_hook_active") is True,
    )


def has_background(environment: Mapping[str, str]) -> bool:
    """Whether this client runs a hook with `asyncRewake` in the background, as far as is known.

    Without a person (`claude -p`) it runs it like any other, and does nothing before it ends.
    """
    return environment.get(_STARTED) == _TALKS


def context(event: str, text: str) -> bytes:
    """The output that adds a text to the session's context; at a stop, the session goes on with it."""
    inner = {"hookEventName": EVENTS[event], "additionalContext": text}
    return _encoded({"hookSpecificOutput": inner})


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    # JSON can write half a character, which no database and no path has room for.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""

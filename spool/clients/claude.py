"""Claude Code: its hooks, its MCP servers and its files; all that spool knows of their form stands here.

Source: code.claude.com/docs/en/hooks, /mcp, /settings and /skills, as of August 2026.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from spool import jsontext
from spool.clients.base import Piece, Places, Scope, Setup, runs
from spool.clients.json_pieces import JsonServer, located, without_empty
from spool.clients.skill import Skill

# Event, the word `spool hook` has for it, and after how many seconds Claude Code ends it. spool itself gives
# up after two; 1.5 s is what the end of a session grants to all hooks together.
EVENTS: Final = (
    ("SessionStart", "session-start", 10),
    ("UserPromptSubmit", "user-prompt-submit", 10),
    ("PostToolUse", "post-tool-use", 10),
    ("Stop", "stop", 10),
    ("SessionEnd", "session-end", 1.5),
)
MATCHERS: Final = {"SessionStart": "startup|resume|clear|compact|fork"}
# Where a session begins to be idle.
WAKES_ON: Final = ("SessionStart", "Stop")
# A waiting hook ends with its session, and by itself when mail comes; without a limit it would be ended after
# ten minutes, and a session that idles longer could not be woken.
WAIT_S: Final = 12 * 3600


def hooks(setup: Setup) -> dict[str, dict[str, Any]]:
    """The group of hooks for each event, in the exec form, which no shell reads."""
    found = {}
    for event, verb, limit_s in EVENTS:
        socket = ["--wake", "socket"] if setup.wake == "socket" and event == "SessionStart" else []
        each = [_hook(setup, ["hook", verb], limit_s, socket)]
        if setup.wake == "rewake" and event in WAKES_ON:
            each.append({**_hook(setup, ["hook", "wait"], WAIT_S, []), "asyncRewake": True})
        matcher = {"matcher": MATCHERS[event]} if event in MATCHERS else {}
        found[event] = {**matcher, "hooks": each}
    return found


def server(setup: Setup) -> dict[str, Any]:
    """The entry of the MCP server; as with the hooks, the session's own SPOOL_AGENT has the first word."""
    entry: dict[str, Any] = {"command": setup.command, "args": setup.arguments("mcp")}
    if setup.agent:
        entry["env"] = {"SPOOL_AGENT": f"${{SPOOL_AGENT:-{setup.agent}}}"}
    return entry


def pieces(setup: Setup, scope: Scope, places: Places) -> list[Piece]:
    """The files that are written: settings, MCP servers, skill."""
    if scope == "project":
        folder, servers, mode = places.project / ".claude", places.project / ".mcp.json", 0o644
    else:
        folder = places.claude or places.user / ".claude"
        servers, mode = (places.claude or places.user) / ".claude.json", 0o600
    return [
        Settings(folder / "settings.json", mode, setup),
        JsonServer(servers, mode, server(setup)),
        Skill(folder / "skills" / "spool" / "SKILL.md", 0o644),
    ]


class Settings(NamedTuple):
    """The hooks of a settings.json."""

    path: Path
    mode: int
    setup: Setup

    def put(self, text: str | None) -> str:
        """As Piece."""
        now, wanted = text or "", hooks(self.setup)
        with located(self.path):
            for event in _events(now):
                if event not in wanted:
                    now = _without(now, event)
            for event, group in wanted.items():
                now = _with(now, event, group)
            return now

    def take(self, text: str, before: str | None) -> str | None:
        """As Piece."""
        with located(self.path):
            rest, ours = text, [event for event in _events(text) if _ours(text, event)]
            for event in ours:
                rest = _without(rest, event)
            if not ours:
                return text
            return without_empty(rest, [*(("hooks", event) for event in ours), ("hooks",)], before)


def is_hook(entry: Any) -> bool:
    """Whether a hook is spool's."""
    return isinstance(entry, dict) and runs(entry.get("command"), entry.get("args"), "hook")


def _hook(setup: Setup, words: list[str], limit_s: float, more: list[str]) -> dict[str, Any]:
    agent = ["--agent", setup.agent] if setup.agent else []
    arguments = [*setup.arguments(*words), *agent, *more]
    return {"type": "command", "command": setup.command, "args": arguments, "timeout": limit_s}


def _events(text: str) -> list[str]:
    found = jsontext.get(text, ("hooks",))
    return list(found) if isinstance(found, dict) else []


def _groups(text: str, event: str) -> list[list[Any]]:
    """The hooks of each group of an event; of what is no group, none."""
    found = jsontext.get(text, ("hooks", event))
    groups = found if isinstance(found, list) else []
    lists = [group.get("hooks") if isinstance(group, dict) else None for group in groups]
    return [each if isinstance(each, list) else [] for each in lists]


def _ours(text: str, event: str) -> list[int]:
    """Which groups have a hook of ours."""
    return [place for place, group in enumerate(_groups(text, event)) if any(map(is_hook, group))]


def _with(text: str, event: str, group: dict[str, Any]) -> str:
    """Our group in the place of the one that is there, else behind all others."""
    groups = _groups(text, event)
    pure = [place for place in _ours(text, event) if all(map(is_hook, groups[place]))]
    if not pure:
        return jsontext.append(_without(text, event), ("hooks", event), group)
    text = jsontext.put(text, ("hooks", event, pure[0]), group)
    return _without(text, event, keep=pure[0])


def _without(text: str, event: str, keep: int = -1) -> str:
    groups = _groups(text, event)
    for place in reversed(_ours(text, event)):
        if place == keep:
            continue
        ours = [each for each, hook in enumerate(groups[place]) if is_hook(hook)]
        if len(ours) == len(groups[place]):
            text = jsontext.drop(text, ("hooks", event, place))
            continue
        for each in reversed(ours):
            text = jsontext.drop(text, ("hooks", event, place, "hooks", each))
    return text

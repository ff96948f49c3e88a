"""Codex CLI: its MCP servers, in TOML. Source: developers.openai.com/codex/mcp, as of 2026."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from spool.clients.base import Piece, Places, Scope, Setup
from spool.clients.json_pieces import NAME, is_server
from spool.errors import BadInput

SERVERS: Final = "mcp_servers"
# Its default of 60 s would end `wait_for_message`, which takes 100 s at most.
TOOL_S: Final = 120
_TABLES: Final = (f"[{SERVERS}.{NAME}]", f"[{SERVERS}.{NAME}.env]")


def server(setup: Setup) -> dict[str, Any]:
    """The entry of the MCP server."""
    entry: dict[str, Any] = {"command": setup.command, "args": setup.arguments("mcp")}
    if setup.agent:
        entry["env"] = {"SPOOL_AGENT": setup.agent}
    return {**entry, "tool_timeout_sec": TOOL_S}


def pieces(setup: Setup, scope: Scope, places: Places) -> list[Piece]:
    """The files that are written; Codex reads those of a project only where it trusts the project."""
    if scope == "project":
        return [TomlServer(places.project / ".codex" / "config.toml", 0o644, server(setup))]
    folder = places.codex or places.user / ".codex"
    return [TomlServer(folder / "config.toml", 0o600, server(setup))]


class TomlServer(NamedTuple):
    """`[mcp_servers.spool]` of a config.toml."""

    path: Path
    mode: int
    entry: dict[str, Any]

    def put(self, text: str | None) -> str:
        """As Piece."""
        now = text or ""
        tree = self._parse(now)
        found = tree.get(SERVERS, {}).get(NAME)
        if found == self.entry:
            return now
        if found is not None and not is_server(found):
            raise BadInput(
                f"{self.path}: [{SERVERS}.{NAME}] is another program's",
                hint="give that server another name there, or remove it",
            )
        rest = now if found is None else self._cut(now)
        wanted = {**tree, SERVERS: {**tree.get(SERVERS, {}), NAME: self.entry}}
        return self._checked(_with_block(rest, self.entry), wanted)

    def take(self, text: str, before: str | None) -> str | None:
        """As Piece."""
        tree = self._parse(text)
        if not is_server(tree.get(SERVERS, {}).get(NAME)):
            return text
        rest = self._cut(text)
        return None if before is None and not rest.strip() else rest

    def _cut(self, text: str) -> str:
        """Without our table: its lines, and the empty one before them."""
        tree = self._parse(text)
        kept, ours, inside = list[str](), list[str](), False
        for line in text.splitlines(keepends=True):
            if line.lstrip().startswith("["):
                kept += _behind(ours)
                ours, inside = [], line.strip() in _TABLES
                if inside and kept and not kept[-1].strip():
                    kept.pop()
            (ours if inside else kept).append(line)
        kept += _behind(ours)
        servers = {name: each for name, each in tree[SERVERS].items() if name != NAME}
        wanted = {**tree, SERVERS: servers} if servers else _without_key(tree, SERVERS)
        return self._checked("".join(kept), wanted, or_empty=True)

    def _checked(self, text: str, wanted: dict[str, Any], *, or_empty: bool = False) -> str:
        """The text, if it says what it is to say. The forms of TOML are many: another one is left alone."""
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            tree = {}
        if or_empty and tree.get(SERVERS) == {}:
            tree = _without_key(tree, SERVERS)
        if tree != wanted:
            raise BadInput(
                f"{self.path}: its {SERVERS} are written in a way that spool does not change",
                hint=f"change the table [{SERVERS}.{NAME}] by hand",
            )
        return text

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as exc:
            raise BadInput(
                f"{self.path}: {exc}", hint="nothing was written; correct that file first"
            ) from exc
        if not isinstance(tree.get(SERVERS, {}), dict):
            raise BadInput(f"{self.path}: {SERVERS} is not a table", hint="correct that file first")
        return tree


def _behind(ours: list[str]) -> list[str]:
    """Empty lines and comments at the end of a table: they belong to what comes next."""
    end = len(ours)
    while end and (not ours[end - 1].strip() or ours[end - 1].lstrip().startswith("#")):
        end -= 1
    return ours[end:]


def _without_key(tree: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in tree.items() if name != key}


def _with_block(text: str, entry: dict[str, Any]) -> str:
    """The table as lines of its own at the end; with that, nothing of the rest is read or written anew."""
    import tomlkit

    block = tomlkit.dumps({SERVERS: {NAME: entry}}).removeprefix(f"[{SERVERS}]\n")
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return text + (gap + block).replace("\n", newline)

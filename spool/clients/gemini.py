"""Gemini CLI: its MCP servers. Source: docs/tools/mcp-server.md of google-gemini/gemini-cli."""

from __future__ import annotations

from typing import Any

from spool.clients.base import Piece, Places, Scope, Setup
from spool.clients.json_pieces import JsonServer


def server(setup: Setup) -> dict[str, Any]:
    """The entry of the MCP server."""
    entry: dict[str, Any] = {"command": setup.command, "args": setup.arguments("mcp")}
    if setup.agent:
        entry["env"] = {"SPOOL_AGENT": setup.agent}
    return entry


def pieces(setup: Setup, scope: Scope, places: Places) -> list[Piece]:
    """The files that are written."""
    top, mode = (places.project, 0o644) if scope == "project" else (places.user, 0o600)
    return [JsonServer(top / ".gemini" / "settings.json", mode, server(setup))]

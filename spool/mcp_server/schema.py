"""The tools' schemas, as short as they say the same: each session pays for them in tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

_NULL: Final = {"type": "null"}


def tool(fn: Callable[..., Any], annotations: ToolAnnotations) -> Tool:
    """A tool of a function: its name, its docstring's first line, its parameters."""
    made = Tool.from_function(fn, annotations=annotations, structured_output=False)
    made.description = " ".join(made.description.split())
    made.parameters = _short(made.parameters)
    return made


def _short(schema: dict[str, Any]) -> dict[str, Any]:
    """Without titles, without null where a value may be left out, and without defaults that say nothing."""
    kept = {name: _of(value) for name, value in schema.items() if name not in ("title", "properties")}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    if "properties" in schema:
        kept["properties"] = {name: _short(value) for name, value in schema["properties"].items()}
    if "anyOf" in kept:
        arms = [arm for arm in kept["anyOf"] if arm != _NULL]
        if len(arms) == 1:
            del kept["anyOf"]
            kept = {**arms[0], **kept}
    return kept


def _of(value: Any) -> Any:
    if isinstance(value, dict):
        return _short(value)
    return [_of(each) for each in value] if isinstance(value, list) else value

"""One line of the log for people: in columns on a terminal, with every value elsewhere."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import click
import msgspec

from spool.cli import screen
from spool.cli.text import field

_QUIET: Final = frozenset({"at", "level", "event", "host", "pid", "role", "version"})
# On a terminal these stand in a form of their own.
_SHAPED: Final = frozenset({"id", "from", "to", "peer", "latency_ms", "error"})
# There they say nothing: what the event's name says already, and what is so nearly always.
_IMPLIED: Final = frozenset({"state", "queued_at"})
_USUAL: Final = {"type": "message", "priority": "P2", "attempt": 1}
_COLOURS: Final = {"warning": "yellow", "error": "red"}
_EVENT_WIDTH: Final = 17


def plain_text(line: dict[str, Any]) -> str:
    """Time, level, event and every value, on one line."""
    values = " ".join(f"{name}={_value(value)}" for name, value in _values(line))
    when = str(line.get("at", ""))[:23].replace("T", " ")
    return field(f"{when} {line.get('level', ''):<7} {line.get('event', '')} {values}".rstrip())


def day(line: dict[str, Any]) -> str:
    """The day of a line, `2026-11-22`."""
    return str(line.get("at", ""))[:10]


def columns(line: dict[str, Any], width: int) -> str:
    """The same for a terminal of this width: time of day, event, who and whom, then the rest, wrapped."""
    level, event = str(line.get("level", "")), str(line.get("event", ""))
    head = f"{str(line.get('at', ''))[11:19]}  {event:<{_EVENT_WIDTH}}  "
    indent = " " * 10
    lines = textwrap.wrap(
        field(head + "  ".join(_facts(line))).rstrip(),
        max(40, width - 1),
        subsequent_indent=indent,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )
    return click.style("\n".join(lines), fg=_COLOURS.get(level), dim=level == "debug" or None)


def _facts(line: dict[str, Any]) -> list[str]:
    facts = []
    if id := line.get("id"):
        facts.append(screen.ending(str(id)))
    if line.get("from") or line.get("to"):
        facts.append(f"{line.get('from', '')} > {line.get('to', '')}")
    if peer := line.get("peer"):
        facts.append(f"[{peer}]")
    if (took := line.get("latency_ms")) is not None:
        facts.append(f"{took:,.0f} ms" if isinstance(took, int | float) else str(took))
    if error := line.get("error"):
        facts.append(" / ".join(str(error).splitlines()))
    told = _SHAPED | _IMPLIED
    rest = [(name, value) for name, value in _values(line) if name not in told and _USUAL.get(name) != value]
    return [*facts, *(f"{name}={_value(value)}" for name, value in rest)]


def _values(line: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in line.items() if name not in _QUIET and value is not None]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return msgspec.json.encode(text).decode() if " " in text or text == "" else text

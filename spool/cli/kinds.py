"""What option values look like: times, lengths of time, and `KEY=VALUE`."""

from __future__ import annotations

import re
import time

import msgspec

from spool.cli.declared import bad_value
from spool.errors import BadMessage
from spool.lengths import length_s
from spool.message import format_time, parse_time


def priority(value: str) -> str:
    """P0 to P3, in either case."""
    if value.upper() not in ("P0", "P1", "P2", "P3"):
        raise bad_value(f"{value!r} is not P0, P1, P2 or P3")
    return value.upper()


def deadline(value: str) -> str:
    """A time to come, as RFC 3339 text; one that was given so is kept as it is."""
    if (seconds := length_s(value)) is not None:
        return format_time(time.time() + seconds)
    _moment(value)
    return value


def since(value: str | float) -> float:
    """A time that has passed, in seconds since the epoch."""
    if isinstance(value, float):
        return value
    if (seconds := length_s(value)) is not None:
        return time.time() - seconds
    return _moment(value)


def length(value: str | float) -> float:
    """A length of time in seconds; a bare number is seconds, a time is counted from then to now."""
    if isinstance(value, float):
        return value
    if (seconds := length_s(value)) is not None:
        return seconds
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    return max(0.0, time.time() - _moment(value))


def pair(value: str) -> tuple[str, str]:
    """`KEY=VALUE`, the value as text."""
    key, equals, rest = value.partition("=")
    if not equals or not key:
        raise bad_value(f"{value!r} is not KEY=VALUE.")
    return key, rest


def json_pair(value: str) -> tuple[str, msgspec.Raw]:
    """`KEY=JSON`, the value as it was written."""
    key, rest = pair(value)
    try:
        msgspec.json.decode(rest)
    except (msgspec.MsgspecError, RecursionError) as exc:
        said = f"{key}: not JSON ({exc}); text needs quotes, or --context {key}=TEXT."
        raise bad_value(said) from exc
    return key, msgspec.Raw(rest.encode())


def _moment(text: str) -> float:
    try:
        return parse_time("when", text)
    except BadMessage as exc:
        said = f"{text!r} is no time; write 2025-11-13T11:00:00Z, or 90s, 30m, 2h, 1d."
        raise bad_value(said) from exc

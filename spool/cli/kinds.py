"""What option values look like: times, lengths of time, and `KEY=VALUE`."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import click
import msgspec

from spool.errors import BadMessage
from spool.message import format_time, parse_time

_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_TIMES: Final = "2025-11-13T11:00:00Z, or 90s, 30m, 2h, 1d"


def _length_s(text: str) -> float | None:
    match = _LENGTH.fullmatch(text.strip())
    return float(match[1]) * _UNITS[match[2]] if match else None


class Deadline(click.ParamType):
    """A time to come, as RFC 3339 text; one that was given so is kept as it is."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`."""
        if (length_s := _length_s(str(value))) is not None:
            return format_time(time.time() + length_s)
        try:
            parse_time("when", str(value))
        except BadMessage:
            self.fail(f"{value!r} is no time; write {_TIMES}", param, ctx)
        return str(value)


class Since(click.ParamType):
    """A time that has passed, in seconds since the epoch."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if isinstance(value, float):
            return value
        if (length_s := _length_s(str(value))) is not None:
            return time.time() - length_s
        try:
            return parse_time("when", str(value))
        except BadMessage:
            self.fail(f"{value!r} is no time; write {_TIMES}", param, ctx)


class Length(click.ParamType):
    """A length of time in seconds; a bare number is seconds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if isinstance(value, float | int):
            return float(value)
        if (length_s := _length_s(str(value))) is not None:
            return length_s
        if re.fullmatch(r"\d+(\.\d+)?", str(value)):
            return float(value)
        if re.search(r"\d-\d\d", str(value)):
            try:
                return max(0.0, time.time() - parse_time("when", str(value)))
            except BadMessage:
                pass  # told below, with the forms that can be read
        self.fail(f"{value!r} is no length of time; write 90s, 30m, 2h or 1d", param, ctx)


class Pair(click.ParamType):
    """`KEY=VALUE`, the value as text."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """See `click.ParamType.convert`."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, rest


class JsonPair(click.ParamType):
    """`KEY=JSON`, the value as it was written."""

    name = "key=json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, msgspec.Raw]:
        """See `click.ParamType.convert`."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=JSON", param, ctx)
        try:
            msgspec.json.decode(rest)
        except (msgspec.MsgspecError, RecursionError) as exc:
            self.fail(f"{key}: not JSON: {exc}; text needs quotes, or --context {key}=TEXT", param, ctx)
        return key, msgspec.Raw(rest.encode())


DEADLINE: Final = Deadline()
SINCE: Final = Since()
LENGTH: Final = Length()
PAIR: Final = Pair()
JSON_PAIR: Final = JsonPair()
PRIORITY: Final = click.Choice(["P0", "P1", "P2", "P3"], case_sensitive=False)

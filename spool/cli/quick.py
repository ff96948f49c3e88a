"""A command that is called as it should be, read and run without click: it costs more than the command.

Whatever is not plain (a wrong value, an option nobody declared, help, a terminal) is left to click from the
beginning, so that what is said then is said in one place.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spool.cli.names import COMMANDS, HELP, QUICK
from spool.version import VERSION

if TYPE_CHECKING:
    from spool.cli.common import Call
    from spool.cli.declared import Command, Taken

_SETTINGS: Final = {"--home": "home_given", "--agent": "agent"}


class NotPlain(Exception):
    """Click has to read this."""


def run(words: Sequence[str]) -> int | None:
    """Run what these words say, and return its exit code; None where nothing was done, and click has to."""
    if "_SPOOL_COMPLETE" in os.environ or not (_is_plain(sys.stdout, pipe=True) and _is_plain(sys.stderr)):
        return None
    if list(words) in ([], ["--help"], ["-h"], ["--version"]):
        text = f"spool {VERSION}" if words[:1] == ["--version"] else HELP
        return _run(lambda: sys.stdout.write(f"{text}\n"), words)
    at = _place_of_command(words)
    if at >= len(words) or words[at] not in QUICK:
        return None
    from spool.cli.common import Call

    call = Call()
    call.command = words[at]
    return _run(lambda: _command(words[at], [*words[:at], *words[at + 1 :]], call), words, call)


def _place_of_command(words: Sequence[str]) -> int:
    """Behind the options that all have, which may stand before it."""
    at = 0
    while at < len(words) and (words[at] == "--json" or words[at].partition("=")[0] in _SETTINGS):
        at += 2 if words[at] in _SETTINGS else 1
    return at


def _command(name: str, words: Sequence[str], call: Call) -> None:
    found: Command = getattr(importlib.import_module(f"spool.cli.{COMMANDS[name]}"), name)
    # Nothing is done yet where this is left to click.
    values = read(found.takes, words, call)
    with call.closing:
        found.body(call, **values)


def _run(body: Callable[[], object], words: Sequence[str], call: Call | None = None) -> int | None:
    try:
        body()
        sys.stdout.flush()
    except NotPlain:
        return None
    except BaseException as exc:  # noqa: BLE001  the last door: one line, the traceback on demand
        from spool.cli.common import Call
        from spool.cli.ending import ended

        return ended(exc, call or Call(), words)
    return 0


def _is_plain(stream: Any, *, pipe: bool = False) -> bool:
    """Whether click would write to a stream just what it is given; with `pipe`, and it is no terminal."""
    try:
        return str(stream.encoding).lower() == "utf-8" and not (pipe and stream.isatty())
    except (AttributeError, ValueError):
        # Closed, or none at all.
        return False


def read(takes: Sequence[Taken], words: Sequence[str], call: Call) -> dict[str, Any]:
    """The values of a command by name; its common options go to the call.

    Raises:
        NotPlain: not all of it is as declared.
    """
    options = {word: each for each in takes for word in each.words if word.startswith("-")}
    given: dict[str, list[str]] = {}
    places: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        option = options.get(name)
        if not word.startswith("-") or word == "-":
            places.append(word)
        elif word == "--json":
            call.json = True
        elif option is not None and option.keys.get("is_flag") and not equals:
            given.setdefault(option.name, [])
        elif name in _SETTINGS:
            setattr(call, _SETTINGS[name], value or _next(rest, equals))
        elif option is not None and not option.keys.get("is_flag"):
            given.setdefault(option.name, []).append(value or _next(rest, equals))
        else:
            raise NotPlain
    values = {each.name: _value(each, given.get(each.name)) for each in takes if each.is_option}
    return values | _placed([each for each in takes if not each.is_option], places)


def _next(rest: Iterator[str], equals: str) -> str:
    value = "" if equals else next(rest, "")
    # Empty, or another option: click has its own rules for those.
    if not value or (value.startswith("-") and value != "-"):
        raise NotPlain
    return value


def _value(option: Taken, given: list[str] | None) -> Any:
    keys = option.keys
    if keys.get("is_flag"):
        return given is not None
    if keys.get("multiple"):
        return tuple(_converted(keys, each) for each in given or ())
    return keys.get("default") if given is None else _converted(keys, given[-1])


def _placed(arguments: Sequence[Taken], places: Sequence[str]) -> dict[str, Any]:
    if not all(places):
        raise NotPlain
    match arguments:
        case [one] if one.keys.get("nargs") == -1 and places:
            return {one.name: tuple(places)}
        case [one] if one.keys.get("nargs") is None and len(places) == 1:
            return {one.name: places[0]}
        case [one] if one.keys.get("required") is False and not places:
            return {one.name: None}
        case [] if not places:
            return {}
    raise NotPlain


def _converted(keys: Mapping[str, Any], value: str) -> Any:
    kind = keys.get("type", str)
    try:
        return kind(value)
    except Exception as exc:
        raise NotPlain from exc

"""A hook's words on the command line, taken apart without click."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from spool.hook.claude import EVENTS

_OPTIONS: Final = ("--agent", "--home", "--wake", "--timeout")
# No turn of a session, but what waits beside it.
WAIT: Final = "wait"
# Its client ends it a minute later (`spool agent install --wake rewake`).
WAIT_S: Final = 12 * 3600 - 60.0
SOCKET: Final = "socket"


class Asked(NamedTuple):
    """Which event it is, for which home, who the session reads as where nothing else says so, and how it
    may be woken; for `wait`, after how many seconds that ends."""

    event: str
    home: str | None = None
    agent: str | None = None
    wake: str | None = None
    timeout_s: float = WAIT_S


def parse(words: Sequence[str]) -> Asked | None:
    """What follows `spool hook`; None where a person needs an answer: a wrong word, or a call for help."""
    event, given = "", {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _OPTIONS and (equals or rest):
            given[name] = value if equals else rest.pop(0)
        elif (word in EVENTS or word == WAIT) and not event:
            event = word
        else:
            return None
    wake, timeout_s = given.get("--wake"), _seconds(given.get("--timeout"))
    if not event or wake not in (None, SOCKET) or timeout_s is None:
        return None
    return Asked(event, given.get("--home"), given.get("--agent"), wake, timeout_s)


def _seconds(given: str | None) -> float | None:
    if given is None:
        return WAIT_S
    from spool.lengths import length_s

    return float(given) if given.isdecimal() else length_s(given)

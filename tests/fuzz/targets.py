"""All targets, each with what opens it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from tests.fuzz import folders, hooks, keys, lines, link, tables, texts, tools
from tests.fuzz.base import Open, Plain


def _plain(make: Callable[[], Plain]) -> Open:
    return lambda scratch: contextlib.nullcontext(make())


TARGETS: Final[dict[str, Open]] = {
    "lines": _plain(lines.target),
    "texts": _plain(texts.target),
    "tables": tables.target,
    "link": link.target,
    "folders": folders.target,
    "hooks": hooks.target,
    "keys": keys.target,
    "tools": tools.target,
}

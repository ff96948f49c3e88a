"""The last words of a far command: the end of its stderr, bounded, fit for an error message."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

MAX_LINES: Final = 20
MAX_LINE_BYTES: Final = 400


class LastWords:
    """Keeps the last lines of what is fed to it. One thread feeds, any thread reads."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=MAX_LINES)
        self._open = b""
        self._lock = threading.Lock()

    def feed(self, piece: bytes) -> None:
        """Add what came; lines beyond the limits are cut or forgotten."""
        with self._lock:
            *whole, rest = (self._open + piece).split(b"\n")
            self._lines.extend(line[:MAX_LINE_BYTES] for line in whole)
            self._open = rest[:MAX_LINE_BYTES]

    def text(self, ending: str = "") -> str:
        """Return the lines, with `ending` (how the command ended) in brackets behind them."""
        with self._lock:
            lines = [_plain(line) for line in (*self._lines, self._open)]
        said = "\n".join(line for line in lines if line)
        if not ending:
            return said
        return f"{said} ({ending})" if said else ending


def _plain(line: bytes) -> str:
    # The far side's bytes end up on a terminal here: no control characters, no escapes.
    text = line.decode("utf-8", "replace").expandtabs(4).rstrip()
    return "".join(letter if letter.isprintable() else "?" for letter in text)

"""An excerpt: the few words of a text around what was searched for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from spool.terms import Term, words

WIDTH: Final = 80
_BEFORE: Final = 24
# Of a longer text, only the beginning is looked through.
_LOOKED_AT: Final = 20_000


def excerpt(texts: Iterable[str], terms: Sequence[Term], *, width: int = WIDTH) -> str:
    """About `width` characters on one line, from the first text that has one of the terms, around it.

    Where none has, it is the beginning of the first. An ellipsis stands where something was left out.
    """
    every = [" ".join(text[:_LOOKED_AT].split()) for text in texts]
    for text in every:
        if (at := _first(text, terms)) is not None:
            return _cut(text, at, width)
    return _cut(every[0], 0, width) if every else ""


def _first(text: str, terms: Sequence[Term]) -> int | None:
    folded = _folded(text)
    starts = [
        found.start()
        for term in terms
        for word in words(_folded(term.text))[:1]
        if (found := re.search(rf"(?<!\w){re.escape(word)}", folded))
    ]
    return min(starts, default=None)


def _folded(text: str) -> str:
    """Without case and accents, each character still at its place."""
    if text.isascii():
        return text.lower()
    return "".join((unicodedata.normalize("NFD", char)[0].lower() or char)[0] for char in text)


def _cut(text: str, at: int, width: int) -> str:
    start = 0 if at <= _BEFORE else text.rfind(" ", 0, at - _BEFORE) + 1
    # A text without spaces is cut where it must be.
    start = max(start, at - 2 * _BEFORE)
    piece = text[start : start + width].strip()
    return f"{'…' if start else ''}{piece}{'…' if start + width < len(text) else ''}"

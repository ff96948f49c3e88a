"""What a person searches for, taken apart: words, phrases in quotes, and beginnings of words."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from spool.errors import BadInput

MAX_TERMS: Final = 32
# A shorter beginning fits thousands of words, and each would have to be looked at.
SHORTEST_BEGINNING: Final = 3
_PART: Final = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


class Term(NamedTuple):
    """A word or a phrase; with `prefix` its last word need only begin so."""

    text: str
    prefix: bool = False


def parse(given: str) -> tuple[Term, ...]:
    """Take a search apart, as it was typed: `lamp "red light" flick*`.

    Nothing else has a meaning: what is no letter and no digit only parts the words.

    Raises:
        BadInput: no word in it, too many, or too short a beginning.
    """
    terms = tuple(term for term in map(_term, _PART.finditer(given)) if has_word(term.text))
    if not terms:
        raise BadInput("there is no word to search for", hint="give words, as in `spool search red lamp`")
    if len(terms) > MAX_TERMS:
        raise BadInput(f"{len(terms)} words to search for, {MAX_TERMS} at most", hint="leave some out")
    for term in terms:
        last = words(term.text)[-1]
        if term.prefix and len(last) < SHORTEST_BEGINNING and last.isascii():
            raise BadInput(
                f"{term.text}*: too short a beginning", hint=f"give {SHORTEST_BEGINNING} letters or more"
            )
    return terms


def words(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, with the marks that go with them."""
    return "".join(char if _is_of_word(char) else " " for char in text).split()


def has_word(text: str) -> bool:
    """Whether there is anything in a text that can be searched for."""
    return any(unicodedata.category(char)[0] in "LN" for char in text)


def _term(match: re.Match[str]) -> Term:
    phrase, star, word = match.groups()
    if word is None:
        return Term(phrase, star == "*")
    return Term(word.rstrip("*"), word.endswith("*"))


def _is_of_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"

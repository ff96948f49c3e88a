"""The skill: a text that teaches an agent when and how to write; a file that is spool's as a whole."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from spool.errors import BadInput

# The skill of every version ends so.
MARK: Final = "<!-- This skill comes with spool. -->"


class Skill(NamedTuple):
    """`skills/spool/SKILL.md` of a client."""

    path: Path
    mode: int

    def put(self, text: str | None) -> str:
        """As Piece; a changed one of ours is replaced, another's is not."""
        if text and MARK not in text:
            raise BadInput(
                f"{self.path} is there and is not spool's", hint="look at it; move it away, then try again"
            )
        return text_of("SKILL.md")

    def take(self, text: str, before: str | None) -> str | None:
        """As Piece; one that a person changed stays."""
        if text != text_of("SKILL.md"):
            return text
        return None if before == text else before


def text_of(name: str) -> str:
    """A text that comes with this package."""
    return files("spool.clients").joinpath(name).read_text("utf-8")

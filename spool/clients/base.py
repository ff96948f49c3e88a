"""What is installed in a client's settings, and what each piece of it promises."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Final, Literal, Protocol

import msgspec

Scope = Literal["user", "project"]
Wake = Literal["none", "rewake", "socket", "monitor"]
# Options of spool that take a value, as they may stand before the command.
_WITH_VALUE: Final = ("--home", "--agent")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is told of this spool: how to run it, for which home, as whom."""

    program: tuple[str, ...] = ("spool",)
    # Empty: the default one, or whatever the client's environment says.
    home: str = ""
    agent: str = ""
    wake: Wake = "none"

    @property
    def command(self) -> str:
        """The program itself."""
        return self.program[0]

    def arguments(self, *words: str) -> list[str]:
        """Its arguments, with the home where it is not the default one."""
        return [*self.program[1:], *words, *(["--home", self.home] if self.home else [])]


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the clients keep their settings: of this user, and of the project."""

    user: Path
    project: Path
    # $CLAUDE_CONFIG_DIR, $CODEX_HOME.
    claude: Path | None = None
    codex: Path | None = None


class Piece(Protocol):
    """One file of a client, and what of it is spool's. Text in, text out; None stands for no file."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def mode(self) -> int:
        """The permissions of a new one."""

    def put(self, text: str | None) -> str:
        """The text with what is spool's in it, brought up to date; may be called again.

        Raises:
            BadInput: the text cannot be changed safely; nothing is to be written then.
        """

    def take(self, text: str, before: str | None) -> str | None:
        """The text without what is spool's; what was empty in `before`, or not there, is so again.

        Raises:
            BadInput: as `put`.
        """


def runs(command: Any, arguments: Any, verb: str) -> bool:
    """Whether a command, as a client's settings name it, is `spool VERB`: of this or an older version."""
    words = _words(command, arguments)
    if not words:
        return False
    if PurePath(words[0]).name == "spool":
        rest = words[1:]
    elif "-m" in words and words[words.index("-m") + 1 :][:1] in (["spool"], ["spool.cli"]):
        rest = words[words.index("-m") + 2 :]
    else:
        return False
    while rest and rest[0].startswith("-"):
        rest = rest[2 if rest[0] in _WITH_VALUE else 1 :]
    return rest[:1] == [verb]


def _words(command: Any, arguments: Any) -> Sequence[str]:
    if not isinstance(command, str):
        return []
    if isinstance(arguments, list) and all(isinstance(word, str) for word in arguments):
        return [command, *arguments]
    try:
        return shlex.split(command)
    except ValueError:
        return []

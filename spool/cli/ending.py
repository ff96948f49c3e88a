"""How a command ends that did not end well: its exit code, and what is said before."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spool.cli.common import Call


def ended(exc: BaseException, call: Call, words: Sequence[str]) -> int:
    """The exit code for what a command raised; an error is told on one line, or as one JSON object.

    Raises:
        SystemExit, and what is no Exception: as it came.
    """
    if isinstance(exc, BrokenPipeError) or (isinstance(exc, OSError) and exc.errno == errno.EPIPE):
        _forget_stdout()
        return 0
    if isinstance(exc, KeyboardInterrupt):
        return 130
    if not isinstance(exc, Exception):
        raise exc
    import click

    from spool.cli import failing

    match exc:
        case click.exceptions.Exit():
            return exc.exit_code
        case click.Abort():
            return 130
        case click.UsageError():
            # The options may not have been read as far as --json.
            plain_words = words[: words.index("--")] if "--" in words else words
            return failing.tell(exc, as_json=call.json or "--json" in plain_words, command=call.command)
    return failing.tell(exc, as_json=call.json)


def _forget_stdout() -> None:
    """The reader has gone: what is still buffered must not be complained about at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)

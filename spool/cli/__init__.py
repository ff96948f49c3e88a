"""The command line: `spool COMMAND`; this is where it starts."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

_SELDOM: Final = 100_000


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    # What spool makes is nobody else's to read.
    os.umask(0o077)
    _have_all_three()
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["hook"]:
        # It runs at every step of an agent: it is over before click would be imported.
        from spool.hook.run import door

        door(words[1:])
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that lacks a letter gets its number, not a traceback.
            reconfigure(errors="backslashreplace")
    if (code := _quickly(words)) is not None:
        _end(code, at_once=argv is None)
    from spool.cli.root import Root

    Root().main(argv)


def _have_all_three() -> None:
    """Open what is closed of stdin, stdout and stderr: else the next file gets its number, and its words."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free: this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _quickly(words: Sequence[str]) -> int | None:
    usual = gc.get_threshold()
    # What modules are made of stays: to look through it for rubbish all the while takes long.
    gc.set_threshold(_SELDOM)
    try:
        from spool.cli import quick

        return quick.run(words)
    finally:
        gc.set_threshold(*usual)


def _end(code: int, *, at_once: bool) -> NoReturn:
    if at_once:
        # What would be tidied up, the end of the process does as well, and sooner. All is flushed and closed.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def __getattr__(name: str) -> Any:
    """`cli`, made when it is first asked for."""
    if name != "cli":
        raise AttributeError(f"module 'spool.cli' has no attribute {name!r}")
    from spool.cli.root import Root

    globals()["cli"] = made = Root()
    return made

"""The command line: `spool COMMAND`; this is where it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    # What spool makes is nobody else's to read.
    os.umask(0o077)
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
    from spool.cli.root import Root

    Root().main(argv)


def __getattr__(name: str) -> Any:
    """`cli`, made when it is first asked for."""
    if name != "cli":
        raise AttributeError(f"module 'spool.cli' has no attribute {name!r}")
    from spool.cli.root import Root

    globals()["cli"] = made = Root()
    return made

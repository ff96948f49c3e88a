"""The command line: `spool COMMAND`; this is where it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from spool.cli.root import Root

cli = Root()


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    # What spool makes is nobody else's to read.
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that lacks a letter gets its number, not a traceback.
            reconfigure(errors="backslashreplace")
    cli.main(argv)

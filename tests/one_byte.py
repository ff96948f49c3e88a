"""A line that carries one byte at a time: `python -m tests.one_byte COMMAND…` runs a far end behind it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def carry(source: int, sink: int) -> None:
    """Pass on what comes, a byte in each write, and then the end."""
    try:
        while piece := os.read(source, 1):
            os.write(sink, piece)
    except OSError:
        pass  # the other side is gone, which its end below tells this one
    os.close(sink)


if __name__ == "__main__":
    far = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert far.stdin is not None and far.stdout is not None
    up = threading.Thread(target=carry, args=(0, far.stdin.fileno()), daemon=True)
    up.start()
    carry(far.stdout.fileno(), 1)
    sys.exit(far.wait())

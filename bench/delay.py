"""A proxy that delays, as a program of its own, so that it takes no time from who measures.

`python -m bench.delay PORT SECONDS` prints the port it listens on and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.hosts import ENV
from tests.proxy import FaultProxy

END_S: Final = 10.0


@contextlib.contextmanager
def proxy(port: int, latency_s: float) -> Iterator[int]:
    """A port on which each byte to `port` and back is that long on its way; none is made for no delay."""
    if not latency_s:
        yield port
        return
    command = [sys.executable, "-m", "bench.delay", str(port), str(latency_s)]
    made = subprocess.Popen(command, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert made.stdin is not None
    assert made.stdout is not None
    try:
        yield int(made.stdout.readline())
    finally:
        made.stdin.close()
        made.stdout.close()
        try:
            made.wait(END_S)
        except subprocess.TimeoutExpired:
            made.kill()
            made.wait()


def main() -> int:
    """Delay until nobody is at the other end of the standard input."""
    with FaultProxy(int(sys.argv[1]), latency_s=float(sys.argv[2])) as made:
        print(made.port, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())

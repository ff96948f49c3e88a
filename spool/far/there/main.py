"""One request answered."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import Any

from spool.far.there.commands import run
from spool.far.there.fill import Say
from spool.far.there.install import ignore_signals, install
from spool.far.there.look import look
from spool.far.there.place import Trouble


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.buffer.readline())

    def say(answer: dict[str, Any]) -> None:
        sys.stdout.write(f"\n{request['token']} {json.dumps(answer)}\n")
        sys.stdout.flush()

    def stop(number: int, _: object) -> None:
        raise Trouble("it was interrupted")

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        answer: dict[str, Any] = {"answer": _answer(request, say)}
    except (Trouble, OSError, subprocess.TimeoutExpired) as exc:
        answer = {"failed": str(exc)}
    ignore_signals()
    # Nobody may be there to read it.
    with contextlib.suppress(OSError):
        say(answer)


def _answer(request: dict[str, Any], say: Say) -> dict[str, Any]:
    match request["do"]:
        case "look":
            return look(request)
        case "install":
            return install(request, say)
        case "run":
            return run(request)
        case other:
            raise Trouble(f"{other!r} is not known here")

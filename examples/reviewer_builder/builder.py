"""A builder: runs what its owner lets it run, reports in the thread, sends the log along.

    SPOOL_HOME=... python builder.py check="make check" test="make test"

A request names one of these in its context, {"task": "check"}: what a peer writes is a wish, never
a command line. Its deadline, where it has one, is how long the command may take.
"""

from __future__ import annotations

import datetime as dt
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from spool import Delivery, Spool, SpoolError

LIMIT_S = 600.0
PATIENCE_S = 3600.0


def main(words: list[str]) -> int:
    """Work until nothing comes for an hour."""
    tasks = dict(word.split("=", 1) for word in words)
    try:
        with Spool() as spool:
            for request in spool.receive(timeout=PATIENCE_S):
                # If this dies half way, the next builder finds the request again.
                with request:
                    work(request, tasks)
    except SpoolError as exc:
        print(f"builder: {exc.message}; {exc.hint}", file=sys.stderr)
        return exc.exit_code
    return 0


def work(request: Delivery, tasks: dict[str, str]) -> None:
    """Answer one request, or reject it with the reason."""
    if request.type != "build":
        return
    task = str(request.context.get("task"))
    if task not in tasks:
        request.reject(f"no task {task!r} here; there are {', '.join(sorted(tasks))}")
        return
    if (left_s := seconds_left(request)) <= 0:
        request.reject("its deadline had passed before I could begin")
        return
    request.reply(f"{task} has begun", type="progress", keep_open=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, f"{task}.log")
        verdict = run(tasks[task], log, limit_s=left_s)
        request.reply(f"{task}: {verdict}", type="result", context={"verdict": verdict}, attach=[log])


def run(command: str, log: Path, *, limit_s: float) -> str:
    """Run it with all it says in `log`; `passed`, or what became of it."""
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                shlex.split(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            return f"stopped at the deadline, after {limit_s:.0f} s"
        except OSError as exc:
            return f"could not be started: {exc}"
    return "passed" if done.returncode == 0 else f"failed with exit status {done.returncode}"


def seconds_left(request: Delivery) -> float:
    """Until the deadline; the limit where there is none."""
    if request.deadline is None:
        return LIMIT_S
    return (dt.datetime.fromisoformat(request.deadline) - dt.datetime.now(dt.UTC)).total_seconds()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

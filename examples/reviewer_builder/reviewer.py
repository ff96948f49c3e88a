"""A reviewer: asks for tasks, follows them, reads the logs, accepts or rejects what came back.

    SPOOL_HOME=... python reviewer.py builder check:600 test:60

Each word is a task and how many seconds it may take.
"""

from __future__ import annotations

import datetime as dt
import sys
import time

from spool import Delivery, Message, Spool, SpoolError, State

SLACK_S = 30.0


def main(builder: str, *words: str) -> int:
    """Ask for one task after the other: 0 if all were accepted, 1 if not, 2 if they could not be tried."""
    try:
        with Spool() as spool:
            accepted = [review(spool, builder, *word.split(":")) for word in words]
    except SpoolError as exc:
        print(f"reviewer: {exc.message}; {exc.hint}", file=sys.stderr)
        return 2
    return 0 if all(accepted) else 1


def review(spool: Spool, builder: str, task: str, limit_s: str) -> bool:
    """See one task through."""
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(limit_s))
    id = spool.send(
        builder, subject=f"Please run {task}", type="build", context={"task": task}, deadline=until
    )
    print(f"reviewer: asks for {task}: {id}")
    result = follow(spool, id, timeout=float(limit_s) + SLACK_S)
    if result is None:
        row = spool.sent(id)
        print(f"reviewer: no {task}: {row.outcome or row.state}: {row.note or row.reason or 'no word of it'}")
        return False
    with result:
        return judge(result, task)


def follow(spool: Spool, id: str, *, timeout: float) -> Delivery | None:
    """The result of a request, its progress printed on the way; None where there will be none."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        # Looked at before the mail: a rejection brings none, and all that came before it is read below.
        row = spool.sent(id)
        for message in spool.receive(timeout=0.5):
            if message.type == "result" and message.re == id:
                return message
            with message:
                print(f"reviewer: hears {message.body!r}")
        if row.state is State.DEAD or row.outcome == "rejected":
            return None
    return None


def judge(result: Delivery, task: str) -> bool:
    """Accept what passed; reject the rest, with the last line of its log as the reason."""
    (log,) = result.attachments
    lines = log.read_text(errors="replace").splitlines() or ["nothing"]
    message: Message = result.message
    if message.context.get("verdict") == "passed":
        result.done(note="accepted")
        print(f"reviewer: accepts {task}, {len(lines)} lines of log")
        return True
    result.reject(f"not accepted: {message.body}; the log ends with: {lines[-1][:200]}")
    print(f"reviewer: rejects {message.body}: {lines[-1]}")
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""All points of each story, or of those that are named: `python -m tests.kills consumer serve`.

Ends with 1 where a promise was broken. Late is what took longer than a lease lasts: try it again where
nothing else runs. One point again: `python -m tests.kills consumer --at 37`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.kills.points import Story, Sum, Verdict, every
from tests.kills.stories import STORIES

TELL_EVERY_S: Final = 30.0


def tell(name: str, story: Story, asked: argparse.Namespace) -> Sum:
    """Try the points of a story and print what came of them."""
    begun = told = time.monotonic()
    total = Sum()
    only = asked.at is not None
    try:
        with tempfile.TemporaryDirectory(prefix="kills-") as folder, story(Path(folder)) as stage:
            points = every(stage, step=asked.every, first=asked.first)
            for verdict in [stage.point(asked.at)] if only else points:
                total = total.plus(verdict)
                if verdict.wrong or verdict.late:
                    _cry(name, verdict)
                if only or time.monotonic() - told > TELL_EVERY_S:
                    told = time.monotonic()
                    at = verdict.at or "unharmed"
                    print(f"  {name} k={verdict.kill_at}: {at}, {verdict.met} calls", flush=True)
    finally:
        # Also of a run that is ended before its time.
        print(f"{name}: {_in_words(total)}, {time.monotonic() - begun:.0f} s", flush=True)
    return total


def _cry(name: str, verdict: Verdict) -> None:
    what = "WRONG" if verdict.wrong else "LATE"
    print(f"{what}: {name} k={verdict.kill_at}, killed at: {verdict.at or 'nothing'}")
    for each in verdict.wrong:
        print(f"    {each}")
    print(f"    see it again: python -m tests.kills {name} --at {verdict.kill_at}", flush=True)


def _in_words(total: Sum) -> str:
    return (
        f"{total.tried} points, {total.killed} kills, {total.lost} lost, {total.doubled} doubled,"
        f" {total.wrong} points with a broken promise, {total.late} late"
    )


def main() -> int:
    """The exit status."""
    asked = _asked()
    # Asked to end, it ends the hosts as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sums = [tell(name, STORIES[name], asked) for name in asked.story or list(STORIES)]
    total = Sum(*(sum(column) for column in zip(*sums, strict=True)))
    print(f"in all: {_in_words(total)}")
    return 1 if total.wrong else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("story", nargs="*", help=", ".join(STORIES))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th call only")
    parser.add_argument("--first", type=int, default=1, metavar="K", help="from this call on")
    parser.add_argument("--at", type=int, metavar="K", help="this call only; 0 kills nothing")
    asked = parser.parse_args()
    if unknown := set(asked.story) - STORIES.keys():
        parser.error(f"no such story: {', '.join(unknown)}; there are {', '.join(STORIES)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())

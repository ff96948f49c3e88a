"""The long run: `python -m tests.machine --minutes 30`. One seed after the other; a failing one is printed
and replays with `--seed N`, and with `--shrink` is made as short as can be."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback
from typing import Final

from tests.machine import paths
from tests.machine.counts import table
from tests.machine.running import STEPS, run

WORLDS: Final = 100
TELL_EVERY_S: Final = 60.0


def main() -> int:
    """Run until the time is up or something is lost; the exit status."""
    asked = _asked()
    begun = told = time.monotonic()
    begins = asked.first if asked.seed is None else asked.seed
    first = begins if begins is not None else secrets.randbits(32)
    for number in range(first, first + (1 if asked.seed is not None else asked.seeds or 2**32)):
        if failed(number, asked):
            print(_sum(begun, number - first + 1), flush=True)
            return 1
        now = time.monotonic()
        if asked.seeds is None and now - begun >= asked.minutes * 60:
            break
        if now - told >= TELL_EVERY_S:
            told = now
            print(f"{(now - begun) / 60:.1f} min, seeds {first} to {number}", flush=True)
    for name, outcome in paths.PATHS.items() if asked.paths and asked.seed is None else ():
        tried = paths.every_step(name, outcome)
        print(f"a crash at every store step, {name}: {tried:,} points", flush=True)
    print(_sum(begun, number - first + 1))
    print("lost: 0, duplicated: 0")
    return 0


def failed(number: int, asked: argparse.Namespace) -> bool:
    """Whether a seed fails; says how, and how to see it again."""
    try:
        run(number, worlds=asked.worlds, steps=asked.steps, shrink=asked.shrink)
    except Exception as exc:  # whatever broke is what this is for
        traceback.print_exception(exc)
        again = f"python -m tests.machine --seed {number} --worlds {asked.worlds} --steps {asked.steps}"
        print(f"FAILED: see it again with `{again}`, shorter with --shrink", file=sys.stderr)
        return True
    return False


def _sum(begun: float, seeds: int) -> str:
    return f"{(time.monotonic() - begun) / 60:.1f} min, {seeds:,} seeds:\n{table()}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--from", dest="first", type=int, help="begin with this one (default: any)")
    parser.add_argument("--seeds", type=int, help="so many, however long that takes")
    parser.add_argument("--no-paths", dest="paths", action="store_false", help="without the fixed stories")
    parser.add_argument("--worlds", type=int, default=WORLDS, help="worlds for each seed (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="rules in each world (%(default)s)")
    parser.add_argument("--shrink", action="store_true", help="make a failure as short as can be")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Put faults into a copy of spool, one at a time, and see that each is found.

`python -m tests.breaks` tries all of them; with names, only those. Ends with 1 where one is not found, or
where spool has changed so that one no longer fits."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from tests.breaks.base import Break
from tests.breaks.catalogue import BREAKS
from tests.breaks.catching import Caught, catch
from tests.breaks.tree import NoLongerFits, broken_copy, copy

# About three minutes on a machine that does nothing else.
SEEDS: Final = 8


def main() -> int:
    """Try what was asked for; the exit status."""
    asked = _asked()
    if asked.list:
        for one in BREAKS.values():
            print(f"{one.name}: {one.why}\n    {', '.join(one.caught_by)}")
        return 0
    breaks = [BREAKS[name] for name in asked.names] or list(BREAKS.values())
    well = asked.unchecked or _is_sound(breaks, asked)
    found = [_is_found(one, asked) for one in breaks]
    print(f"{sum(found)} of {len(found)} breaks were found by all that must find them")
    return 0 if well and all(found) else 1


def _is_found(one: Break, asked: argparse.Namespace) -> bool:
    try:
        with broken_copy(one) as root:
            results = [(what, catch(root, what, seeds=asked.seeds)) for what in asked.tests or one.caught_by]
    except NoLongerFits as exc:
        print(f"{one.name}: no longer fits: {exc}", flush=True)
        return False
    for what, caught in results:
        _tell(one.name, what, caught)
    return all(caught.by is not None for _, caught in results)


def _is_sound(breaks: list[Break], asked: argparse.Namespace) -> bool:
    """Whether the tests pass where nothing is broken: else what they find says nothing."""
    every = {what: None for one in breaks for what in asked.tests or one.caught_by}
    with copy() as root:
        results = {what: catch(root, what, seeds=1) for what in every}
    wrong = {what: caught for what, caught in results.items() if caught.by is not None or caught.trouble}
    for what, caught in wrong.items():
        print(f"NOT SOUND: {what} fails where nothing is broken: {caught.by or caught.trouble}", flush=True)
    return not wrong


def _tell(name: str, what: str, caught: Caught) -> None:
    took = f"in {caught.seconds:.0f} s, {caught.cpu_s:.0f} s of CPU, by {what}"
    if caught.by is not None:
        print(f"{name}: caught {took}: {caught.by}", flush=True)
    else:
        print(f"{name}: NOT CAUGHT {took} {caught.trouble}", flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.breaks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="these instead; `machine` is one of them")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="for the machine (%(default)s)")
    parser.add_argument("--unchecked", action="store_true", help="do not look first that a whole tree passes")
    parser.add_argument("--list", action="store_true", help="say what there is")
    asked = parser.parse_args()
    if unknown := set(asked.names) - BREAKS.keys():
        parser.error(f"no such break: {', '.join(sorted(unknown))}; see --list")
    return asked


if __name__ == "__main__":
    sys.exit(main())

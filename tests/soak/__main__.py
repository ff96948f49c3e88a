"""The soak: `python -m tests.soak --minutes 30 --messages 50000 --faults 500`. Fails where something that is
promised did not hold; `--json` keeps the counts."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.soak.checker import check
from tests.soak.ground import CREW, ground
from tests.soak.report import Report, table
from tests.soak.running import Soak
from tests.victims import mentioning

# A minute, where nothing else is asked for.
MESSAGES: Final = 1670
FAULTS: Final = 17


def main() -> int:
    """Run, check, print; the exit status."""
    asked = _asked()
    seed = asked.seed if asked.seed is not None else secrets.randbits(32)
    wanted = f"{asked.minutes:g} minutes, {asked.messages:,} messages, {asked.faults:,} faults"
    say(f"soak: {wanted}, --seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix="spool-soak-"))
    report = soak(folder, asked, seed)
    print(table(report), flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    if report.failed or asked.keep:
        say(f"ledgers, logs and databases are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if report.failed else 0


def soak(folder: Path, asked: argparse.Namespace, seed: int) -> Report:
    """Run one, and check what it left."""
    seconds = asked.minutes * 60
    with ground(folder, messages=asked.messages, seconds=seconds, crew=asked.crew) as place:
        if place.no_small:
            say(f"NOT TRIED: a full disk: no file system of its own: {place.no_small}")
        run = Soak(place, seed=seed, messages=asked.messages, faults=asked.faults, seconds=seconds, tell=say)
        verdict = check(run.run())
        if asked.keep or verdict.violations:
            place.keep_databases()
    return Report.of(run, verdict, place, seed=seed, left=mentioning(str(folder)))


def say(what: str) -> None:
    """A line, at once."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default: %(default)s)")
    parser.add_argument("--messages", type=int, help=f"how many (default: {MESSAGES:,} a minute)")
    parser.add_argument("--faults", type=int, help=f"how many (default: {FAULTS} a minute)")
    parser.add_argument("--crew", type=int, default=CREW, help="senders, and receivers, of each host")
    parser.add_argument("--seed", type=int, help="deals the same faults out at the same times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the counts there")
    parser.add_argument("--keep", action="store_true", help="keep ledgers, logs and databases")
    asked = parser.parse_args()
    asked.messages = asked.messages or round(asked.minutes * MESSAGES)
    asked.faults = asked.faults or round(asked.minutes * FAULTS)
    return asked


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.run`: measure all rows or some; print the table, write it as JSON and into docs/."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

import msgspec

from bench import machine, pages, tables
from bench.frame import Row
from bench.ground import Ground
from bench.report import Report
from bench.rows import ROWS

RESULTS: Final = Path(__file__).with_name("results.json")


def main() -> int:
    """Measure and tell; 1 where a row failed."""
    given = _parser().parse_args()
    if given.results is not None:
        report = _read(given.results)
    else:
        report = _measured(_chosen(given.row), quick=given.quick, folder=given.folder)
    before = _read(given.before) if given.before else None
    print(tables.plain(report, before))
    if given.write:
        pages.write(report, before)
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--row", default="", help=f"some of: {','.join(row.name for row in ROWS)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    parser.add_argument("--folder", type=Path, help="on which disk; a temporary folder is made in it")
    parser.add_argument("--results", type=Path, help="measure nothing: show what a run wrote into this file")
    parser.add_argument("--before", type=Path, help="the file of an earlier run, shown beside")
    parser.add_argument("--write", action="store_true", help="put the table and picture into docs/")
    return parser


def _chosen(names: str) -> list[Row]:
    wanted = [name for name in names.replace(",", " ").split() if name]
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"bench: no row {unknown[0]!r}; there are: {' '.join(known)}")
    return [known[name] for name in wanted] or list(ROWS)


def _measured(rows: list[Row], *, quick: bool, folder: Path | None) -> Report:
    report = Report(at=time.time(), quick=quick, machine=machine.about(), rows={}, failed={})
    with (
        tempfile.TemporaryDirectory(prefix="spool-bench-", dir=folder) as name,
        Ground(Path(name), quick=quick) as ground,
    ):
        for row in rows:
            began = time.perf_counter()
            print(f"{row.name} …", end="", file=sys.stderr, flush=True)
            _measure(row, ground, report)
            print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr)
            # After each: a run that is broken off has told what it found.
            RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return report


def _measure(row: Row, ground: Ground, report: Report) -> None:
    began = time.perf_counter()
    try:
        found = row.measure(ground)
    except Exception as exc:  # noqa: BLE001  # one row that fails must not cost the others
        report.failed[row.name] = f"{type(exc).__name__}: {exc}"
        traceback.print_exc()
    else:
        seconds = time.perf_counter() - began
        report.rows[row.name] = msgspec.structs.replace(found, seconds=seconds)


def _read(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


if __name__ == "__main__":
    sys.exit(main())

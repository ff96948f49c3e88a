"""Puts what was measured into the documents, between their marks, so that no figure is typed by hand."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Final

from bench import picture, tables
from bench.report import Report

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "performance.md"
PICTURE: Final = DOCS / "performance.svg"
_BEGIN: Final = "<!-- measured: {name} -->"
_END: Final = "<!-- end of what was measured -->"
_BUSY: Final = " **The machine was busy with other work: read the ratios, not the times.**"


def write(report: Report, before: Report | None = None) -> None:
    """Write the page's parts, and the picture where its row was measured."""
    text = PAGE.read_text("utf-8")
    text = _filled(text, "machine", _about(report))
    text = _filled(text, "rows", tables.markdown(report, before))
    PAGE.write_text(text, "utf-8")
    if points := [point for found in report.rows.values() for point in found.points]:
        PICTURE.write_text(picture.drawn(points), "utf-8")


def _about(report: Report) -> str:
    day = dt.datetime.fromtimestamp(report.at, dt.UTC).date().isoformat()
    size = "a tenth of the messages (`QUICK=1`)" if report.quick else "a whole run"
    facts = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    missed = [
        f"{figure.what}" for found in report.rows.values() for figure in found.figures if figure.met is False
    ]
    told = (
        f"Budgets missed in this run: {'; '.join(missed)}." if missed else "Every budget was met in this run."
    )
    busy = _BUSY if float(report.machine["load before"]) > float(report.machine["cores"]) / 2 else ""
    return f"Measured on {day}, {size}: {facts}.{busy}\n\n{told}\n"


def _filled(text: str, name: str, inner: str) -> str:
    begin = _BEGIN.format(name=name)
    found = re.search(f"{re.escape(begin)}\n.*?{re.escape(_END)}", text, re.S)
    if found is None:
        raise ValueError(f"{PAGE.name}: there is no {begin} with its end")
    return f"{text[: found.start()]}{begin}\n\n{inner.strip()}\n\n{_END}{text[found.end() :]}"

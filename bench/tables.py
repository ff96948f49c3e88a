"""The figures as tables: for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.frame import Figure, Limit, Unit
from bench.report import Report
from bench.rows import ROWS

_UNITS: Final[dict[Unit, str]] = {
    "us": "µs", "ms": "ms", "s": "s", "a second": "/s", "%": "%", "MB": "MB", "x": "x"
}  # fmt: skip
_TITLES: Final = ("", "p50", "p99", "yardstick", "ratio", "budget", "", "peak MB", "CPU µs")
_RIGHT: Final = frozenset({1, 2, 4, 7, 8})


def number(value: float | None) -> str:
    """Three digits that count, with commas."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def budget(figure: Figure) -> str:
    """The limits in words: at most, unless it says at least."""
    return ", ".join(_limit(limit, figure.unit) for limit in figure.limits)


def _limit(limit: Limit, unit: Unit) -> str:
    value = f"{limit.value:,.0f}" if limit.value >= 2 else f"{limit.value:g}"
    suffix = "x" if limit.of == "ratio" else _UNITS[unit]
    which = {"median": "", "tail": "p99 ", "ratio": ""}[limit.of]
    return f"{which}{'≥' if limit.least else '≤'} {value} {suffix}"


def cells(figure: Figure) -> list[str]:
    """The columns of a figure; times and rates with their unit."""
    unit, yard = _UNITS[figure.unit], figure.yardstick
    against = ""
    if yard is not None:
        tail = f" / {number(yard.tail)}" if yard.tail is not None else ""
        against = f"{number(yard.median)}{tail} {unit}: {yard.what}"
    met = {None: "", True: "met", False: "MISSED"}[figure.met]
    return [
        figure.what + (f" ({figure.note})" if figure.note else ""),
        f"{number(figure.median)} {unit}",
        f"{number(figure.tail)} {unit}" if figure.tail is not None else "",
        against,
        number(figure.ratio),
        budget(figure),
        met,
        " + ".join(f"{mb:.0f}" for mb in figure.peak_mb.values()),
        number(figure.cpu_us),
    ]


def lines(report: Report, before: Report | None = None) -> Iterator[tuple[str, list[list[str]]]]:
    """The title of each row that was measured, and its lines; with a column of what was before."""
    for row in ROWS:
        if row.name in report.rows:
            found = report.rows[row.name]
            table = [cells(figure) + _then(before, row.name, figure) for figure in found.figures]
            if found.absent:
                table = [[found.absent, *[""] * (len(_TITLES) - 1 + bool(before))]]
            if table:
                yield f"{row.title} (`{row.name}`)", table


def _then(before: Report | None, name: str, figure: Figure) -> list[str]:
    """The column of what was before, where that is asked for."""
    if before is None:
        return []
    figures = before.rows[name].figures if name in before.rows else []
    then = next((old for old in figures if old.what == figure.what), None)
    return [f"{number(then.median)} {_UNITS[then.unit]}" if then else ""]


def titles(before: Report | None) -> list[str]:
    """The heads of the columns."""
    return [*_TITLES, *(["p50 before"] if before else [])]


def plain(report: Report, before: Report | None = None) -> str:
    """For a terminal: wide, aligned."""
    found = list(lines(report, before))
    heads = titles(before)
    rows = [cells for _, table in found for cells in table]
    widths = [max([len(head), *(len(row[n]) for row in rows)]) for n, head in enumerate(heads)]
    said = [_aligned(heads, widths)]
    for title, table in found:
        said += ["", title, *(_aligned(row, widths) for row in table)]
    said += [f"\n{name}: FAILED: {why}" for name, why in report.failed.items()]
    said.append(f"\n{', '.join(f'{key} {value}' for key, value in report.machine.items())}")
    return "\n".join(said)


def _aligned(row: list[str], widths: list[int]) -> str:
    placed = (
        cell.rjust(width) if n in _RIGHT else cell.ljust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(placed).rstrip()


def markdown(report: Report, before: Report | None = None) -> str:
    """One table for each row, with a heading."""
    heads = titles(before)
    marks = ["--:" if n in _RIGHT else "---" for n in range(len(heads))]
    said: list[str] = []
    for title, table in lines(report, before):
        said += [f"### {title}", "", _piped(heads), _piped(marks), *map(_piped, table), ""]
    return "\n".join(said)


def _piped(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"

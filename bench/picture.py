"""The picture: two panels over the size of a batch, a line for each round trip time. Plain SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

from bench.frame import Point

WIDTH: Final = 920
HEIGHT: Final = 400
_COLOURS: Final = ("#0b6e4f", "#1f77b4", "#d17a00", "#b5179e", "#555555")
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}"
    ".grid{stroke:#ddd}.axis{stroke:#444}.line{fill:none;stroke-width:2.2}"
)


class Panel(NamedTuple):
    """Where it stands and what it shows; both axes are logarithmic."""

    left: int
    top: int
    width: int
    height: int
    title: str
    unit: str
    value: Callable[[Point], float]


_LATENCY: Final = Panel(
    64, 52, 360, 270, "Latency: one batch, to the far disk", "ms", lambda point: point.latency_ms
)
_RATE: Final = Panel(
    520,
    52,
    360,
    270,
    "Throughput: batches without a pause",
    "messages a second",
    lambda point: point.a_second,
)


def drawn(points: Sequence[Point]) -> str:
    """The whole picture as text of an SVG file."""
    trips = sorted({point.round_trip_ms for point in points})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Latency and throughput by batch size and round trip time</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for panel in (_LATENCY, _RATE):
        parts += _panel(panel, points, trips)
    return "\n".join([*parts, *_legend(trips), "</svg>"]) + "\n"


def _panel(panel: Panel, points: Sequence[Point], trips: Sequence[float]) -> list[str]:
    sizes = sorted({point.batch for point in points})
    values = [panel.value(point) for point in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    span = math.log10(sizes[-1] / sizes[0]) or 1.0

    def across(size: float) -> float:
        return panel.left + panel.width * math.log10(size / sizes[0]) / span

    def up(value: float) -> float:
        return panel.top + panel.height * (1 - (math.log10(value) - low) / (high - low))

    bottom, right = panel.top + panel.height, panel.left + panel.width
    parts = [
        _text(panel.left, panel.top - 26, panel.title, "start", "title"),
        _text(panel.left, panel.top - 9, panel.unit, "start"),
        _text((panel.left + right) / 2, bottom + 38, "messages in a batch", "middle"),
    ]
    for power in range(low, high + 1):
        parts.append(_line(panel.left, up(10**power), right, up(10**power), "grid"))
        parts.append(_text(panel.left - 8, up(10**power) + 4, f"{10**power:,g}", "end"))
    for size in sizes:
        parts.append(_line(across(size), panel.top, across(size), bottom, "grid"))
        parts.append(_text(across(size), bottom + 18, f"{size:,}", "middle"))
    parts.append(_line(panel.left, panel.top, panel.left, bottom, "axis"))
    parts.append(_line(panel.left, bottom, right, bottom, "axis"))
    for trip, colour in zip(trips, _COLOURS, strict=False):
        line = sorted((p.batch, panel.value(p)) for p in points if p.round_trip_ms == trip)
        path = " ".join(f"{across(size):.1f},{up(value):.1f}" for size, value in line)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        parts += [
            f'<circle cx="{across(size):.1f}" cy="{up(value):.1f}" r="3.5" fill="{colour}">'
            f"<title>{value:,.1f} {escape(panel.unit)}</title></circle>"
            for size, value in line
        ]
    return parts


def _legend(trips: Sequence[float]) -> list[str]:
    parts = [_text(64, HEIGHT - 12, "round trip:", "start")]
    for n, (trip, colour) in enumerate(zip(trips, _COLOURS, strict=False)):
        left = 150 + 120 * n
        parts.append(f'<rect x="{left}" y="{HEIGHT - 22}" width="22" height="10" fill="{colour}"/>')
        name = "loopback" if not trip else f"{trip:g} ms"
        parts.append(_text(left + 28, HEIGHT - 12, name, "start"))
    return parts


def _text(x: float, y: float, said: str, anchor: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(said)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

"""The rows of the benchmark, one family in a module, in the order in which they are measured."""

from __future__ import annotations

from typing import Final

from bench.frame import Row
from bench.rows import (
    attached,
    command,
    curves,
    folders,
    growth,
    links,
    many_peers,
    mosquitto,
    nncp,
    programs,
    quiet,
    scripts,
    sending,
    throughput,
    webhook,
)

_FAMILIES: Final = (
    sending,
    links,
    webhook,
    throughput,
    programs,
    folders,
    command,
    quiet,
    many_peers,
    attached,
    growth,
    curves,
    scripts,
    nncp,
    mosquitto,
)
ROWS: Final[tuple[Row, ...]] = tuple(row for family in _FAMILIES for row in family.ROWS)

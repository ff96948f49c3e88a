"""What one run found, as it is written to a file."""

from __future__ import annotations

import msgspec

from bench.frame import Found


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by name. `machine` says what it was measured on, `failed` why a row has no figures."""

    at: float
    quick: bool
    machine: dict[str, str]
    rows: dict[str, Found]
    failed: dict[str, str]

"""The list of filled fields that comes with a message: what of it is believed."""

from __future__ import annotations

import msgspec
import pytest

from spool.message import parse


@pytest.mark.parametrize("lie", ["body", "context", "to", "amount"])
def test_a_field_that_no_spool_fills_in_counts_in_the_digest(lie: str) -> None:
    """Else a second message with the id of the first would pass for a copy of it."""
    head = {"id": "m1", "timestamp": "2026-01-02T03:04:05Z", "from": "nia", "to": "fay", "subject": "pay"}
    values = {
        "body": ("1", "1000"),
        "context": ({"n": 1}, {"n": 2}),
        "to": ("fay", "fay@far"),
        "amount": (1, 2),
    }
    one, other = (
        parse(msgspec.json.encode({**head, lie: value}), filled=[lie, "timestamp", "x" * 100])
        for value in values[lie]
    )

    assert one.digest != other.digest
    assert one.filled == ("timestamp",)

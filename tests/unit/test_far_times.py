"""Times by the clocks of other hosts."""

from __future__ import annotations

from spool.message import format_time


def test_a_time_that_no_calendar_has_is_written_as_the_nearest_one() -> None:
    """A far clock may say anything; what it said must not break `spool trace`."""
    assert format_time(1e300) == "9999-12-31T23:59:59.000Z"
    assert format_time(-1e300) == "0001-01-01T00:00:00.000Z"

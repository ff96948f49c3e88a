"""What GitHub's headers say of how much more it takes, whatever this host's clock says."""

from __future__ import annotations

import pytest

from spool.transports.github.answers import Comment, rate_of, wait_of

DATE = "Thu, 13 Nov 2025 10:30:45 GMT"
THEN = 1763029845.0


@pytest.mark.parametrize("now", [THEN, THEN + 86_400.0, 0.0])
def test_a_reset_counts_from_githubs_clock(now: float) -> None:
    """A host an hour ahead must not ask on before it is time."""
    headers = {
        "x-ratelimit-remaining": "3",
        "x-ratelimit-limit": "5000",
        "x-ratelimit-reset": str(int(THEN) + 60),
        "date": DATE,
    }
    rate = rate_of(headers, now=now)
    assert rate is not None
    assert (rate.left, rate.limit, rate.reset_at) == (3, 5000, now + 60.0)


@pytest.mark.parametrize("left", ["-1", "nan", "1e9", "", "x"])
def test_headers_that_say_no_number_say_nothing(left: str) -> None:
    """A proxy between may write anything."""
    assert rate_of({"x-ratelimit-remaining": left, "x-ratelimit-reset": "5"}, now=1.0) is None


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 13 Nov 2025 10:31:45 GMT", 60.0),
        (DATE, 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(told: str, seconds: float | None) -> None:
    """RFC 9110 knows both."""
    assert wait_of({"retry-after": told, "date": DATE}, now=5.0) == seconds


def test_the_issue_of_a_comment_is_in_its_address() -> None:
    """The list of a whole repository says it nowhere else."""
    assert Comment(1, issue_url="https://api.github.com/repos/o/r/issues/12").number == 12
    assert Comment(1, issue_url="https://evil.example/").number == 0

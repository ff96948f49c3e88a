"""What GitHub answers, as far as spool reads it; and what its headers say of how much more it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import msgspec

_ISSUE_URL: Final = re.compile(r".*/issues/(\d{1,18})")


class User(msgspec.Struct, frozen=True):
    """An account."""

    login: str = ""


class Label(msgspec.Struct, frozen=True):
    """A label of an issue."""

    name: str = ""


class Permissions(msgspec.Struct, frozen=True):
    """What the token's account may do with a repository."""

    pull: bool = False
    triage: bool = False
    push: bool = False


class About(msgspec.Struct, frozen=True):
    """A repository."""

    full_name: str
    has_issues: bool = True
    archived: bool = False
    permissions: Permissions | None = None


class Issue(msgspec.Struct, frozen=True):
    """An issue; times as RFC 3339."""

    number: int
    title: str = ""
    body: str | None = None
    state: str = "open"
    state_reason: str | None = None
    user: User | None = None
    labels: list[Label | str] = []
    html_url: str = ""
    created_at: str = ""
    updated_at: str = ""
    closed_by: User | None = None
    pull_request: msgspec.Raw = msgspec.Raw()

    @property
    def login(self) -> str:
        """Who wrote it."""
        return self.user.login if self.user else ""

    def has_label(self, name: str) -> bool:
        """Whether it has a label, whatever its case."""
        names = (each if isinstance(each, str) else each.name for each in self.labels)
        return name.lower() in (each.lower() for each in names)


class Comment(msgspec.Struct, frozen=True):
    """A comment on an issue."""

    id: int
    body: str | None = None
    user: User | None = None
    issue_url: str = ""
    html_url: str = ""
    created_at: str = ""
    updated_at: str = ""

    @property
    def login(self) -> str:
        """Who wrote it."""
        return self.user.login if self.user else ""

    @property
    def number(self) -> int:
        """The issue it is on; 0 where that is not said."""
        found = _ISSUE_URL.fullmatch(self.issue_url)
        return int(found[1]) if found else 0


class Trouble(msgspec.Struct, frozen=True):
    """An answer that is none: what it says, for people."""

    message: str = ""
    errors: Any = None


class Rate(NamedTuple):
    """How many requests are left of so many until `reset_at`, in seconds since the epoch by this clock."""

    left: int
    limit: int
    reset_at: float


def rate_of(headers: Mapping[str, str], *, now: float) -> Rate | None:
    """What the headers of an answer say of the primary limit; None where they say nothing.

    GitHub's clock is taken from the answer: this host's may be wrong.
    """
    left, limit, reset = (
        _number(headers.get(f"x-ratelimit-{key}")) for key in ("remaining", "limit", "reset")
    )
    if left is None or reset is None:
        return None
    return Rate(int(left), int(limit or 0), now + max(0.0, reset - _date(headers, now)))


def wait_of(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it is missing or absurd."""
    told = headers.get("retry-after", "").strip()
    if (seconds := _number(told)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(told).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, at - _date(headers, now))


def ahead_of(headers: Mapping[str, str], *, now: float) -> float:
    """By how many seconds GitHub's clock is ahead of this one; 0 where it does not say."""
    return _date(headers, now) - now


def _number(text: str | None) -> float | None:
    # No sign, no exponent, no nan: float() takes them all.
    return float(text) if text is not None and re.fullmatch(r"\d{1,12}", text.strip()) else None


def _date(headers: Mapping[str, str], now: float) -> float:
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return now

"""The messages that are measured: about 1 KB each."""

from __future__ import annotations

from typing import Final

from spool import Spool

BODY: Final = "x" * 800


def send(spool: Spool, to: str = "bo") -> str:
    """Send one and return its id."""
    return spool.send(to, subject="bench", body=BODY)


def batch(count: int, to: str = "bo") -> list[dict[str, str]]:
    """Some for `send_many`."""
    return [{"to": to, "subject": "bench", "body": BODY}] * count

"""How agents stand, in columns: what is under each peer of `status` and `peer list`, and `agent list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spool.cli import screen
from spool.looking import ago
from spool.message import parse_time
from spool.whereabouts import Standing, counts


def under(standings: Sequence[dict[str, Any]], *, now: float, indent: str, title: str) -> list[str]:
    """The agents of one peer that something is known of: a line that says when that was told, then each."""
    known = [view for view in standings if view["last_heard"] or view["told_at"]]
    if not known:
        return []
    told = next((view["told_at"] for view in known if view["told_at"]), None)
    age = "" if told is None else f", as told {_ago(told, now)} ago"
    rows = [(view["name"], heard(view, now), _counts(view)) for view in known]
    return [f"{indent}{title}{age}", *screen.report(rows, indent=f"{indent}  ")]


def heard(view: dict[str, Any], now: float) -> str:
    """When an agent was last heard of, in words."""
    return "never heard of" if view["last_heard"] is None else f"heard {_ago(view['last_heard'], now)} ago"


def _counts(view: dict[str, Any]) -> str:
    live, oldest = view["sessions"], view["oldest_unread_s"]
    return counts(Standing(view["name"], unread=view["unread"], oldest_unread_s=oldest, sessions=live))


def here(standings: Sequence[Standing], *, now: float) -> list[str]:
    """The agents of this host."""
    return screen.listing([(each.name, heard(each.view(), now), counts(each)) for each in standings])


def _ago(text: str, now: float) -> str:
    return ago(now - parse_time("at", text))

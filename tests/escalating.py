"""A host that escalates, for tests: its rules run by hand, at a time that is turned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from spool import escalating, escalations
from spool.api import Spool
from spool.notices import Notice
from spool.store.base import Escalation
from tests.desk import PEERS, Turned, clocked, make_home

ROAD = "road"
ROADS = f"""{PEERS}
[peers.{ROAD}]
url = "github://owner/repo"
agents = ["human"]
direction = "here-to-there"
"""


def rules(**more: Any) -> str:
    """An `[escalation]` that names the road."""
    given = {"peer": ROAD, **more}
    lines = [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in given.items()]
    return "\n".join(["", "[escalation]", *lines, ""])


def escalating_host(folder: Path, now: Turned, **more: Any) -> Spool:
    """A home with the agents `me` and `you`, two peers that nobody reaches, and a road."""
    return clocked(make_home(folder, "me", "you", peers=ROADS + rules(**more)), now, agent="me")


def look(spool: Spool, now: Turned, *, after_s: float = 0.0) -> list[Escalation]:
    """Run the rules `after_s` later; what is open then."""
    now.at += after_s
    escalating.run(spool.store, spool.config, spool.home, now=now.at)
    return spool.escalated()


def ids(found: list[Escalation]) -> list[str]:
    return [each.id for each in found]


def rules_of(told: Escalation) -> list[str]:
    return [reason.rule for reason in told.reasons]


def escalation(spool: Spool, id: str, *, sender: str = "me") -> Escalation:
    """The one of a message, resolved or not."""
    with spool.store.read() as tx:
        found = tx.escalations.get(id, sender)
    assert found is not None, f"{id} is not escalated"
    return found


def notices(spool: Spool, now: Turned) -> list[Notice]:
    """What the road is given to tell."""
    return escalations.notices(spool.store, "here", ROAD, now=now.at)


def tell(spool: Spool, now: Turned, *, number: int = 7) -> list[Notice]:
    """The road tells all it is given; what that was."""
    told = notices(spool, now)
    for notice in told:
        url = f"https://github.com/owner/repo/issues/{number}"
        escalations.posted(
            spool.store, "here", ROAD, notice, number=notice.number or number, url=url, now=now.at
        )
    return told

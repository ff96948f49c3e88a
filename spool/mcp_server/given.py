"""What callers give, in the words of spool: priorities, times, ids."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from spool.errors import AmbiguousId, BadMessage, NotFound
from spool.lengths import length_s
from spool.looking import CITATION
from spool.mcp_server.seat import Sitting
from spool.message import format_time, parse_time
from spool.store.base import Incoming, Outgoing

_PRIORITIES: Final = {"urgent": "P0", "high": "P1", "normal": "P2", "low": "P3"}
MOST_RECIPIENTS: Final = 20
MOST_ENDED: Final = 50


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Priority = Literal["low", "normal", "high", "urgent", "P0", "P1", "P2", "P3"]
Texts = Annotated[list[str], BeforeValidator(_as_list)]
Time = Annotated[str, Field(description="RFC 3339, or 30m, 2h, 1d")]


def priority(given: str | None) -> str | None:
    """P0 to P3; `urgent` is P0, `low` is P3."""
    return None if given is None else _PRIORITIES.get(given, given)


def ahead(name: str, given: str | None) -> str | None:
    """A time to come as RFC 3339; one that was given so is kept as it is. Raises BadMessage."""
    if given is None:
        return None
    if (seconds := length_s(given)) is not None:
        return format_time(time.time() + seconds)
    _moment(name, given)
    return given


def past(name: str, given: str | None) -> float | None:
    """A time that has passed, in seconds since the epoch. Raises BadMessage."""
    if given is None:
        return None
    if (seconds := length_s(given)) is not None:
        return time.time() - seconds
    return _moment(name, given)


def own_id(agent: str, key: str, n: int) -> str:
    """The id of the n-th message sent under a key: the same call again makes the same one."""
    digest = hashlib.sha256(f"{agent}\0{key}\0{n}".encode()).hexdigest()
    return f"key-{digest[:32]}"


def whole_id(sitting: Sitting, given: str) -> str:
    """The id that a shortened one or a citation means; one that is not here is taken as it is."""
    try:
        sent, received = sitting.spool.find(given)
    except NotFound:
        return given.removeprefix(CITATION)
    row = received or sent
    assert row is not None
    return row.id


def own(sitting: Sitting, id: str) -> Incoming | Outgoing:
    """A message that this agent was sent or has sent, live or archived.

    Raises:
        NotFound: none, or one between others. AmbiguousId: a short id fits several.
    """
    with contextlib.suppress(NotFound):
        return sitting.spool.received(id, agent=sitting.agent)
    with contextlib.suppress(NotFound):
        return own_sent(sitting, id)
    raise NotFound(
        f"no message {id[:80]} that {sitting.agent} was sent or has sent",
        hint="check_inbox and search_messages list them",
        id=id[:80],
    )


def own_sent(sitting: Sitting, id: str) -> Outgoing:
    """A message that this agent has sent. Raises as `own`."""
    row = sitting.spool.sent(id)
    if row.sender != sitting.agent or row.origin is not None:
        raise NotFound(f"no message {row.id} of {sitting.agent}", id=row.id)
    return row


def all_own(sitting: Sitting, ids: list[str]) -> list[Incoming]:
    """Messages for this agent; all of them, or an error that names each that is none."""
    found, missing = [], []
    for id in ids:
        try:
            found.append(sitting.spool.received(id, agent=sitting.agent))
        except (NotFound, AmbiguousId, BadMessage):
            missing.append(id[:80])
    if missing:
        raise NotFound(
            f"not addressed to {sitting.agent}, or unknown: {', '.join(missing)}; nothing was done"
        )
    return found


def _moment(name: str, given: str) -> float:
    try:
        return parse_time(name, given)
    except BadMessage as exc:
        raise BadMessage(
            name, f"{given[:40]!r} is no time", hint="write 2025-11-13T11:00:00Z, or 30m, 2h, 1d"
        ) from exc

"""Telling: what a host says of its agents to a peer that may write to them, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from spool import sessions
from spool.config import Peer, matches
from spool.message import NAME
from spool.router import Router
from spool.store.base import Session, Told, Tx, Unread
from spool.transports.frames import AgentNow

# In either direction: a peer is authorised, not trusted.
MOST: Final = 64


def ours(
    patterns: Sequence[str], unread: Iterable[Unread], opened: Iterable[Session], *, now: float
) -> list[AgentNow]:
    """How the agents of this host stand; MOST of them at most, those with unread mail first.

    Args:
        patterns: who reads here. What waits for one that does not any more is not told.
        opened: sessions that have not said that they ended.
    """
    waiting, live = {each.agent: each for each in unread}, sessions.count(opened, now=now)
    names = {name for name in patterns if "*" not in name}
    names |= {name for name in waiting.keys() | live if any(matches(each, name) for each in patterns)}
    chosen = sorted(names, key=lambda name: (name not in waiting, name not in live, name))[:MOST]
    return [_now(name, waiting.get(name), live.get(name, 0), now) for name in chosen]


def _now(name: str, unread: Unread | None, live: int, now: float) -> AgentNow:
    if unread is None:
        return AgentNow(name, 0, sessions=live)
    return AgentNow(name, unread.messages, round(max(0.0, now - unread.oldest_at), 1), live)


def believe(tx: Tx, router: Router, peer: Peer, said: Iterable[AgentNow], *, now: float) -> None:
    """Keep what a peer says of agents that it may speak for, and forget what it said before."""
    told = [
        Told(each.name, each.unread, _age(each), each.sessions, now)
        for each in said
        if NAME.fullmatch(each.name) and router.may_speak(peer, each.name)
    ]
    tx.presence.tell(peer.name, told[:MOST])


def _age(said: AgentNow) -> float | None:
    return None if said.oldest_s is None or not said.unread else max(0.0, said.oldest_s)

"""Whereabouts: when an agent was last heard of and what waits for it, as far as this host was told."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from spool.config import Peer, matches
from spool.desk import Desk
from spool.looking import ago
from spool.message import format_time
from spool.router import Router
from spool.store.base import Heard, Told

MOST: Final = 64
# What is older than that is worth a word to who writes to the agent.
UNREAD_S: Final = 600.0
SILENT_S: Final = 3600.0
# The age of what came just now is not worth a word.
JUST_S: Final = 60.0
# So long a session that was told of is taken to be there still.
FRESH_S: Final = 300.0


class Standing(NamedTuple):
    """How an agent stands. Times are seconds since the epoch by this host's clock.

    `last_heard` is None where it was never heard of; the counts are as they were at `told_at`, None where
    nobody told them. Of agents here they are known, and `told_at` is now.
    """

    name: str
    last_heard: float | None = None
    heard_what: str | None = None
    unread: int | None = None
    oldest_unread_s: float | None = None
    sessions: int | None = None
    told_at: float | None = None

    def view(self) -> dict[str, Any]:
        """The same as scripts get it, times in RFC 3339."""
        times = {"last_heard": self.last_heard, "told_at": self.told_at}
        return self._asdict() | {key: None if at is None else format_time(at) for key, at in times.items()}


def of_agent(desk: Desk, agent: str, peer: str, *, now: float) -> Standing:
    """How one agent stands, at a peer or, where that is "", here."""
    if peer == "":
        return _here(desk, now, agent).get(agent) or Standing(agent, unread=0, sessions=0, told_at=now)
    with desk.store.read() as tx:
        heard, told = tx.presence.heard(peer, agent), tx.presence.told(peer, agent)
    return _there(agent, next(iter(heard), None), next(iter(told), None))


def of_peer(desk: Desk, peer: Peer, *, now: float) -> list[Standing]:
    """How the agents of a peer stand, by name; of more than MOST, those with unread mail, then those that
    were heard of last. None that it may not speak for any more."""
    with desk.store.read() as tx:
        router = Router(desk.config, tx.peers.all())
        heard = {each.agent: each for each in tx.presence.heard(peer.name)}
        told = {each.agent: each for each in tx.presence.told(peer.name)}
    names = {name for name in router.agents_of(peer) if "*" not in name}
    names |= {name for name in heard.keys() | told.keys() if router.may_speak(peer, name)}
    every = [_there(name, heard.get(name), told.get(name)) for name in names]
    every.sort(key=lambda each: (-(each.unread or 0), -(each.last_heard or 0.0), each.name))
    return sorted(every[:MOST], key=lambda each: each.name)


def of_host(desk: Desk, *, now: float) -> list[Standing]:
    """How those stand who read here, one for each entry of the config; a pattern is all that fit it."""
    every = _here(desk, now)
    return [
        _together(entry, [each for name, each in every.items() if matches(entry, name)], now)
        for entry in desk.config.host.agents
    ]


def recipient(desk: Desk, agent: str, peer: str, *, now: float) -> tuple[dict[str, Any], str | None]:
    """How the one that somebody writes to stands, and what is worth a word of that."""
    standing = of_agent(desk, agent, peer, now=now)
    return standing.view(), warning(desk, standing, peer, now=now)


def warning(desk: Desk, standing: Standing, peer: str, *, now: float) -> str | None:
    """What who writes to an agent should know of it, on one line; None where there is nothing to say."""
    heard = standing.last_heard
    if heard is None and standing.told_at is None and not _could_tell(desk, peer):
        return None
    waits = bool(standing.unread) and (standing.oldest_unread_s or 0.0) > UNREAD_S
    # Somebody new has nothing to be heard of for yet, where its host says that it reads there.
    silent = now - heard > SILENT_S if heard is not None else not _is_told(standing, now)
    if not waits and (not silent or _is_there(standing, now)):
        return None
    last = "has not been heard of yet" if heard is None else f"was last heard of {ago(now - heard)} ago"
    said = "; ".join(filter(None, [f"{standing.name} {last}", counts(standing, "there" if peer else "here")]))
    return said + (f" (as told {ago(now - standing.told_at)} ago)" if peer and standing.told_at else "")


def counts(standing: Standing, place: str = "") -> str:
    """What waits for an agent and who reads as it; empty where that is not known."""
    if standing.unread is None:
        return ""
    where = f" {place}" if place else ""
    unread = f"{standing.unread or 'nothing'} unread{where}"
    if standing.unread and (standing.oldest_unread_s or 0.0) >= JUST_S:
        unread += f", {'the ' if place else ''}oldest {ago(standing.oldest_unread_s or 0.0)}"
    if standing.sessions is None:
        return unread
    live = standing.sessions
    return f"{unread}; {live or 'no'} session{'s' if live > 1 else ''}{where}"


def _could_tell(desk: Desk, peer: str) -> bool:
    """Whether silence means something: scripts say nothing of agents, nor does an unreached host."""
    if peer == "":
        return True
    known = desk.config.peers.get(peer)
    with desk.store.read() as tx:
        mute = known is None or known.is_files or known.is_issues
        return not mute and tx.peers.get(peer).last_contact is not None


def _is_there(standing: Standing, now: float) -> bool:
    return bool(standing.sessions) and _is_told(standing, now)


def _is_told(standing: Standing, now: float) -> bool:
    return standing.told_at is not None and now - standing.told_at < FRESH_S


def _there(name: str, heard: Heard | None, told: Told | None) -> Standing:
    standing = Standing(name) if heard is None else Standing(name, heard.at, heard.what)
    if told is None:
        return standing
    return standing._replace(
        unread=told.unread, oldest_unread_s=told.oldest_s, sessions=told.sessions, told_at=told.at
    )


def _here(desk: Desk, now: float, agent: str | None = None) -> dict[str, Standing]:
    """Every agent of this host that something is known of, or one of them."""
    with desk.store.read() as tx:
        heard = {each.agent: each for each in tx.presence.heard("", agent)}
        unread = {each.agent: each for each in tx.inbox.unread_each(agent)}
        opened = tx.sessions.open(agent)
    from spool import sessions

    live = sessions.count(opened, now=now)
    found: dict[str, Standing] = {}
    for name in heard.keys() | unread.keys() | live.keys():
        last, waiting = heard.get(name), unread.get(name)
        found[name] = Standing(
            name,
            last_heard=last.at if last else None,
            heard_what=last.what if last else None,
            unread=waiting.messages if waiting else 0,
            oldest_unread_s=round(max(0.0, now - waiting.oldest_at), 1) if waiting else None,
            sessions=live.get(name, 0),
            told_at=now,
        )
    return found


def _together(entry: str, found: list[Standing], now: float) -> Standing:
    heard = [each for each in found if each.last_heard is not None]
    last = max(heard, key=lambda each: each.last_heard or 0.0, default=Standing(entry))
    return Standing(
        entry,
        last_heard=last.last_heard,
        heard_what=last.heard_what,
        unread=sum(each.unread or 0 for each in found),
        oldest_unread_s=max((each.oldest_unread_s or 0.0 for each in found if each.unread), default=None),
        sessions=sum(each.sessions or 0 for each in found),
        told_at=now,
    )

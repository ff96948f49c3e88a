"""Where an address lies: an agent of this host, or the peer that is the next hop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from spool.config import Config, Peer, is_pattern, matches, near_names, overlap
from spool.errors import NoRoute
from spool.message import split_address
from spool.store.base import PeerRow

# As many answers are remembered: a peer that may speak for a pattern could make up names for ever.
MANY: Final = 4096


class Route(NamedTuple):
    """The next hop: `peer` is "" where `agent` lives on this host."""

    peer: str
    agent: str


class Router:
    """The addresses this host knows: from the config, and from what peers said of themselves.

    Args:
        config: this host's config.
        rows: what is known of the peers; a peer without agents in the config has those that its
            hello named, as far as nobody else has them.
    """

    def __init__(self, config: Config, rows: Mapping[str, PeerRow]) -> None:
        self._config = config
        self._far_hosts = {name: row.far_host for name, row in rows.items() if row.far_host}
        self._patterns: dict[str, str] = {}
        for peer in config.peers.values():
            for pattern in peer.may_send:
                self._patterns[pattern] = peer.name
        # A batch asks the same for each of its messages.
        self._routes: dict[str, Route] = {}
        self._speakers: dict[tuple[str, str], bool] = {}
        self._told: dict[str, tuple[str, ...]] = {}
        for peer in config.peers.values():
            if not peer.agents and peer.name in rows:
                self._told[peer.name] = self._free(rows[peer.name].far_agents)
                self._patterns.update(dict.fromkeys(self._told[peer.name], peer.name))

    def resolve(self, to: str) -> Route:
        """The next hop for an address.

        Raises:
            BadMessage: not an address.
            NoRoute: nobody's; near names are in the message.
        """
        if (known := self._routes.get(to)) is None:
            known = self._resolve(to)
            if len(self._routes) < MANY:
                self._routes[to] = known
        return known

    def _resolve(self, to: str) -> Route:
        agent, host = split_address(to)
        if host is not None:
            return self._at_host(agent, host, to)
        if self.is_local(agent):
            return Route("", agent)
        if (peer := self._best(agent)) is not None:
            return Route(peer, agent)
        near = near_names(agent, [*self._config.host.agents, *self._patterns])
        raise NoRoute(
            f"nobody here or on a peer is called {agent!r}" + (f"; near: {near}" if near else ""),
            hint="`spool peer list` shows who can be reached",
        )

    def is_local(self, agent: str) -> bool:
        """Whether an agent of this name reads here."""
        return any(matches(pattern, agent) for pattern in self._config.host.agents)

    def may_speak(self, peer: Peer, sender: str) -> bool:
        """Whether a message `from` this agent may come from `peer`."""
        if (known := self._speakers.get((peer.name, sender))) is None:
            patterns = self._spoken_for(peer)
            known = any(matches(pattern, sender) for pattern in patterns)
            if len(self._speakers) < MANY:
                self._speakers[peer.name, sender] = known
        return known

    def _spoken_for(self, peer: Peer) -> tuple[str, ...]:
        if self._config.escalation is not None and peer.name == self._config.escalation.peer:
            # What is escalated by any other host comes this way, and so do the answers to what is from here.
            return tuple(self._patterns)
        return (*peer.may_send, *self._told.get(peer.name, ()))

    def agents_of(self, peer: Peer) -> tuple[str, ...]:
        """Who can be reached at a peer."""
        return (*peer.agents, *self._told.get(peer.name, ()))

    def _free(self, told: list[str]) -> tuple[str, ...]:
        # A peer cannot talk itself into somebody else's name, nor into a pattern that covers one.
        taken = [*self._patterns, *self._config.host.agents]
        return tuple(
            name for name in told if is_pattern(name) and not any(overlap(name, other) for other in taken)
        )

    def _best(self, agent: str) -> str | None:
        found = [pattern for pattern in self._patterns if matches(pattern, agent)]
        if not found:
            return None
        best = max(found, key=lambda pattern: ("*" not in pattern, len(pattern.split("*")[0])))
        return self._patterns[best]

    def _at_host(self, agent: str, host: str, to: str) -> Route:
        if host == self._config.host.name:
            if self.is_local(agent):
                return Route("", agent)
            raise NoRoute(f"{agent!r} does not read on this host", hint="`spool agent list` shows who does")
        names = [name for name, far in self._far_hosts.items() if far == host and name in self._config.peers]
        if host in self._config.peers:
            return Route(host, agent)
        if len(names) > 1:
            raise NoRoute(
                f"{to}: {' and '.join(sorted(names))} both say that they are the host {host!r}",
                hint="name the peer: agent@peer",
            )
        if names:
            return Route(names[0], agent)
        near = near_names(host, [*self._config.peers, *self._far_hosts.values()])
        raise NoRoute(
            f"{to}: no peer is or has the host {host!r}" + (f"; near: {near}" if near else ""),
            hint="`spool peer list` shows the peers of this host",
        )

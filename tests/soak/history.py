"""The facts of a soak, found by message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from tests.soak.facts import Act, Facts, HostFacts, In, Key, Out

MEANS: Final = {"unread": "received", "read": "read", "done": "done"}


class History:
    """What is known of each message.

    Attributes:
        own: the rows of the senders' own hosts. relayed: those of hosts between, with their names.
        inn: the rows of the agents' inboxes, with the names of their hosts.
        acts: the lines of the ledgers by what they say; sent: what a sender was told, by id.
        tried: ids that a sender had chosen before it was told anything.
        acked: ids that the files peer was about to acknowledge.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.agents: Mapping[str, str] = {agent: host.name for host in facts.hosts for agent in host.agents}
        # Rows of the host of the sender, and rows that wait at, or went through, another one.
        self.own: dict[Key, Out] = {}
        self.own_twice: list[tuple[str, Key]] = []
        self.relayed: list[tuple[str, Out]] = []
        self.inn: defaultdict[Key, list[tuple[str, In]]] = defaultdict(list)
        for host in facts.hosts:
            self._index(host)
        self.acts: defaultdict[str, list[Act]] = defaultdict(list)
        for act in facts.acts:
            self.acts[act.what].append(act)
        self.keys: dict[str, Key] = {key.id: key for key in (*self.own, *self.inn)}
        self.sent: dict[str, Act] = {act.id: act for act in self.acts["sent"]}
        self.tried = {act.id for what in ("trying", "writing") for act in self.acts[what]}
        self.at_box = facts.box.inbox | facts.box.done
        self.acked = {act.id for act in self.acts["acking"]}

    def _index(self, host: HostFacts) -> None:
        for row in host.out:
            if row.origin is not None:
                self.relayed.append((host.name, row))
            elif row.key in self.own:
                self.own_twice.append((host.name, row.key))
            else:
                self.own[row.key] = row
        for got in host.inn:
            self.inn[got.key].append((host.name, got))

    def far_state(self, key: Key, to: str) -> str | None:
        """How far a message really got, in its sender's words; None where it is not there at all."""
        if to.partition("@")[0] == self.facts.box.agent:
            if key.id in self.acked:
                return "done"
            return "received" if key.id in self.at_box else None
        rows = self.inn.get(key)
        return MEANS.get(rows[0][1].state) if rows else None

"""What was promised of each message, and whether two databases keep it after a death, and at rest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from spool.folder import Folder
from tests import databases
from tests.hosts import Host
from tests.kills.points import Gone

_RANK: Final = {"queued": 0, "sent": 1, "received": 2, "read": 3, "done": 4, "dead": 5}
_AT_REST: Final = {
    "is still to be carried": "SELECT id, state, attempts FROM outbox WHERE due IS NOT NULL",
    "is dead": "SELECT id, reason FROM outbox WHERE state = 'dead'",
    "is an ack that was not carried": "SELECT re, status FROM acks",
    "is in the quarantine": "SELECT peer, reason FROM quarantine",
    "is seen and not stored": "SELECT id, digest FROM seen EXCEPT SELECT id, digest FROM inbox",
    "is stored and not seen": "SELECT id, digest FROM inbox EXCEPT SELECT id, digest FROM seen",
    "is a task twice": "SELECT data FROM task GROUP BY data HAVING count(*) > 1",
}


def body_of(subject: str) -> str:
    """The text that a message with this subject has, if it is whole."""
    return f"{hashlib.sha256(subject.encode()).hexdigest()} " * 8


class Truth:
    """What happened around one kill, as somebody who sees both hosts notes it down.

    Attributes:
        promised: each id that a `send()` returned or printed, from which host to which.
        given: how often an agent was given a message.
        wrong: each promise that was broken, in words.
    """

    def __init__(self, promised: dict[str, tuple[Host, Host]]) -> None:
        self.promised = dict(promised)
        self.given: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._furthest: dict[tuple[str, str], str] = {}

    def look(self, *hosts: Host) -> None:
        """Note the states as they are now; none may be behind what it was."""
        for host in hosts:
            for id, state in databases.rows(host.home, "SELECT id, state FROM outbox"):
                before = self._furthest.get((host.name, id), "queued")
                if _RANK[state] < _RANK[before]:
                    self.wrong.append(f"{id} went back from {before} to {state} at {host.name}")
                self._furthest[host.name, id] = state

    def after_a_death(self, *hosts: Host) -> None:
        """What must stand on the disks before anybody mends anything."""
        for host in hosts:
            self._check_database(host)
        for id, (source, target) in self.promised.items():
            out = databases.rows(source.home, "SELECT state FROM outbox WHERE id = ?", id)
            if len(out) != 1:
                self.wrong.append(f"{id} was promised and is {len(out)} times in the outbox of {source.name}")
            elif _RANK[out[0][0]] >= _RANK["received"] and not _stored(target, id):
                self.wrong.append(f"{id} is {out[0][0]} at {source.name} and not stored at {target.name}")

    def at_rest(self, *hosts: Host) -> None:
        """What must be so when everything was carried and read."""
        for host in hosts:
            self._check_database(host)
            self._check_files(host)
            for what, sql in _AT_REST.items():
                self.wrong += [f"{row} {what} at {host.name}" for row in databases.rows(host.home, sql)]
        for id, (source, target) in self.promised.items():
            if (times := _stored(target, id)) != 1:
                self.wrong.append(f"{id} was promised and is {times} times at {target.name}")
            state = databases.one(source.home, "SELECT state FROM outbox WHERE id = ?", id)
            if state != "done":
                self.wrong.append(f"{id} is {state} at {source.name}, and its reader is done with it")

    def check_mail(self, source: Host, target: Host) -> None:
        """Whatever is at the target was sent at the source, is whole, and was given to its agent once."""
        sent = {id for (id,) in databases.rows(source.home, "SELECT id FROM outbox")}
        for id, raw in databases.rows(target.home, "SELECT id, raw FROM inbox"):
            if id not in sent:
                self.wrong.append(f"{id} is at {target.name}, and {source.name} never sent it")
            if not whole(raw):
                self.wrong.append(f"{id} is not whole at {target.name}")
            if self.given[id] != 1:
                self.wrong.append(f"{id} was given {self.given[id]} times at {target.name}")

    def counted(self, *hosts: Host) -> Gone:
        """What became of the promised, and of all that is there."""
        stored = Counter(id for host in hosts for (id,) in databases.rows(host.home, "SELECT id FROM inbox"))
        lost = sum(stored[id] == 0 for id in self.promised)
        return Gone(lost, sum(max(stored[id], self.given[id]) > 1 for id in stored))

    def _check_database(self, host: Host) -> None:
        found = databases.one(host.home, "PRAGMA integrity_check")
        if found != "ok":
            self.wrong.append(f"the database of {host.name}: {found}")
        for id, raw in databases.rows(host.home, "SELECT id, raw FROM outbox"):
            if not whole(raw):
                self.wrong.append(f"{id} is not whole in the outbox of {host.name}")

    def _check_files(self, host: Host) -> None:
        named = "SELECT raw FROM inbox"
        for (raw,) in databases.rows(host.home, named):
            for file in json.loads(raw).get("attachments", []):
                self.check_file(Folder(host.home).path(file["sha256"]), file)

    def check_file(self, path: Path, file: dict[str, Any]) -> None:
        """A file that a message names lies there, and is what it is named for."""
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "nothing"
        if found != file["sha256"]:
            self.wrong.append(f"{path}: its message is here, and it is {found}")


def whole(raw: bytes) -> bool:
    """Whether a message has the body that goes with its subject."""
    try:
        said = json.loads(raw)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("body") == body_of(str(said.get("subject")))


def _stored(host: Host, id: str) -> int:
    return int(databases.one(host.home, "SELECT count(*) FROM inbox WHERE id = ?", id))

"""The agents of two hosts while one of them is killed: they send, and are done with whatever comes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests import databases
from tests.hosts import Host
from tests.kills.truth import Truth, body_of

_UNREAD: Final = "SELECT count(*) FROM inbox WHERE state = 'unread' AND agent = ?"


def send(
    truth: Truth, source: Host, target: Host, *, to: str, subject: str, attach: Path | None = None
) -> str:
    """Call `send()` here; what it returned is promised."""
    files = [attach] if attach else []
    with source.api() as spool:
        id = spool.send(to, subject=subject, body=body_of(subject), attach=files)
    truth.promised[id] = (source, target)
    return id


def read_all(truth: Truth, host: Host, agent: str) -> None:
    """Be done with all that is unread; each that was given is noted."""
    if not databases.one(host.home, _UNREAD, agent):
        return
    with host.api(agent) as spool:
        for message in spool.receive(timeout=0.0):
            with message:
                truth.given[message.id] += 1

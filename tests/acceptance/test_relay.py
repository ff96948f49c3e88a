"""Mail between two hosts that know each other only by way of a third, and what the third refuses."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from spool.states import State
from tests.hosts import Host, dials_by_exec, hosts, until
from tests.mail import Stream, linked, rows, serves
from tests.waiting import Background

pytestmark = pytest.mark.timeout(60)


class Line(NamedTuple):
    """`ann` and `cid` dial `hub` and know each other's agents as reached through it."""

    ann: Host
    hub: Host
    cid: Host

    def start(self) -> None:
        """The consumers of the two that dial; the hub needs none."""
        self.ann.start()
        self.cid.start()
        until(lambda: linked(self.hub, "ann") and linked(self.hub, "cid"))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Nothing runs yet."""
    with hosts(tmp_path, ann=["ada", "mallory"], hub=["hal"], cid=["cyd"]) as (ann, hub, cid):
        dials_by_exec(ann, hub, near_agents=["ada"], far_agents=["hal"])
        dials_by_exec(cid, hub, near_agents=["cyd"], far_agents=["hal"])
        ann.peer("hub", via=["cyd", "ghost"])
        cid.peer("hub", via=["ada"])
        yield Line(ann, hub, cid)


def states(host: Host, ids: list[str]) -> set[str]:
    """The states that some messages of a host are in."""
    found = dict(rows(host, "SELECT id, state FROM outbox"))
    return {found[id] for id in ids}


def reason(host: Host, id: str) -> str:
    """Why a message is dead, once it is."""
    with host.api() as spool:
        until(lambda: spool.state(id) is State.DEAD, 10, f"{id} did not die")
        return str(spool.sent(id).reason)


def test_done_comes_back_although_the_hub_dies_again_and_again(line: Line) -> None:
    """Every process of the hub is killed while messages and their acks pass through it."""
    line.start()
    halt = threading.Event()
    taken: list[str] = []

    def reader() -> None:
        with line.cid.api() as spool:
            while not halt.is_set():
                for delivery in spool.receive(timeout=0.2):
                    with delivery:
                        taken.append(delivery.id)

    reading = Background(reader)
    with Stream(line.ann, "cyd", every_s=0.05, agent="ada") as stream:
        for _ in range(3):
            time.sleep(1.5)
            for pid in serves(line.hub):
                os.kill(pid, signal.SIGKILL)
            until(lambda: linked_anew(line), 10)
    try:
        began = time.monotonic()
        until(lambda: states(line.ann, stream.ids) == {"done"}, 20, "some never came to be done")
        print(f"{len(stream.ids)} messages by way of the hub, done {time.monotonic() - began:.1f} s later")
    finally:
        halt.set()
    assert reading.raised() is None

    assert stream.ids == sorted(taken, key=stream.ids.index)
    for host in line:
        assert rows(host, "SELECT reason FROM quarantine") == []
    until(lambda: rows(line.hub, "SELECT 1 FROM acks") == [] == rows(line.cid, "SELECT 1 FROM acks"))
    assert rows(line.cid, "SELECT DISTINCT peer FROM inbox") == [("hub",)]
    with line.ann.api("ada") as spool:
        assert spool.sent(stream.ids[0]).far_host == "cid"


def linked_anew(line: Line) -> bool:
    """Whether two living far ends hold the hub's two links."""
    held = "SELECT count(*) FROM peers WHERE state = 'linked'"
    return len(serves(line.hub)) == 2 and rows(line.hub, held) == [(2,)]


def test_a_hub_that_does_not_relay_says_so(line: Line) -> None:
    """And it reaches the sender as the reason why the message is dead."""
    config = line.hub.home / "spool.toml"
    config.write_text(config.read_text().replace('name = "hub"', 'name = "hub"\nrelay = false'))
    line.start()

    with line.ann.api("ada") as spool:
        id = spool.send("cyd", subject="hello")

    assert "hub does not relay" in reason(line.ann, id)


def test_a_message_is_not_sent_back_where_it_came_from(line: Line) -> None:
    """Each of the two takes the other for the way to `ghost`."""
    line.hub.peer("ann", via=["ghost"])
    line.start()

    with line.ann.api("ada") as spool:
        id = spool.send("ghost", subject="hello")

    assert "loop" in reason(line.ann, id)


def test_a_message_that_nobody_takes_dies_at_its_sender_too(line: Line) -> None:
    """Refused two hosts away."""
    line.hub.peer("cid", via=["ghost"])
    line.start()

    with line.ann.api("ada") as spool:
        id = spool.send("ghost", subject="hello")

    assert "nobody here or on a peer is called 'ghost'" in reason(line.ann, id)


def test_a_peer_speaks_for_its_own_agents_only(line: Line) -> None:
    """A foreign `from` is kept in the quarantine; the sender is told."""
    line.start()

    with line.ann.api("mallory") as spool:
        id = spool.send("hal", subject="hello")

    assert "may not be spoken for" in reason(line.ann, id)
    ((name, peer, why),) = rows(line.hub, "SELECT name, peer, reason FROM quarantine")
    assert (id, "ann") == (name, peer) and "mallory" in why
    assert rows(line.hub, "SELECT 1 FROM inbox") == []

"""Links between two hosts over a real sshd, in good weather: both ways at once, in order, one link."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import (
    BODY,
    Stream,
    assert_once,
    await_stored,
    generation,
    holder,
    latencies,
    linked,
    rows,
    say,
    serves,
)
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(60)

SINGLES = 1000


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host, Sshd]]:
    """`near` dials `far` through an sshd; nothing runs yet."""
    with Sshd(tmp_path / "sshd") as sshd, hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"])
        yield near, far, sshd


def test_the_side_that_cannot_dial_sends_at_once(pair: tuple[Host, Host, Sshd]) -> None:
    """No consumer runs there: the link that the other side opened carries its mail as well."""
    near, far, _ = pair
    near.start()
    until(lambda: linked(far, "near"))

    most_tasks, sent = 0, threading.Event()

    def sample() -> None:
        nonlocal most_tasks
        while not sent.wait(0.003):
            most_tasks = max(most_tasks, rows(far, "SELECT count(*) FROM task")[0][0])

    sampler = threading.Thread(target=sample)
    sampler.start()
    with far.api() as spool:
        ids = [spool.send("nia", subject=str(n), body=BODY) for n in range(SINGLES)]
    sent.set()
    sampler.join()

    await_stored(near, ids)
    until(lambda: rows(far, "SELECT 1 FROM outbox WHERE state <> 'received'") == [])
    assert_once(near, ids)
    assert say(f"{SINGLES} single sends back to back, no consumer", latencies(far, ids)) < 0.5
    assert most_tasks == 1


def test_mail_for_a_peer_that_was_off_comes_in_order(pair: tuple[Host, Host, Sshd]) -> None:
    """The most urgent first, then as sent; the sender's consumer ran all the while."""
    near, far, sshd = pair
    sshd.stop()
    near.start()
    until(lambda: near.log("link.failed") != [])

    with near.api() as spool:
        sent = [
            (priority, n, spool.send("fay", subject=str(n), priority=priority))
            for n in range(15)
            for priority in ("P3", "P1", "P2", "P0")
        ]
    sshd.start()

    await_stored(far, [id for _, _, id in sent])
    order = [id for (id,) in rows(far, "SELECT id FROM inbox ORDER BY seq")]
    assert order == [id for _, _, id in sorted(sent, key=lambda each: each[:2])]


def test_two_consumers_share_one_link(pair: tuple[Host, Host, Sshd]) -> None:
    """Whichever of them takes a task from the queue, the one with the link is woken."""
    near, far, _ = pair
    consumers = [near.start(), near.start()]
    until(lambda: linked(near, "far"))

    with Stream(near, "fay") as there, Stream(far, "nia") as back:
        until(lambda: min(len(there.ids), len(back.ids)) >= 120)
    await_stored(far, there.ids)
    await_stored(near, back.ids)
    until(lambda: rows(near, "SELECT 1 FROM outbox WHERE state <> 'received'") == [])
    until(lambda: rows(far, "SELECT 1 FROM outbox WHERE state <> 'received'") == [])

    assert_once(far, there.ids)
    assert_once(near, back.ids)
    for host, ids, way in ((near, there.ids, "there"), (far, back.ids, "back")):
        halves = latencies(host, ids[::2]), latencies(host, ids[1::2])
        assert say(f"two consumers, {way}, every other one", halves[0]) < 0.5
        assert say(f"two consumers, {way}, the rest", halves[1]) < 0.5
    assert 1 == len(serves(far)) == generation(near, "far")
    assert holder(near, "far") in [consumer.pid for consumer in consumers]

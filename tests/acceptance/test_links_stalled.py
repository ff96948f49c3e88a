"""Peers that stall cost their own mail time, and nobody else's; and the consumer can still be ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import Stream, assert_once, await_known, await_stored, latencies, linked, rows, say
from tests.proxy import FaultProxy
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(90)

STALLED = 4


class Star(NamedTuple):
    """One host that dials five: each by its own sshd, through its own proxy."""

    near: Host
    far: tuple[Host, ...]
    proxies: list[FaultProxy]


@pytest.fixture
def star(tmp_path: Path) -> Iterator[Star]:
    """All five are there, and nothing runs yet."""
    with contextlib.ExitStack() as stack:
        names = {f"far{n}": [f"fay{n}"] for n in range(STALLED + 1)}
        near, *far = stack.enter_context(hosts(tmp_path, near=["nia"], **names))
        proxies = []
        for n, host in enumerate(far):
            sshd = stack.enter_context(Sshd(tmp_path / f"sshd{n}"))
            proxies.append(stack.enter_context(FaultProxy(sshd.port)))
            dials_by_ssh(near, host, sshd, near_agents=["nia"], far_agents=[f"fay{n}"], port=proxies[-1].port)
        yield Star(near, tuple(far), proxies)


def swept_at(host: Host) -> float:
    """When the last sweep was."""
    return float(rows(host, "SELECT value FROM facts WHERE name = 'swept_at'")[0][0])


def test_four_stalled_peers_do_not_slow_the_fifth(star: Star) -> None:
    """Each stands still in the middle of a push; the mail of the fifth and the sweep go on."""
    consumer = star.near.start()
    until(lambda: all(linked(star.near, host.name) for host in star.far))
    *stalled, _ = star.proxies
    sent: dict[str, list[str]] = {}
    for proxy in stalled:
        proxy.stall_after(30_000, "up")
    with star.near.api() as spool:
        for n in range(STALLED):
            body = {"to": f"fay{n}", "subject": "much", "body": "x" * 4000}
            sent[star.far[n].name] = spool.send_many([body] * 300)
    waiting = "SELECT count(*) FROM outbox WHERE peer <> ? AND due IS NOT NULL AND attempts > 0"
    until(lambda: rows(star.near, waiting, star.far[-1].name)[0][0] >= STALLED * 200)

    # The sweep comes every two seconds.
    swept = swept_at(star.near)
    with Stream(star.near, f"fay{STALLED}") as stream:
        until(lambda: swept_at(star.near) > swept + 3)
    await_stored(star.far[-1], stream.ids, 2)
    await_known(star.near, stream.ids, 2)
    assert say("the fifth peer, four stalled", latencies(star.near, stream.ids)) < 0.5
    assert_once(star.far[-1], stream.ids)

    began = time.monotonic()
    assert consumer.stop() == 0
    print(f"ended with four stalled links in {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 10

    for proxy in stalled:
        proxy.resume()
    star.near.start()
    for host in star.far[:STALLED]:
        await_stored(host, sent[host.name], 15)
        assert_once(host, sent[host.name])

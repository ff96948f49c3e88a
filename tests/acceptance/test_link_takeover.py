"""When who holds a link dies, stands still or is cut off, another takes over, and nothing comes twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts import Consumer, Host, dials_by_ssh, hosts, until
from tests.mail import (
    Stream,
    assert_once,
    await_known,
    await_stored,
    generation,
    holder,
    linked,
    serves,
    stopped,
)
from tests.proxy import FaultProxy
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(90)


class Pair(NamedTuple):
    """`near` dials `far` through a proxy that keeps messages in flight, and mail flows both ways."""

    near: Host
    far: Host
    proxy: FaultProxy
    there: Stream
    back: Stream

    def take_over(self, within_s: float, what: str) -> None:
        """Wait for a link that is newer than the first, and say how long that took."""
        began = time.monotonic()
        until(lambda: generation(self.near, "far") > 1 and linked(self.near, "far"), within_s, what)
        until(lambda: generation(self.far, "near") > 1 and linked(self.far, "near"), within_s, what)
        print(f"{what}: {time.monotonic() - began:.1f} s")

    def assert_all_came_once(self, within_s: float) -> None:
        """What was sent up to now, on both sides, is there, and its sender knows."""
        there, back = list(self.there.ids), list(self.back.ids)
        began = time.monotonic()
        await_stored(self.far, there, within_s)
        await_stored(self.near, back, within_s)
        await_known(self.near, there, within_s)
        await_known(self.far, back, within_s)
        print(f"{len(there)} there and {len(back)} back after {time.monotonic() - began:.1f} s")

    def assert_one_link(self) -> None:
        """One far end lives, and the link does not change any more."""
        until(lambda: len(serves(self.far)) == 1, what="more than one far end")
        before = generation(self.near, "far"), generation(self.far, "near")
        time.sleep(2.5)
        assert len(serves(self.far)) == 1
        assert before == (generation(self.near, "far"), generation(self.far, "near"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pair]:
    """Mail flows both ways when the test begins; at its end every message must have come once."""
    with (
        Sshd(tmp_path / "sshd") as sshd,
        FaultProxy(sshd.port, latency_s=0.05) as proxy,
        hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"], port=proxy.port)
        with Stream(near, "fay") as there, Stream(far, "nia") as back:
            near.start()
            until(lambda: linked(near, "far") and linked(far, "near"))
            until(lambda: min(len(there.ids), len(back.ids)) >= 20)
            yield Pair(near, far, proxy, there, back)
        await_stored(far, there.ids)
        await_stored(near, back.ids)
        assert_once(far, there.ids)
        assert_once(near, back.ids)


def first_of_two(pair: Pair) -> tuple[Consumer, Consumer]:
    """The consumer that holds the link, and another one that waits beside it."""
    other = pair.near.start()
    until(lambda: any(event["pid"] == other.pid for event in pair.near.log("consumer.started")))
    (first,) = [each for each in pair.near._consumers if each.pid == holder(pair.near, "far")]
    assert first is not other
    return first, other


def test_a_killed_consumer_is_replaced_by_the_other(running: Pair) -> None:
    """SIGKILL, with messages in flight; what it had leased is free again at once."""
    first, other = first_of_two(running)

    first.kill()

    running.take_over(15, "the other consumer took over after SIGKILL")
    assert other.pid == holder(running.near, "far")
    running.assert_all_came_once(within_s=5)
    running.assert_one_link()


def test_a_consumer_that_stands_still_is_replaced_by_the_other(running: Pair) -> None:
    """SIGSTOP: it is alive, but silent. When it goes on it finds its link taken, and leaves it."""
    first, other = first_of_two(running)

    with stopped(first.pid):
        running.take_over(25, "the other consumer took over after SIGSTOP")
        assert other.pid == holder(running.near, "far")
        running.assert_all_came_once(within_s=5)

    running.assert_one_link()
    assert other.pid == holder(running.near, "far")


def test_a_far_end_that_stands_still_is_replaced(running: Pair) -> None:
    """SIGSTOP of the far `serve`; the dialler hears nothing and dials anew. Continued, the old one ends."""
    (old,) = serves(running.far)

    with stopped(old):
        running.take_over(25, "a new far end took over after SIGSTOP of the old one")
        running.assert_all_came_once(within_s=5)

    until(lambda: not alive(old), 10, "the old far end did not end itself")
    running.assert_one_link()


def test_a_link_that_was_cut_without_a_word_is_replaced(running: Pair) -> None:
    """No RST, no FIN: both ends notice by silence, and the far end of the old link ends too."""
    (old,) = serves(running.far)

    running.proxy.strand()

    running.take_over(25, "a new link took over after a silent cut")
    running.assert_all_came_once(within_s=5)
    until(lambda: not alive(old), 15, "the old far end did not end itself")
    running.assert_one_link()


@pytest.mark.parametrize("cut", ["sshd", "serve", "reset"])
def test_a_link_that_breaks_is_dialled_again_at_once(running: Pair, cut: str) -> None:
    """The session dies, the far end dies, or the connection is reset."""
    (old,) = serves(running.far)
    how: dict[str, Callable[[], None]] = {
        "sshd": lambda: os.kill(parent(old), signal.SIGKILL),
        "serve": lambda: os.kill(old, signal.SIGKILL),
        "reset": running.proxy.reset,
    }

    how[cut]()

    running.take_over(10, f"a new link after the end of one by {cut}")
    running.assert_all_came_once(within_s=5)
    running.assert_one_link()


def parent(pid: int) -> int:
    """The sshd session that runs a far end."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

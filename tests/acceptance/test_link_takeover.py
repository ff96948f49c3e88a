"""When who holds a link dies, stands still or is cut off, another takes over, and nothing comes twice."""

from __future__ import annotations

import contextlib
import datetime as dt
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
    first: Consumer
    there: Stream
    back: Stream

    def take_over(self, since: float, what: str, *, within_s: float) -> None:
        """Wait for a link that is newer than `since`, on both sides; say how long it took."""

        def late_by(host: Host) -> float:
            ups = host.log("link.up")
            return dt.datetime.fromisoformat(ups[-1]["at"]).timestamp() - since if ups else 0.0

        until(lambda: late_by(self.near) > 0 and linked(self.near, "far"), within_s, what)
        until(lambda: late_by(self.far) > 0 and linked(self.far, "near"), within_s, what)
        print(f"{what} {max(late_by(self.near), late_by(self.far)):.1f} s later")

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
        """One far end lives, and the link does not change any more; in the end, all came once."""
        until(lambda: len(serves(self.far)) == 1, what="more than one far end")
        before = generation(self.near, "far"), generation(self.far, "near")
        time.sleep(1.5)
        assert len(serves(self.far)) == 1
        assert before == (generation(self.near, "far"), generation(self.far, "near"))
        self.there.stop()
        self.back.stop()
        self.assert_all_came_once(within_s=5)
        assert_once(self.far, self.there.ids)
        assert_once(self.near, self.back.ids)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Pair]:
    """A pair with mail in flight."""
    with (
        Sshd(folder / "sshd") as sshd,
        FaultProxy(sshd.port, latency_s=0.05) as proxy,
        hosts(folder, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"], port=proxy.port)
        with Stream(near, "fay") as there, Stream(far, "nia") as back:
            pair = Pair(near, far, proxy, near.start(), there, back)
            until(lambda: linked(near, "far") and linked(far, "near"))
            yield pair


def a_second(pair: Pair) -> Consumer:
    """Another consumer beside the one that holds the link; it is running when this returns."""
    second = pair.near.start()
    until(lambda: any(event["pid"] == second.pid for event in pair.near.log("consumer.started")))
    assert pair.first.pid == holder(pair.near, "far")
    return second


class Silent(NamedTuple):
    """Three pairs whose links fell silent at the same moment, each for another reason."""

    since: float
    stopped_consumer: Pair
    second: Consumer
    stopped_serve: Pair
    old_serve: int
    stranded: Pair
    stranded_serve: int

    def take_over(self, pair: Pair, what: str) -> None:
        pair.take_over(self.since, what, within_s=25)
        pair.assert_all_came_once(within_s=5)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silent]:
    """Silence takes seconds to be noticed: all three are waited for side by side."""
    with contextlib.ExitStack() as stack:
        one, two, three = (
            stack.enter_context(running(tmp_path_factory.mktemp(name))) for name in ("one", "two", "three")
        )
        second = a_second(one)
        (old,), (stranded,) = serves(two.far), serves(three.far)
        stack.enter_context(stopped(one.near, one.first.pid))
        stack.enter_context(stopped(two.far, old))
        three.proxy.strand()
        yield Silent(time.time(), one, second, two, old, three, stranded)


def test_a_consumer_that_stands_still_is_replaced_by_the_other(silent: Silent) -> None:
    """SIGSTOP: it is alive, but silent. When it goes on it finds its link taken, and leaves it."""
    pair = silent.stopped_consumer
    silent.take_over(pair, "the second consumer took over from the first that was stopped")
    assert silent.second.pid == holder(pair.near, "far")

    os.kill(pair.first.pid, signal.SIGCONT)

    pair.assert_one_link()
    assert silent.second.pid == holder(pair.near, "far")
    assert pair.first.process.poll() is None


def test_a_far_end_that_stands_still_is_replaced(silent: Silent) -> None:
    """SIGSTOP of the far `serve`; the dialler hears nothing and dials anew. Continued, the old one ends."""
    pair = silent.stopped_serve
    silent.take_over(pair, "a new far end took over from the old one that was stopped")

    os.kill(silent.old_serve, signal.SIGCONT)

    until(lambda: not alive(silent.old_serve), 10, "the old far end did not end itself")
    pair.assert_one_link()


def test_a_link_that_was_cut_without_a_word_is_replaced(silent: Silent) -> None:
    """No RST, no FIN: both ends notice by silence, and the far end of the old link ends too."""
    pair = silent.stranded
    silent.take_over(pair, "a new link took over from the one that was cut in silence")

    until(lambda: not alive(silent.stranded_serve), 15, "the old far end did not end itself")
    pair.assert_one_link()


def test_a_killed_consumer_is_replaced_by_the_other(tmp_path: Path) -> None:
    """SIGKILL, on a line that stalls: what it had leased and could not send is free again at once."""
    with running(tmp_path) as pair:
        second = a_second(pair)
        pair.proxy.strand()
        time.sleep(0.5)

        killed = time.time()
        pair.first.kill()

        pair.take_over(killed, "the second consumer took over from the first that was killed", within_s=15)
        assert second.pid == holder(pair.near, "far")
        pair.assert_all_came_once(within_s=5)
        until(lambda: len(serves(pair.far)) == 1, 15, "the old far end did not end itself")
        pair.assert_one_link()


def test_a_link_that_breaks_is_dialled_again_at_once(tmp_path: Path) -> None:
    """The session dies, the far end dies, or the connection is reset."""
    with running(tmp_path) as pair:
        cuts: dict[str, Callable[[], None]] = {
            "the session was killed": lambda: os.kill(parent(serves(pair.far)[0]), signal.SIGKILL),
            "the far end was killed": lambda: os.kill(serves(pair.far)[0], signal.SIGKILL),
            "the connection was reset": pair.proxy.reset,
        }
        for what, cut in cuts.items():
            since = time.time()
            cut()
            pair.take_over(since, f"{what}; a new link", within_s=10)
            until(lambda: len(serves(pair.far)) == 1, 10, "more than one far end")
        pair.assert_one_link()


def parent(pid: int) -> int:
    """The sshd session that runs a far end."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

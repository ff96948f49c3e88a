"""Where both hosts can dial each other, one link stays, and it stays."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import (
    Stream,
    assert_once,
    await_stored,
    generation,
    linked,
    peer_row,
    serves,
)
from tests.proxy import FaultProxy
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(60)


class Both(NamedTuple):
    """Two hosts that dial each other, by way of a proxy each; `ann` sorts before `bob`."""

    ann: Host
    bob: Host
    to_bob: FaultProxy
    to_ann: FaultProxy

    def linked(self) -> bool:
        return linked(self.ann, "bob") and linked(self.bob, "ann")

    def links(self) -> tuple[int, int]:
        """How many links each side has seen."""
        return len(self.ann.log("link.up")), len(self.bob.log("link.up"))

    def far_ends(self) -> tuple[int, int]:
        """How many far ends live: of bob's links on ann, of ann's links on bob."""
        return len(serves(self.ann)), len(serves(self.bob))


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """Each has an sshd and the other's key there."""
    with contextlib.ExitStack() as stack:
        ann_sshd = stack.enter_context(Sshd(tmp_path / "ann-sshd"))
        bob_sshd = stack.enter_context(Sshd(tmp_path / "bob-sshd"))
        to_bob = stack.enter_context(FaultProxy(bob_sshd.port))
        to_ann = stack.enter_context(FaultProxy(ann_sshd.port))
        ann, bob = stack.enter_context(hosts(tmp_path, ann=["ada"], bob=["ben"]))
        dials_by_ssh(ann, bob, bob_sshd, near_agents=["ada"], far_agents=["ben"], port=to_bob.port)
        dials_by_ssh(bob, ann, ann_sshd, near_agents=["ben"], far_agents=["ada"], port=to_ann.port)
        yield Both(ann, bob, to_bob, to_ann)


def settle_and_watch(both: Both, watch_s: float) -> None:
    """Nothing changes for two seconds; then mail flows both ways, over the one link."""
    began = time.monotonic()
    until(lambda: both.linked() and unchanged(both, 2.0), 25, "it does not settle")
    links, ends = both.links(), both.far_ends()
    print(f"settled within {time.monotonic() - began - 2:.1f} s; links up till then: {links}")
    assert sorted(ends) == [0, 1]
    with (
        Stream(both.ann, "ben", every_s=0.05) as there,
        Stream(both.bob, "ada", every_s=0.05) as back,
    ):
        assert unchanged(both, watch_s)
    await_stored(both.bob, there.ids, 2)
    await_stored(both.ann, back.ids, 2)
    assert_once(both.bob, there.ids)
    assert_once(both.ann, back.ids)


def unchanged(both: Both, for_s: float) -> bool:
    """Whether no link came up and no far end came or went for some time."""
    before = both.links(), both.far_ends()
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        if before != (both.links(), both.far_ends()):
            return False
        time.sleep(0.2)
    return True


@pytest.mark.parametrize("later", ["ann", "bob", "neither"])
def test_of_two_links_at_once_that_of_the_first_name_stays(both: Both, later: str) -> None:
    """Both dial before either link is up; whichever arrives last, each side keeps the same one."""
    both.to_bob.latency_s = 0.15 if later == "ann" else 0.05
    both.to_ann.latency_s = 0.15 if later == "bob" else 0.05

    both.ann.start()
    both.bob.start()
    until(lambda: both.to_bob.connections > 0 and both.to_ann.connections > 0)

    settle_and_watch(both, 8.0 if later == "neither" else 1.0)
    assert both.far_ends() == (0, 1)
    assert peer_row(both.ann, "bob").dialled and not peer_row(both.bob, "ann").dialled
    assert max(both.links()) <= 3


def test_a_link_that_is_up_is_left_alone_by_the_one_who_comes_later(both: Both) -> None:
    """bob's link was there first; ann need not dial, and does when it is gone."""
    bobs = both.bob.start()
    until(both.linked)
    both.ann.start()

    settle_and_watch(both, 1.0)
    assert both.far_ends() == (1, 0)

    before = generation(both.ann, "bob")
    bobs.stop()
    until(lambda: generation(both.ann, "bob") > before and both.far_ends() == (0, 1))

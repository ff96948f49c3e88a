"""Where rows are measured: a folder, an sshd on loopback, and hosts whose links are up."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import delay
from bench.cost import Meter
from spool import Spool
from tests import databases
from tests.hosts import Consumer, Host, dials_by_ssh, hosts, until
from tests.proxy import FaultProxy
from tests.sshd import Sshd

WITHIN_S: Final = 120.0


class Ground:
    """What all rows of one run share: `with Ground(folder, quick=False) as ground`.

    Attributes:
        folder: on the disk that is measured.
        quick: a tenth of the messages.
    """

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self._kept = contextlib.ExitStack()
        self._places = 0

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    @functools.cached_property
    def sshd(self) -> Sshd:
        """One for all rows, started when the first wants it."""
        return self._kept.enter_context(Sshd(self.folder / "sshd"))

    def scaled(self, count: int, *, least: int = 1) -> int:
        """So many, or a tenth of them."""
        return max(count // 10, least) if self.quick else count

    def place(self, name: str) -> Path:
        """A new folder."""
        self._places += 1
        made = self.folder / f"{name}-{self._places}"
        made.mkdir()
        return made

    @contextlib.contextmanager
    def linked(self, name: str, *, latency_s: float = 0.0) -> Iterator[Linked]:
        """`near` with its consumer dials `far`; agents `al` and `bo`. A delay is that of one direction."""
        with (
            delay.proxy(self.sshd.port, latency_s) as port,
            hosts(self.place(name), near=["al"], far=["bo"]) as (near, far),
        ):
            dials_by_ssh(near, far, self.sshd, near_agents=["al"], far_agents=["bo"], port=port)
            yield Linked(near, far, port)

    @contextlib.contextmanager
    def star(self, name: str, far: Sequence[str]) -> Iterator[Star]:
        """A host whose consumer is linked to many peers, the first of them through a proxy.

        Each has an sshd of its own: in one file of keys the first line with near's key would win.
        """
        folder = self.place(name)
        agents = {peer: [peer] for peer in far}
        with contextlib.ExitStack() as kept:
            near, *others = kept.enter_context(hosts(folder, near=["al"], **agents))
            sshds = [kept.enter_context(Sshd(folder / f"sshd-{peer}")) for peer in far]
            proxy = kept.enter_context(FaultProxy(sshds[0].port))
            for host, sshd in zip(others, sshds, strict=True):
                port = proxy.port if sshd is sshds[0] else None
                dials_by_ssh(near, host, sshd, near_agents=["al"], far_agents=[host.name], port=port)
            pid = near.start().pid
            until(lambda: all(near.peer_state(peer) == "linked" for peer in far), within_s=WITHIN_S)
            # Its consumers end before the sshds do: a link that is lost at the end is no figure.
            yield Star(near, pid, proxy)
            near.close()


class Star(NamedTuple):
    """The host in the middle, its consumer's id, and the way to the first peer. An agent at a peer has
    the peer's name."""

    near: Host
    pid: int
    first: FaultProxy


class Linked:
    """Two hosts. `up` starts what carries; without it mail waits.

    Attributes:
        port: where sshd is reached, through the delay where there is one.
    """

    def __init__(self, near: Host, far: Host, port: int) -> None:
        self.near = near
        self.far = far
        self.port = port
        self.consumer: Consumer | None = None

    def up(self) -> None:
        """Start the consumer and wait for the link."""
        self.consumer = self.near.start()
        until(lambda: self.near.peer_state("far") == "linked", within_s=WITHIN_S)
        until(lambda: databases.holder(self.far.home, "near") is not None, within_s=WITHIN_S)

    def down(self) -> None:
        """End the consumer, and with it the far end."""
        self.near.close()
        self.consumer = None
        until(lambda: databases.holder(self.far.home, "near") is None, within_s=WITHIN_S)

    def meter(self, *, sender: bool = True) -> Meter:
        """What carries on both hosts, and this program where it is the sender."""
        assert self.consumer is not None
        held = databases.holder(self.far.home, "near")
        assert held is not None
        pids = {"consumer": self.consumer.pid, "far end": held[1]}
        return Meter({"sender": os.getpid(), **pids} if sender else pids)


def drained(home: Path) -> None:
    """Wait until nothing is left to carry."""
    until(lambda: databases.waiting(home) == 0, within_s=WITHIN_S, what="mail was not carried in time")


def arrivals(spool: Spool, began: Mapping[str, float]) -> list[float]:
    """Seconds from the beginning of each send to the far commit, by one clock: both hosts are this machine.

    Waits for the last; raises AssertionError where one does not arrive.
    """
    return [_arrival(spool, id) - at for id, at in began.items()]


def _arrival(spool: Spool, id: str) -> float:
    until(lambda: spool.sent(id).received_there is not None, within_s=WITHIN_S, what=f"{id} did not arrive")
    at = spool.sent(id).received_there
    assert at is not None
    return at

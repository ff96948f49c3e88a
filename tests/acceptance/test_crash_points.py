"""A process dies with -9 at each point that matters, and what was promised there is kept."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from spool.states import State
from tests import crashing
from tests.databases import one, rows
from tests.hosts import ENV, ROOT, Host, hosts, until

pytestmark = pytest.mark.timeout(60)

# Well under a lease: what a dead process held is not waited for.
SOON_S: Final = 15.0


class Pair(NamedTuple):
    """Two hosts; `near` starts the far end as a child, which dies at `point` if it is the far one's."""

    near: Host
    far: Host
    marker: Path

    def dies_there(self, point: str) -> None:
        """The far end will die at this point, once."""
        serve = ["--home", str(self.far.home), "serve", "--peer", "near"]
        command = ["env", f"PYTHONPATH={ROOT}", *crashing.command(point, self.marker, "serve", *serve)]
        self.near.peer("far", url=f"exec:{shlex.join(command)}", agents=["bob"])
        self.far.peer("near", agents=["alice"])

    @contextlib.contextmanager
    def dies_here(self, point: str, status: int = -signal.SIGKILL) -> Iterator[subprocess.Popen[bytes]]:
        """A near consumer that dies at this point within the block, or ends with `status`."""
        command = crashing.command(point, self.marker, "consumer", str(self.near.home))
        with (self.near.home / "log" / "crashing.out").open("wb") as out:
            process = subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield process
            assert process.wait(20) == status, out.name
        finally:
            process.kill()
            process.wait()

    def send(self, point: str, id: str) -> subprocess.CompletedProcess[str]:
        """Call send() in a process that dies at this point."""
        command = crashing.command(point, self.marker, "send", str(self.near.home), "bob", id)
        return subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=20)

    def state(self, id: str) -> State:
        """How far a message got, as its sender knows."""
        with self.near.api() as spool:
            return spool.state(id)

    def arrives(self, id: str, *, attempts: int | None = None) -> None:
        """It is received soon, stored once, and was on its way `attempts` times."""
        begun = time.monotonic()
        until(lambda: self.state(id) is State.RECEIVED, SOON_S, f"{id} is {self.state(id)}")
        assert time.monotonic() - begun < SOON_S
        assert rows(self.far.home, "SELECT id FROM inbox") == [(id,)]
        assert rows(self.far.home, "SELECT id FROM seen") == [(id,)]
        assert one(self.far.home, "SELECT count(*) FROM quarantine") == 0
        assert attempts in (None, one(self.near.home, "SELECT attempts FROM outbox"))
        for host in (self.near, self.far):
            assert one(host.home, "PRAGMA integrity_check") == "ok"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with hosts(tmp_path, near=["alice"], far=["bob"]) as (near, far):
        made = Pair(near, far, tmp_path / "died")
        made.dies_there("nowhere")
        yield made


def test_dead_before_the_commit_of_send(pair: Pair) -> None:
    """No id, no message; the same call again is the first one."""
    died = pair.send("in the commit", "m-1")

    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "")
    assert one(pair.near.home, "SELECT count(*) FROM outbox") == 0
    assert one(pair.near.home, "SELECT count(*) FROM task") == 0
    assert pair.send("in the commit", "m-1").stdout == "m-1\n"
    pair.near.start()
    pair.arrives("m-1", attempts=1)


def test_dead_between_the_commit_of_send_and_the_bell(pair: Pair) -> None:
    """Nobody rang and nobody saw the id; it goes all the same, and asking again sends it no second time."""
    pair.near.start()
    until(lambda: pair.near.peer_state("far") == "linked")

    died = pair.send("committed, not rung", "m-1")

    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "")
    pair.arrives("m-1", attempts=1)
    assert pair.send("committed, not rung", "m-1").stdout == "m-1\n"
    pair.arrives("m-1", attempts=1)


@pytest.mark.parametrize(
    ("point", "held", "attempts", "twice"),
    [
        ("leased", 1, 2, 0),
        ("answered, not settled", 1, 2, 1),
        ("settled", 0, 1, 0),
    ],
)
def test_the_near_consumer_dies(pair: Pair, point: str, held: int, attempts: int, twice: int) -> None:
    """What it had leased goes out over the next link at once; what it had sent is absorbed there."""
    with pair.dies_here(point), pair.near.api() as spool:
        id = spool.send("bob", subject="x")
    leased = "SELECT count(*) FROM outbox WHERE due IS NOT NULL AND lease_until > ?"
    assert one(pair.near.home, leased, time.time()) == held

    pair.near.start()

    pair.arrives(id, attempts=attempts)
    assert len(pair.far.log("message.duplicate")) == twice


def test_the_near_consumer_dies_with_hueys_task(pair: Pair) -> None:
    """Huey deletes a task before it runs it; it only points at work, so nothing is lost with it."""
    with pair.dies_here("task taken"), pair.near.api() as spool:
        id = spool.send("bob", subject="x")

    pair.near.start()

    pair.arrives(id)


@pytest.mark.parametrize("point", ["the writer breaks", "the reader breaks"])
def test_a_defect_ends_the_link_and_not_the_mail(pair: Pair, point: str) -> None:
    """An error that nobody has thought of is logged with its traceback, and the next link is dialled."""
    with pair.dies_here(point, status=0) as consumer, pair.near.api() as spool:
        id = spool.send("bob", subject="x")
        pair.arrives(id)
        consumer.terminate()

    (defect,) = pair.near.log("link.defect")
    assert "Traceback" in defect["exception"] and "nobody has thought" in defect["error"]


@pytest.mark.parametrize(("point", "twice"), [("in the commit", 0), ("taken, not answered", 1)])
def test_the_far_end_dies(pair: Pair, point: str, twice: int) -> None:
    """Before its commit it has nothing, after it the second copy is answered and not stored."""
    pair.dies_there(point)
    pair.near.start()

    with pair.near.api() as spool:
        id = spool.send("bob", subject="x")

    pair.arrives(id, attempts=2)
    assert pair.marker.exists()
    assert len(pair.far.log("message.duplicate")) == twice


@pytest.mark.parametrize("point", ["ack leased", "ack answered, not dropped"])
def test_the_far_end_dies_with_an_ack(pair: Pair, point: str) -> None:
    """The word that a message is done is sent again over the next link, and then forgotten."""
    pair.dies_there(point)
    pair.near.start()
    with pair.near.api() as spool:
        id = spool.send("bob", subject="x")
    pair.arrives(id, attempts=1)

    with pair.far.api() as spool:
        spool.done([id])

    is_done(pair, id)


@pytest.mark.parametrize("point", ["ack taken, not answered"])
def test_the_near_consumer_dies_with_an_ack(pair: Pair, point: str) -> None:
    """It has the word on disk and could not say so: the far side says it again."""
    with pair.dies_here(point), pair.near.api() as spool, pair.far.api() as there:
        id = spool.send("bob", subject="x")
        pair.arrives(id, attempts=1)
        there.done([id])

    pair.near.start()

    is_done(pair, id)


def is_done(pair: Pair, id: str) -> None:
    """Both sides know, and no ack is left."""
    until(lambda: pair.marker.exists() and pair.state(id) is State.DONE, SOON_S, f"{id} is not done")
    until(lambda: one(pair.far.home, "SELECT count(*) FROM acks") == 0, SOON_S, "an ack is left")

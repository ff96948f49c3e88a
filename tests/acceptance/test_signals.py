"""Signals that come within a step: who carries mail ends tidily and in time, and no step is left by half."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import NamedTuple

import pytest

from spool.states import State
from tests import signalled
from tests.databases import one, rows
from tests.hosts import ENV, ROOT, Host, dials_by_exec, hosts, until

pytestmark = pytest.mark.timeout(110)

ENDS_WITHIN_S = 25.0
PATIENT_S = 45.0


class Pair(NamedTuple):
    """Two hosts; `near` starts the far end as a child."""

    near: Host
    far: Host
    marker: Path

    def send_both_ways(self) -> None:
        """A message waits on each side."""
        with self.near.api() as here, self.far.api() as there:
            here.send("bob", id="there", subject="x")
            there.send("alice", id="back", subject="x")

    def all_goes_on(self) -> None:
        """Another consumer carries what is left; each message is there once, and both senders know."""
        self.near.start()
        for host in (self.near, self.far):
            until(lambda host=host: sent(host) == State.RECEIVED, PATIENT_S, f"{host.name}'s was not carried")
        assert rows(self.far.home, "SELECT id FROM inbox") == [("there",)]
        assert rows(self.near.home, "SELECT id FROM inbox") == [("back",)]
        for host in (self.near, self.far):
            assert one(host.home, "PRAGMA integrity_check") == "ok"
            assert host.log("link.defect") == []


def sent(host: Host) -> object:
    """How far the one message of a host got, as it knows."""
    return one(host.home, "SELECT state FROM outbox")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with hosts(tmp_path, near=["alice"], far=["bob"]) as (near, far):
        dials_by_exec(near, far, near_agents=["alice"], far_agents=["bob"])
        yield Pair(near, far, tmp_path / "signalled")


@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("starting", SIGTERM),
        ("leasing", SIGTERM),
        ("settling", SIGINT),
        ("accepting", SIGTERM),
        ("sweeping", SIGTERM),
    ],
    ids=str,
)
def test_a_consumer_ends_within_a_step(pair: Pair, step: str, number: int) -> None:
    """With status 0; what the step had begun is done or given back, and the next one goes on."""
    pair.send_both_ways()
    out = pair.near.home / "log" / "signalled.out"
    with out.open("wb") as said:
        command = signalled.command(step, number, pair.marker, "consumer", str(pair.near.home))
        process = subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        until(pair.marker.exists, PATIENT_S, f"it never came to {step}")
        began = time.monotonic()
        assert process.wait(ENDS_WITHIN_S) == 0, out.read_text()
        print(f"ended {time.monotonic() - began:.1f} s after {step}")
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in out.read_text() and len(pair.near.log("consumer.stopped")) == 1
    pair.all_goes_on()


@pytest.mark.parametrize(
    ("step", "number"), [("accepting", SIGTERM), ("accepting", SIGHUP), ("leasing", SIGINT)], ids=str
)
def test_a_far_end_ends_within_a_step(pair: Pair, step: str, number: int) -> None:
    """As where its host is shut down, or sshd hangs up: the dialler dials again."""
    serve = ["--home", str(pair.far.home), "serve", "--peer", "near"]
    command = ["env", f"PYTHONPATH={ROOT}", *signalled.command(step, number, pair.marker, "serve", *serve)]
    pair.near.peer("far", url=f"exec:{shlex.join(command)}", agents=["bob"])
    pair.send_both_ways()

    pair.all_goes_on()

    assert pair.marker.exists() and len(pair.near.log("link.up")) >= 2
    assert pair.far.log("link.down")[0]["error"] == "ended here"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGHUP], ids=str)
@pytest.mark.parametrize(("step", "stored"), [("writing what was sent", 0), ("ringing", 1)])
def test_a_sender_ends_within_send(pair: Pair, step: str, stored: int, number: int) -> None:
    """Before the commit there is nothing, after it all; asked again under its id, it is sent once."""
    send = ["--home", str(pair.near.home), "send", "bob", "-s", "x", "--id", "m1"]
    command = signalled.command(step, number, pair.marker, "cli", *send)

    ended = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENT_S)

    assert ended.returncode != 0 and b"Traceback" not in ended.stderr
    assert one(pair.near.home, "SELECT count(*) FROM outbox") == stored
    again = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENT_S)
    assert (again.returncode, again.stdout) == (0, b"m1\n"), again.stderr
    assert rows(pair.near.home, "SELECT id, state FROM outbox") == [("m1", "queued")]

"""`autostart = true`: a `send` starts the consumer, once, and does not wait for it."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import presence
from spool.starting import OUT
from tests.hosts import CLI, ENV, Host, dials_by_exec, hosts, until

pytestmark = pytest.mark.timeout(90)


def alive(host: Host) -> list[int]:
    """The consumers that live here, by process id."""
    return [process.pid for process in presence.living(host.home / "run", "consumer")]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near` dials `far` and starts its consumer by itself."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay"])
        config = near.home / "spool.toml"
        config.write_text(config.read_text().replace("[host]", "[host]\nautostart = true", 1))
        try:
            yield near, far
        finally:
            near.cli("down", check=None)


def test_a_send_starts_it_and_the_mail_arrives(pair: tuple[Host, Host]) -> None:
    """From a host where nothing runs; said once, on stderr, and no more when it runs."""
    near, far = pair
    done = near.cli("send", "fay", "-s", "x")
    assert done.stderr.count("one was started") == 1
    assert done.stdout.strip().startswith("msg-")
    until(lambda: far.json("inbox") != [])
    until(lambda: near.peer_state("far") == "linked")
    (pid,) = alive(near)

    done = near.cli("send", "fay", "-s", "y")

    assert "consumer" not in done.stderr
    assert [pid] == alive(near)
    # It writes its events to the log alone: nobody rotates this file.
    assert (near.home / OUT).read_text() == ""
    assert near.log("consumer.started") != []


def test_it_outlives_whoever_sent(pair: tuple[Host, Host]) -> None:
    """A session of its own, and nobody's child: an agent's shell that is killed takes nothing along."""
    near, _ = pair
    command = [*CLI, "--home", str(near.home), "send", "fay", "-s", "x"]
    sender = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, start_new_session=True)
    sender.wait(30)
    until(lambda: alive(near) != [])
    (pid,) = alive(near)

    assert os.getsid(pid) != sender.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(sender.pid, signal.SIGKILL)
    assert [pid] == alive(near)


def test_many_at_once_start_one(pair: tuple[Host, Host]) -> None:
    """Four agents that begin in the same instant."""
    near, far = pair
    command = [*CLI, "--home", str(near.home), "send", "fay", "-s", "x"]
    senders = [
        subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [sender.communicate(timeout=60)[1] for sender in senders]

    assert sum("one was started" in each for each in said) == 1
    until(lambda: len(far.json("inbox")) == 4)
    assert len(near.log("consumer.started")) == len(alive(near)) == 1


def test_one_that_cannot_live_is_not_started_by_every_send(pair: tuple[Host, Host]) -> None:
    """Whoever sends in a loop must not start a process a second that ends at once."""
    near, _ = pair
    broken = near.home.parent / "broken" / "workers"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    env = {"PYTHONPATH": os.pathsep.join([str(broken.parent), ENV["PYTHONPATH"]])}
    near.cli("send", "fay", "-s", "x", env=env)
    until(lambda: "No module named" in (near.home / OUT).read_text())
    before = (near.home / OUT).stat().st_mtime_ns
    time.sleep(0.3)

    done = near.cli("send", "fay", "-s", "x", env=env)

    assert str(near.home / OUT) in done.stderr
    assert before == (near.home / OUT).stat().st_mtime_ns
    assert alive(near) == []


def test_from_python_it_is_the_same_and_quick(pair: tuple[Host, Host]) -> None:
    """The call returns when the message is on the disk, long before the consumer is up."""
    near, _ = pair
    with near.api() as spool:
        began = time.monotonic()
        spool.send("fay", subject="x")
        first = time.monotonic() - began
        assert spool.started
        assert alive(near) == []
        until(lambda: alive(near) != [])
        took = []
        for _ in range(20):
            began = time.monotonic()
            spool.send("fay", subject="x")
            took.append(time.monotonic() - began)
    print(f"first send {first * 1000:.1f} ms, then {statistics.median(took) * 1000:.1f} ms")
    assert first < 0.5


def test_down_also_ends_one_that_just_starts(pair: tuple[Host, Host]) -> None:
    """It would come up behind the back of whoever wants none."""
    near, _ = pair
    with near.api() as spool:
        spool.send("fay", subject="x")
        assert spool.started

    assert "has ended" in near.cli("down").stdout
    assert alive(near) == []


def test_a_consumer_never_starts_another(pair: tuple[Host, Host]) -> None:
    """Whatever sends from within it: it is there, and it is announced before it does anything."""
    near, _ = pair
    with (
        near.api() as spool,
        contextlib.closing(presence.Presence(near.home / "run", "consumer", now=1.0, version="1")),
    ):
        spool.send("fay", subject="x")
        assert not spool.started


def test_without_it_nothing_is_started(pair: tuple[Host, Host]) -> None:
    """It is off where the config does not ask for it."""
    near, _ = pair
    config = near.home / "spool.toml"
    config.write_text(config.read_text().replace("autostart = true", "autostart = false"))

    done = near.cli("send", "fay", "-s", "x")

    assert "`spool up --detach` starts one" in done.stderr
    assert not (near.home / OUT).exists()

"""A link is down and a blocker is sent: people are told once, it is delivered once, and the issue is closed.

`SPOOL_FLAPS=20` lets the link flap, and the consumer be killed, that often; without, twice.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from spool import presence
from spool.api import Spool
from spool.clock import Clock
from spool.config_edit import set_peer
from spool.states import State
from tests.github.gateway import Gateway
from tests.github.install import installed
from tests.github.tower import OWNER, TOKENS, Person, Tower, tower
from tests.hosts import Host, hosts, until

FLAPS: Final = int(os.environ.get("SPOOL_FLAPS") or 2)
ENOUGH_S: Final = 60.0
TOKEN: Final = {"ROAD_TOKEN": TOKENS[OWNER]}


@pytest.fixture(scope="module")
def github() -> Iterator[Tower]:
    """GitHub, with a repository for each test."""
    with tower(installed(), "once", "flaps", "cron", "both") as made:
        yield made


class Pair:
    """Two hosts, `near` dialling `far` by a command that works while a file is there; and people."""

    def __init__(self, folder: Path, near: Host, far: Host, url: str, repo: str) -> None:
        self.near, self.far = near, far
        self.url, self.repo = url, repo
        self._up = folder / "up"
        self.person = Person(url, OWNER, repo)
        spool = [sys.executable, "-m", "spool.cli", "--home", str(far.home), "serve", "--peer", "near"]
        script = f"test -e {shlex.quote(str(self._up))} && exec {shlex.join(spool)}"
        set_peer(near.home, "far", {"url": f"exec:sh -c {shlex.quote(script)}", "agents": ["bob"]})
        set_peer(far.home, "near", {"agents": ["alice"]})

    def escalate_from(self, host: Host, url: str, **rules: Any) -> None:
        """`host` has the road, and tells people of its mail by it."""
        self.reach(host, url)
        lines = [f"{key} = {value}" for key, value in rules.items()]
        with (host.home / "spool.toml").open("a") as file:
            file.write("\n".join(["", "[escalation]", 'peer = "road"', *lines, ""]))

    def reach(self, host: Host, url: str) -> None:
        """`host` has the road as a peer, and reads there once a second."""
        values = {"url": f"github://{OWNER}/{self.repo}", "base_url": url, "token_env": "ROAD_TOKEN"}
        set_peer(host.home, "road", {**values, "logins": [OWNER], "poll_s": 1.0})

    def link(self, *, up: bool) -> None:
        """The way between the two is there, or breaks."""
        if up:
            self._up.touch()
            # What a person would do who knows that it is back; it would be dialled again soon.
            self.near.cli("peer", "resume", "far")
            return
        self._up.unlink(missing_ok=True)
        for process in presence.living(self.far.home / "run", "serve"):
            os.kill(process.pid, signal.SIGKILL)

    def issues(self) -> list[dict[str, Any]]:
        """The issues that tell of a message, the oldest first."""
        return [each for each in self.person.issues() if each["title"].startswith("[CHAT:URGENT]")]

    def states(self) -> list[str]:
        return [each["state"] for each in self.issues()]

    def done(self, host: Host, agent: str, count: int = 1) -> list[str]:
        """An agent does all that it was sent, once so much is there; the subjects."""
        with host.api(agent) as spool:
            until(lambda: spool.unread() >= count, ENOUGH_S)
            found = []
            for message in spool.receive():
                with message:
                    found.append(message.subject)
        return found


@contextlib.contextmanager
def pair(folder: Path, github: Tower, repo: str) -> Iterator[Pair]:
    """The two hosts; nothing runs yet."""
    with hosts(folder, near=["alice"], far=["bob"]) as (near, far):
        made = Pair(folder, near, far, github.bare, repo)
        yield made
        made.person.close()


def details(host: Host, id: str) -> list[str]:
    """What `trace` says of the road."""
    (view,) = host.json("trace", id)
    return [each["detail"].partition(":")[0] for each in view["events"] if each["peer"] == "road"]


def test_people_are_told_while_the_link_is_down_and_no_longer(tmp_path: Path, github: Tower) -> None:
    """By the rules as they are: told within 30 s; delivered by the link when it is back; closed when done."""
    with pair(tmp_path, github, "once") as two:
        two.escalate_from(two.near, github.url)
        consumer = two.near.start(env=TOKEN)
        until(lambda: two.near.peer_state("road") == "linked", ENOUGH_S)
        with two.near.api("alice") as alice:
            sent_at = time.monotonic()
            id = alice.send(
                "bob", subject="Redis is missing", body="We are stuck.", priority="P0", type="blocker"
            )
            until(lambda: two.states() == ["open"], ENOUGH_S)
            assert time.monotonic() - sent_at < 30.0
            (issue,) = two.issues()
            assert "**Blocker:** P0" in issue["body"] and "not received within 10 s" in issue["body"]

            two.link(up=True)
            until(lambda: alice.state(id) is State.RECEIVED, ENOUGH_S)
            until(lambda: "received by far" in two.issues()[0]["body"], ENOUGH_S)
            assert two.states() == ["open"]
            assert two.done(two.far, "bob") == ["Redis is missing"]
            until(lambda: two.states() == ["closed"], ENOUGH_S)
        assert (
            details(two.near, id)[:2] == ["escalated", "posted"] and details(two.near, id)[-1] == "resolved"
        )
        consumer.stop()
        assert two.near.json("status")[0]["escalated"] == 0

        # From cron, mail has waited long before anybody could dial: that is no reason.
        a_minute_ago = Clock(lambda: time.time() - 60.0, time.monotonic)
        with Spool(two.near.home, agent="alice", clock=a_minute_ago) as alice:
            id = alice.send("bob", subject="From cron", priority="P0")
            two.near.cli("up", "--once", env=TOKEN)
            assert alice.state(id) is State.RECEIVED and two.states() == ["closed"]


@pytest.mark.timeout(60 + 30 * FLAPS)
def test_a_flapping_link_and_a_killed_consumer_make_one_issue_each(tmp_path: Path, github: Tower) -> None:
    """It is killed when GitHub has made the issue and nobody here knows it; then the link comes and goes."""
    with pair(tmp_path, github, "flaps") as two, Gateway(github.url) as gateway:
        two.escalate_from(two.near, gateway.url, after_s=1)
        sent: list[str] = []
        consumer = two.near.start(env=TOKEN)
        with two.near.api("alice") as alice:
            for n in range(FLAPS):
                made = gateway.swallow_create()
                sent.append(alice.send("bob", subject=f"blocked {n}", body="b", priority="P0"))
                assert made.wait(ENOUGH_S), "no issue was made"
                consumer.kill()
                consumer = two.near.start(env=TOKEN)
                until(lambda: len(alice.escalated()) == 1 and alice.escalated()[0].number, ENOUGH_S)
                two.link(up=True)
                until(lambda n=n: alice.state(sent[n]) is State.RECEIVED, ENOUGH_S)
                two.link(up=False)
                two.link(up=True)
                assert two.done(two.far, "bob") == [f"blocked {n}"]
                until(lambda n=n: two.states() == ["closed"] * (n + 1), ENOUGH_S)
                two.link(up=False)
            assert [alice.state(id) for id in sent] == [State.DONE] * FLAPS
        consumer.stop()
    assert gateway.creates() == FLAPS


def test_a_blocked_host_that_nobody_dials_tells_people_from_cron(tmp_path: Path, github: Tower) -> None:
    """By rule and by hand, with no consumer; the other host takes its mail out of the issues, and is done."""
    with pair(tmp_path, github, "cron") as two:
        two.escalate_from(two.far, github.url, after_s=1)
        two.escalate_from(two.near, github.url)
        far, consumer = two.far, two.near.start(env=TOKEN)
        with far.api("bob") as bob:
            urgent = bob.send("alice", subject="No disk left", body="I cannot go on.", priority="P0")
            plain = bob.send("alice", subject="Which key?", body="I wait for it.")
            far.cli("escalate", plain, "--reason", "the link is down since noon")
            time.sleep(1.0)
            far.cli("up", "--once", env=TOKEN)
            issues = {each["title"]: each["body"] for each in two.issues()}
            assert issues.keys() == {"[CHAT:URGENT] No disk left", "[CHAT:URGENT] Which key?"}
            assert "the link is down since noon" in issues["[CHAT:URGENT] Which key?"]

            assert sorted(two.done(two.near, "alice", 2)) == ["No disk left", "Which key?"]
            until(lambda: two.near.log("ack.sent") != [], ENOUGH_S)
            far.cli("up", "--once", env=TOKEN)
            assert [bob.state(id) for id in (urgent, plain)] == [State.DONE] * 2
            assert two.states() == ["closed"] * 2
            far.cli("up", "--once", env=TOKEN)
        consumer.stop()
        assert two.states() == ["closed"] * 2 and details(far, urgent)[-1] == "resolved"


def test_by_the_link_and_by_the_issue_it_is_one_message(tmp_path: Path, github: Tower) -> None:
    """The far host reads the road too: what it took there, the link brings no second time."""
    with pair(tmp_path, github, "both") as two:
        for host in (two.near, two.far):
            two.escalate_from(host, github.url, after_s=1)
        consumers = [host.start(env=TOKEN) for host in (two.near, two.far)]
        with two.near.api("alice") as alice, two.far.api("bob") as bob:
            id = alice.send("bob", subject="Both ways", body="b", priority="P0")
            until(lambda: alice.state(id) is State.RECEIVED, ENOUGH_S)
            two.link(up=True)
            until(lambda: two.near.peer_state("far") == "linked", ENOUGH_S)
            assert two.done(two.far, "bob", 1) == ["Both ways"]
            until(lambda: alice.state(id) is State.DONE, ENOUGH_S)
            until(lambda: two.states() == ["closed"], ENOUGH_S)
            assert bob.unread() == 0
        for consumer in consumers:
            consumer.stop()
        assert len(two.far.log("message.stored")) == 1

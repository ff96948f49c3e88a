"""Over a real link: each host tells the other how its agents stand, also beside a version that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, dials_by_exec, hosts, until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near` dials `far` over a pipe; nothing runs yet."""
    with hosts(tmp_path, near=["nia"], far=["fay", "fox"]) as (near, far):
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay", "fox"])
        yield near, far


def agents(host: Host) -> dict[str, dict[str, Any]]:
    """The agents of a host's only peer, as `status --json` has them."""
    (status,) = host.json("status")
    (peer,) = status["peers"]
    return {each["name"]: each for each in peer["agents"]}


def test_the_other_host_says_what_waits_there(pair: tuple[Host, Host]) -> None:
    """Within seconds of the link, and again when it changed."""
    near, far = pair
    with far.api("fox") as spool:
        spool.send("fay", subject="from within")
        spool.attend("s1", agent="fay")
    near.start()
    with near.api("nia") as spool:
        until(lambda: agents(near)["fay"]["told_at"] is not None)
        first = agents(near)
        assert (first["fay"]["unread"], first["fay"]["sessions"]) == (1, 1)
        assert (first["fox"]["unread"], first["fox"]["last_heard"]) == (0, None)

        id = spool.send("fay", subject="from outside")
        until(lambda: spool.state(id) == "received")
        far.cli("read", "--all", "--agent", "fay")
        until(lambda: spool.state(id) == "read")
        assert agents(near)["fay"]["heard_what"] == "read"
        # After TELL_EVERY_S at the soonest.
        until(lambda: agents(near)["fay"]["unread"] == 0, within_s=40.0)
    assert "agents there, as told" in near.cli("status").stdout


def test_a_version_that_does_not_tell_is_not_taken_to_have_nothing(pair: tuple[Host, Host]) -> None:
    """Its pings count as they did; and what it is told itself is in a field that it passes over."""
    _, far = pair
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near", agents=["nia"])
        told = line.expect("ping")["agents"]
        assert told == [
            {"name": "fay", "unread": 0, "sessions": 0},
            {"name": "fox", "unread": 0, "sessions": 0},
        ]
        line.say(f="ping", n=1, clock=1.0, echo=True, unread=3, queued=0)
        line.expect("pong")
        assert agents(far)["nia"]["told_at"] is None

        said = [{"name": "nia", "unread": 2, "oldest_s": 9.5}, {"name": "fay", "unread": 9}]
        line.say(f="ping", n=2, clock=1.0, echo=True, unread=3, queued=0, agents=said)
        line.say(f="query", n=3, items=[])
        line.expect("answers")
        nia = agents(far)["nia"]
        assert (nia["unread"], nia["oldest_unread_s"], nia["sessions"]) == (2, 9.5, None)

        line.say(f="ping", n=4, clock=1.0, agents=[])
        line.say(f="query", n=5, items=[])
        line.expect("answers")
        assert agents(far)["nia"]["unread"] is None

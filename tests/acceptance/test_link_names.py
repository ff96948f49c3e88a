"""Names that a hello claims: the first peer to tell one keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, hosts, until
from tests.mail import linked, peer_row

pytestmark = pytest.mark.timeout(60)


def test_a_name_that_another_peer_told_cannot_be_taken(tmp_path: Path) -> None:
    """Neither its mail nor its voice, wherever the two stand in the config."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("aaa")
        far.peer("zed")
        with (
            Dialogue(far.serve_command("zed"), env=ENV) as zed,
            Dialogue(far.serve_command("aaa"), env=ENV) as thief,
        ):
            zed.say(f="hello", host="zed", agents=["bob"])
            zed.expect("hello")
            until(lambda: linked(far, "zed"))
            thief.say(f="hello", host="aaa", agents=["bob", "b*", "al", "Q*a*a*Z"])
            thief.expect("hello")
            until(lambda: linked(far, "aaa"))

            assert peer_row(far, "aaa").far_agents == ["al"]
            assert far.json("send", "bob", "-s", "x", "--agent", "fay")[0]["peer"] == "zed"
            thief.say(f="messages", n=1, items=[thief.item("bob", "fay")])
            assert thief.expect("results")["items"][0]["r"] == "refused"
            zed.say(f="messages", n=1, items=[zed.item("bob", "fay")])
            assert zed.expect("results")["items"][0]["r"] == "accepted"

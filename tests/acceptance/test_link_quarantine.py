"""A peer whose every message is bad: what is kept of it has an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, hosts
from tests.mail import rows

pytestmark = pytest.mark.timeout(60)


def test_the_quarantine_of_a_peer_has_an_end(tmp_path: Path) -> None:
    """It is refused all the same; others have room of their own."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        far.peer("zed", agents=["zoe"])
        with Dialogue(far.serve_command("near"), env=ENV) as line:
            line.say(f="hello", host="near")
            items = [{"t": 1.0, "m": {"id": "x" * 300_000}}, *({"t": 1.0, "m": n} for n in range(700))]
            line.say(f="messages", n=1, items=items)
            assert {result["r"] for result in line.expect("results")["items"]} == {"refused"}
        with Dialogue(far.serve_command("zed"), env=ENV) as line:
            line.say(f="hello", host="zed")
            line.say(f="messages", n=1, items=[{"t": 1.0, "m": 1}])
            line.expect("results")

        counts = rows(
            far, "SELECT peer, count(*), max(length(raw)) FROM quarantine GROUP BY peer ORDER BY peer"
        )
        assert counts == [("near", 500, 102_400), ("zed", 1, 1)]

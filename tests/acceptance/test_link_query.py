"""What a peer may ask about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, hosts

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Host]:
    """A host that the peers `near` and `zed` dial."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        far.peer("zed", agents=["zoe"])
        yield far


def test_a_peer_is_not_told_of_mail_that_others_brought(far: Host) -> None:
    """Not even that there is some."""
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        item = line.item("nia", "fay")
        line.say(f="messages", n=1, items=[item])
        line.expect("results")
    with Dialogue(far.serve_command("zed"), env=ENV) as line:
        line.say(f="hello", host="zed")
        line.say(f="query", n=1, items=[{"from": "nia", "id": item["m"]["id"]}])
        assert line.expect("answers")["items"][0]["status"] == "unknown"

"""How long a message that passes through may live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, hosts
from tests.mail import rows

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Host]:
    """A host that the peers `near` and `zed` dial."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        far.peer("zed", agents=["zoe"])
        yield far


def test_a_relayed_message_does_not_live_for_ever(far: Host) -> None:
    """Whatever lifetime its peer says that it has left."""
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        line.say(f="messages", n=1, items=[{**line.item("nia", "zoe"), "t": 1e308}])
        assert line.expect("results")["items"][0]["r"] == "accepted"

    assert rows(far, "SELECT expires_at - queued_at <= 30 * 86400 FROM outbox") == [(1,)]

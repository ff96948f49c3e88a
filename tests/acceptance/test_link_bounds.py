"""A peer that is authorised and not to be trusted: what it says too much of, asks for, or lies about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, hosts
from tests.mail import rows

pytestmark = pytest.mark.timeout(60)
BIG = "k" * 300_000


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Host]:
    """A host that the peers `near` and `zed` dial, and a relay between them."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        far.peer("zed", agents=["zoe"])
        yield far


def test_what_comes_beside_a_message_is_bounded(far: Host) -> None:
    """The lists would go on to the next peer, whose link ends at a frame that is too long."""
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        items = [{**line.item("nia", to), "h": hops} for to in ("zoe", "fay") for hops in ([BIG], ["h"] * 9)]
        line.say(f="messages", n=1, items=items)
        assert [result["r"] for result in line.expect("results")["items"]] == ["refused"] * 4

    assert rows(far, "SELECT 1 FROM outbox UNION ALL SELECT 1 FROM inbox") == []


def test_what_an_ack_says_is_bounded(far: Host) -> None:
    """It is carried back to the peer that the message came from."""
    with Dialogue(far.serve_command("zed"), env=ENV) as line:
        line.say(f="hello", host="zed")
        item = line.item("zoe", "nia")
        line.say(f="messages", n=1, items=[item])
        line.expect("results")
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        sent = line.expect("messages")
        line.say(f="results", n=sent["n"], items=[{"r": "deferred", "why": BIG}])
        ack = {"from": BIG, "to": "zoe", "re": item["m"]["id"], "note": BIG, "outcome": BIG, "host": BIG}
        line.say(f="acks", n=7, items=[{**ack, "status": f"s{n}"} for n in range(5)])
        line.say(f="acks", n=8, items=[{**ack, "status": "done"}])
        while line.expect("results")["n"] != 8:
            pass

    assert rows(
        far, "SELECT sender, status, host, length(note), length(outcome) FROM acks WHERE status = 'done'"
    ) == [("nia", "done", None, 4096, 64)]
    assert rows(far, "SELECT count(*) FROM acks WHERE status LIKE 's_'") == [(0,)]
    assert all(len(detail) < 2000 for (detail,) in rows(far, "SELECT detail FROM events"))


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


def test_a_relayed_message_does_not_live_for_ever(far: Host) -> None:
    """Whatever lifetime its peer says that it has left."""
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        line.say(f="messages", n=1, items=[{**line.item("nia", "zoe"), "t": 1e308}])
        assert line.expect("results")["items"][0]["r"] == "accepted"

    assert rows(far, "SELECT expires_at - queued_at <= 30 * 86400 FROM outbox") == [(1,)]

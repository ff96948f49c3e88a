"""Answering from Python: in the thread, and back where the question came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.errors import NoRoute, NotFound
from spool.states import State
from spool.transports.base import Accepted
from tests.desk import acks, arrive, make_home, tasks


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A host with one agent and two peers."""
    with Spool(make_home(tmp_path, "me")) as made:
        yield made


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Spool]:
    """A host with three agents."""
    with Spool(make_home(tmp_path, "a", "b", "c-*")) as made:
        yield made


def test_a_reply_stands_in_the_thread_and_answers(spool: Spool) -> None:
    """What it answers is done, and its sender is told."""
    arrive(spool, id="q1", subject="How?")
    id = spool.reply("q1", "So.")

    row = spool.sent(id)
    assert (row.recipient, row.re, row.thread, row.peer) == ("cloud-1", "q1", "q1", "cloud")
    assert b'"subject":"Re: How?"' in row.raw
    assert (spool.received("q1").state, spool.received("q1").answered) == ("done", True)
    assert [(ack.re, ack.status) for ack in acks(spool)] == [("q1", "done")] and tasks(spool) == {"cloud"}


def test_a_reply_may_leave_it_open(spool: Spool) -> None:
    """And does not pile up Re:."""
    arrive(spool, id="q1", subject="Re: How?", thread="t0")
    row = spool.sent(spool.reply("q1", "Wait.", keep_open=True, priority="P0"))

    assert (row.thread, row.priority) == ("t0", 0) and b'"subject":"Re: How?"' in row.raw
    assert spool.received("q1").state == "unread" and acks(spool) == []


def test_a_reply_goes_back_where_the_question_came_from(spool: Spool) -> None:
    """Even if the name lies elsewhere: far-1 wrote through cloud, and now lives at desk."""
    arrive(spool, id="q1", **{"from": "far-1"})
    config = spool.home / "spool.toml"
    config.write_text(config.read_text().replace('"desk-*"', '"desk-*", "far-1"'))
    with Spool(spool.home) as later:
        assert later._router().resolve("far-1").peer == "desk"
        assert later.sent(later.reply("q1", "So.")).peer == "cloud"


def test_a_reply_to_a_peer_that_is_gone_takes_the_way_there_is(spool: Spool) -> None:
    """Or there is none, and it is said at once."""
    arrive(spool, id="q1")
    config = spool.home / "spool.toml"
    text = config.read_text()
    config.write_text(text.replace("[peers.cloud]", "[peers.sky]"))
    with Spool(spool.home) as later:
        assert later.sent(later.reply("q1", "So.", keep_open=True)).peer == "sky"
    config.write_text(text.replace("cloud-*", "else-*"))
    config.write_text(config.read_text().replace("[peers.cloud]", "[peers.sky]"))
    with Spool(spool.home) as later, pytest.raises(NoRoute):
        later.reply("q1", "So.")


def test_a_local_question_is_answered_here(several: Spool) -> None:
    """Both sides are here."""
    id = several.send("b", body="?", agent="a", requires_response=True)
    answer = several.reply(id, "!", agent="b")

    assert several.sent(id).answered and several.state(id) is State.DONE
    assert several.received(answer, agent="a").re == id


def test_who_did_not_get_it_cannot_answer(several: Spool) -> None:
    """It is another agent's mail."""
    id = several.send("b", body="?", agent="a")

    with pytest.raises(NotFound, match=f"no message {id} for a"):
        several.reply(id, "!", agent="a")


def test_what_is_held_is_answered_whatever_its_id(spool: Spool) -> None:
    """Two senders may choose one id; the message in hand is the one that is meant."""
    for sender in ("cloud-1", "cloud-2"):
        assert isinstance(arrive(spool, **{"id": "q-123456", "from": sender}), Accepted)

    answers = {}
    for delivery in spool.receive():
        with delivery:
            answers[delivery.sender] = delivery.reply("Yes.")

    assert {sender: spool.sent(id).recipient for sender, id in answers.items()} == {
        "cloud-1": "cloud-1",
        "cloud-2": "cloud-2",
    }

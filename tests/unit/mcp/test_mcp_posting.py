"""send_message and reply: what an agent sends through its MCP client, and what it is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spool.api import Spool
from spool.looking import message_of
from spool.states import Held
from tests.desk import arrive
from tests.mcp_client import Agent


def test_an_answer_says_how_far_it_is_and_who_carries_it(agent: Agent, spool: Spool) -> None:
    """`queued` with no consumer running is not delivered, and an agent must not report it so."""
    (sent,) = agent.json("send_message", to=["cloud-1"], subject="Tests", body="Please run them.")["sent"]

    assert sent["state"] == "queued"
    assert (sent["peer"], sent["carrier"]) == ("cloud", "none")
    assert any("no consumer" in each or "never reached" in each for each in sent["warnings"])
    assert spool.sent(sent["id"]).sender == "me"


def test_several_recipients_are_one_commit(agent: Agent, spool: Spool) -> None:
    """Half a round-robin would leave the caller not knowing whom to tell again."""
    assert "nobody" in agent.refused("send_message", to=["you", "nobody"], body="Hello")
    assert spool.inbox(agent="you") == []

    sent = agent.json("send_message", to=["you", "cloud-1"], body="Hello")["sent"]
    assert [each["to"] for each in sent] == ["you", "cloud-1"]
    assert [each["state"] for each in sent] == ["received", "queued"]


def test_one_recipient_may_stand_there_alone(agent: Agent) -> None:
    """Models write a text where the schema has a list."""
    assert agent.json("send_message", to="you", body="Hello")["sent"][0]["to"] == "you"


@pytest.mark.parametrize(
    ("given", "kept"), [("urgent", 0), ("high", 1), ("normal", 2), ("low", 3), ("P1", 1), (None, 2)]
)
def test_priorities_have_words(agent: Agent, spool: Spool, given: str | None, kept: int) -> None:
    """A model knows `urgent`; that it is P0 it would have to look up."""
    more = {} if given is None else {"priority": given}
    sent = agent.json("send_message", to=["you"], body="Hello", **more)["sent"]
    assert spool.sent(sent[0]["id"]).priority == kept


def test_what_is_wanted_travels(agent: Agent, spool: Spool) -> None:
    """Each parameter is a field of the message that is sent."""
    first = agent.json("send_message", to=["you"], body="One")["sent"][0]["id"]
    sent = agent.json(
        "send_message",
        to=["you"],
        body="Two",
        subject="More",
        type="handoff",
        needs_reply=True,
        reply_by="2h",
        expires="2099-01-01T00:00:00Z",
        thread_id=first,
        reply_to=first,
    )["sent"]
    message = message_of(spool.sent(sent[0]["id"]))
    assert (message.subject, message.type, message.requires_response) == ("More", "handoff", True)
    assert (message.thread, message.re) == (first, first)
    assert message.expires == "2099-01-01T00:00:00Z"
    assert message.deadline is not None and message.deadline.endswith("Z")


def test_the_same_key_sends_once(agent: Agent, spool: Spool) -> None:
    """A client that lost the answer calls again; `2h` is another time by then, and still the same call."""
    call = {"to": ["you"], "body": "Deploy", "reply_by": "2h", "idempotency_key": "deploy-7"}
    first = agent.json("send_message", **call)["sent"][0]["id"]
    again = agent.json("send_message", **call)["sent"][0]["id"]

    assert first == again
    assert len(spool.inbox(agent="you")) == 1


def test_the_same_key_with_other_words_is_an_error(agent: Agent, spool: Spool) -> None:
    """It would else be told the id of a message that says something else."""
    agent.call("send_message", to=["you"], body="Deploy", idempotency_key="k")
    said = agent.refused("send_message", to=["you"], body="Do not deploy", idempotency_key="k")

    assert "id_taken" in said and "idempotency_key" in said
    assert len(spool.inbox(agent="you")) == 1


def test_a_key_is_one_agents_own(home: Path, spool: Spool) -> None:
    """Two agents that both call their message `1` are not in each other's way."""
    ids = {
        Agent(home, name).json("send_message", to=["cloud-1"], body="Hi", idempotency_key="1")["sent"][0][
            "id"
        ]
        for name in ("me", "you")
    }
    assert len(ids) == 2


def test_files_travel_beside_a_message(agent: Agent, spool: Spool, tmp_path: Path) -> None:
    """A log of a megabyte has no place in two models' contexts."""
    log = tmp_path / "build.log"
    log.write_text("all is well\n" * 1000)
    (sent,) = agent.json("send_message", to=["you"], body="See the log", attachments=[str(log)])["sent"]

    assert Path(sent["attachments"][0]["path"]).read_text() == log.read_text()
    assert (
        "no such file"
        in agent.refused("send_message", to=["you"], body="x", attachments=[str(tmp_path / "gone")]).lower()
    )


def test_a_secret_is_refused_with_the_place(agent: Agent, spool: Spool) -> None:
    """What was sent cannot be taken back; the error must not repeat it either."""
    token = "ghp_" + "a1B2" * 9
    said = agent.refused("send_message", to=["you"], body=f"token {token}")

    assert "secret_found" in said and "body" in said and token not in said
    assert spool.inbox(agent="you") == []


def test_a_reply_keeps_the_thread_and_leaves_the_question_open(agent: Agent, spool: Spool) -> None:
    """`On it` is no end: only an agent that says so ends what it answers."""
    arrive(spool, id="msg-question")
    told = agent.json("reply", message_id="msg-question", body="On it")

    answer = spool.sent(told["sent"][0]["id"])
    assert (answer.re, answer.thread, answer.recipient) == ("msg-question", "msg-question", "cloud-1")
    assert told["answered"] == {"id": "msg-question", "state": "unread"}
    assert spool.received("msg-question").state is Held.UNREAD


def test_a_reply_that_is_done_ends_the_question(agent: Agent, spool: Spool) -> None:
    """One call where two could be interrupted in between."""
    arrive(spool, id="msg-question")
    assert agent.json("reply", message_id="msg-question", body="15 passed", done=True)["answered"] == {
        "id": "msg-question",
        "state": "done",
    }


def test_the_same_reply_is_sent_once(agent: Agent, spool: Spool) -> None:
    """As with send_message: a lost answer is asked for again."""
    arrive(spool, id="msg-question")
    call = {"message_id": "msg-question", "body": "15 passed", "idempotency_key": "r"}
    ids = [agent.json("reply", **call)["sent"][0]["id"] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(spool.outbox()) == 1


def test_nobody_answers_what_was_not_for_him(home: Path, spool: Spool) -> None:
    """An id that was seen somewhere must not let one agent speak for another."""
    arrive(spool, id="msg-question")
    said = Agent(home, "you").refused("reply", message_id="msg-question", body="I am me")

    assert "msg-question" in said
    assert spool.outbox() == []
    assert spool.received("msg-question").state is Held.UNREAD


def test_too_many_recipients_are_refused(agent: Agent, spool: Spool) -> None:
    """A mailing of hundreds is a mistake more often than a wish."""
    assert "20" in agent.refused("send_message", to=["you"] * 21, body="x")
    assert "20" in agent.refused("send_message", to=[], body="x")
    assert spool.inbox(agent="you") == []

"""Polls: mail for a peer that cannot be dialled goes out with the answer, and is settled by the next poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.api import Spool
from spool.states import State
from spool.web import sessions
from tests.waiting import soon
from tests.web import Listening, hello, item, letter


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Listening]:
    """A home that listens."""
    made = Listening(tmp_path)
    yield made
    made.close()


@pytest.fixture
def spool(door: Listening) -> Iterator[Spool]:
    """The same home, as its agent has it."""
    with Spool(door.home, agent="me") as made:
        yield made


def poll(door: Listening, session: str, **said: Any) -> dict[str, Any]:
    """One poll that does not wait; its answer."""
    answer = door.post({"session": session, "wait_s": 0, **said}, "/poll")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


ACCEPTED = {"r": "accepted", "at": 5.0, "final": True}


def test_mail_goes_with_a_poll_and_is_received_with_the_next(door: Listening, spool: Spool) -> None:
    """One commit there, and its result here: as over a link."""
    id = spool.send("cloud-1", subject="Hello")
    session = hello(door)

    mail = poll(door, session)
    assert [each["m"]["id"] for each in mail["messages"]] == [id]
    assert spool.sent(id).state is State.QUEUED
    assert "messages" not in poll(door, session, n=mail["n"], results=[ACCEPTED])

    assert (spool.sent(id).state, spool.sent(id).far_host) == (State.RECEIVED, "cloud")


def test_mail_whose_answer_was_lost_is_given_again(door: Listening, spool: Spool) -> None:
    """The same frame, until the peer says what became of it."""
    spool.send("cloud-1", subject="Hello")
    session = hello(door)

    assert poll(door, session)["n"] == poll(door, session)["n"] == 1


def test_mail_that_was_not_answered_goes_with_the_next_session(door: Listening, spool: Spool) -> None:
    """Whoever polled was killed: its leases are of an older generation, and count as none."""
    id = spool.send("cloud-1", subject="Hello")
    poll(door, hello(door))

    mail = poll(door, hello(door))

    assert [each["m"]["id"] for each in mail["messages"]] == [id]


def test_a_newer_session_ends_the_older_one(door: Listening) -> None:
    """Two that poll under one name must not both have the mail."""
    older, newer = hello(door), hello(door)

    assert door.post({"session": older, "wait_s": 0}, "/poll").status_code == 409
    assert poll(door, newer) is not None


def test_a_poll_that_waits_is_answered_when_mail_is_committed(door: Listening, spool: Spool) -> None:
    """No timer: the doorbell wakes it."""
    session = hello(door)
    answers: list[tuple[float, dict[str, Any]]] = []

    def wait() -> None:
        answer = door.post({"session": session, "wait_s": 20}, "/poll").json()
        answers.append((time.time(), answer))

    thread = threading.Thread(target=wait)
    thread.start()
    assert soon(lambda: door.server.polls() == 1)
    spool.send("cloud-1", subject="Hello")
    thread.join(10)

    assert len(answers) == 1
    assert answers[0][1]["messages"]


def test_a_second_poll_takes_the_place_of_one_that_waits(door: Listening, spool: Spool) -> None:
    """Its connection broke, and it does not know: mail must not go where nobody reads."""
    session = hello(door)
    first: list[dict[str, Any]] = []
    thread = threading.Thread(
        target=lambda: first.append(door.post({"session": session, "wait_s": 20}, "/poll").json())
    )
    thread.start()
    assert soon(lambda: door.server.polls() == 1)

    poll(door, session)
    thread.join(5)

    assert "messages" not in first[0]
    spool.send("cloud-1", subject="Hello")
    assert poll(door, session)["messages"]


def test_what_is_left_out_of_the_results_is_offered_again(door: Listening, spool: Spool) -> None:
    """A peer that says nothing of a message may not have it."""
    ids = spool.send_many([{"to": "cloud-1", "subject": each} for each in ("one", "two")])
    session = hello(door)
    mail = poll(door, session)

    again = poll(door, session, n=mail["n"], results=[ACCEPTED])

    assert len(mail["messages"]) == 2
    assert len(again["messages"]) == 1
    assert len({spool.sent(id).state for id in ids}) == 2


@pytest.mark.parametrize(
    ("result", "state"),
    [({"r": "refused", "why": "no"}, State.DEAD), ({"r": "deferred", "why": "later"}, State.QUEUED)],
)
def test_a_result_says_what_becomes_of_the_message(
    door: Listening, spool: Spool, result: dict[str, Any], state: State
) -> None:
    """Refused is the end, deferred is not."""
    id = spool.send("cloud-1", subject="Hello")
    session = hello(door)
    mail = poll(door, session)
    poll(door, session, n=mail["n"], results=[result])

    assert spool.sent(id).state is state
    assert spool.sent(id).reason == result["why"]


def test_acks_go_with_polls_and_come_with_batches(door: Listening, spool: Spool) -> None:
    """What an agent here has done is told there, once; what one there has done moves the message here."""
    door.post({"messages": [item("msg-in")]}, "/batch")
    for message in spool.receive(agent="me"):
        with message:
            pass
    session = hello(door)
    mail = poll(door, session)
    assert {(each["re"], each["status"]) for each in mail["acks"]} == {("msg-in", "read"), ("msg-in", "done")}
    assert "acks" not in poll(door, session, n=mail["n"])

    id = spool.send("cloud-1", subject="Hello")
    mail = poll(door, session)
    poll(door, session, n=mail["n"], results=[ACCEPTED])
    ack = {"from": "cloud-1", "to": "me", "re": id, "status": "done", "outcome": "done"}
    assert door.post({"acks": [ack]}, "/batch").status_code == 200
    assert spool.sent(id).state is State.DONE


def test_a_script_s_ack_counts_for_what_it_was_handed(door: Listening, spool: Spool) -> None:
    """Who it says it is does not matter; whose message it names does."""
    id = spool.send("cloud-1", subject="Hello")
    session = hello(door)
    mail = poll(door, session)
    poll(door, session, n=mail["n"], results=[ACCEPTED])

    assert door.post({"from": "x", "to": "y", "re": id, "status": "read"}).json()["r"] == "accepted"
    assert spool.sent(id).state is State.READ
    assert door.post({"re": "msg-unknown", "status": "read"}).status_code == 422
    assert door.post({"re": id, "status": "dead"}).status_code == 422


def test_several_messages_of_a_script_are_lines(door: Listening, spool: Spool) -> None:
    """One commit for all of them, an answer for each."""
    import json

    lines = b"\n".join(json.dumps(each).encode() for each in (letter("msg-1"), {"to": "me"}, letter("msg-2")))
    answer = door.post(lines, changed={"content-type": "application/x-ndjson"})

    said = [json.loads(line) for line in answer.content.splitlines()]
    assert [(each["id"], each["r"]) for each in said] == [
        ("msg-1", "accepted"),
        ("", "refused"),
        ("msg-2", "accepted"),
    ]
    assert len(spool.inbox()) == 2


def test_a_message_with_files_is_refused_with_what_to_do(
    door: Listening, spool: Spool, tmp_path: Path
) -> None:
    """This road carries none: its sender must not wait for ever."""
    (tmp_path / "file").write_text("x")
    id = spool.send("cloud-1", subject="Hello", attach=[tmp_path / "file"])
    session = hello(door)
    poll(door, session)

    assert spool.sent(id).state is State.DEAD
    assert "ssh://" in (spool.sent(id).reason or "")


def test_a_peer_that_polls_no_more_is_let_go(
    door: Listening, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` must not call it linked, and another road may have its mail."""
    monkeypatch.setattr(sessions, "GONE_S", 0.2)
    poll(door, hello(door))
    assert spool.peer_row("cloud").state == "linked"

    assert soon(lambda: spool.peer_row("cloud").state == "waiting", within_s=10)


def test_a_probe_leaves_a_session_alone(door: Listening) -> None:
    """`spool peer check` looks, and disturbs nothing."""
    session = hello(door)
    probe = {"hello": {"f": "hello", "host": "cloud", "clock": 1.0}, "probe": True}

    answer = door.post(probe, "/hello").json()

    assert (answer["hello"]["host"], answer["session"]) == ("here", "")
    assert poll(door, session) is not None


@pytest.mark.parametrize(
    ("said", "status"), [({"host": "here"}, 403), ({"host": "no name"}, 403), ({"least": 99, "v": 99}, 426)]
)
def test_hosts_that_cannot_talk_are_told_why(door: Listening, said: dict[str, Any], status: int) -> None:
    """The reason goes to who has the secret."""
    greet = {"hello": {"f": "hello", "host": "cloud", "clock": 1.0, **said}}

    answer = door.post(greet, "/hello")

    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_peer_that_we_dial_too_has_no_session(tmp_path: Path) -> None:
    """Its mail is posted to it by the consumer here: two ways out would be one too many."""
    secret = tmp_path / "other.secret"
    peers = f'[peers.both]\nurl = "http://127.0.0.1:1/chat"\nagents = ["both-*"]\nsecret_file = "{secret}"\n'
    door = Listening(tmp_path, peers=peers)
    try:
        secret.write_text(door.secret)
        secret.chmod(0o600)
        greet = {"hello": {"f": "hello", "host": "both", "clock": time.time()}}
        answer = door.post(greet, "/hello", changed={"spool-peer": "both"})
        assert (answer.status_code, answer.json()["session"]) == (200, "")
    finally:
        door.close()

"""wait_for_message: it wakes at once, tells that it waits, can be left, and holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp import Client

from spool import waiting
from spool.api import Spool
from spool.mcp_server import awaiting
from spool.states import Held
from tests.desk import arrive, make_home, told
from tests.mcp_client import Agent, outside, text_of


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(make_home(tmp_path, "me", "you"), agent="me") as spool:
        yield spool


@pytest.fixture
def agent(spool: Spool) -> Agent:
    return Agent(spool.home)


@pytest.fixture
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds in use takes a moment."""
    monkeypatch.setattr(awaiting, "LOOK_S", 0.05)
    monkeypatch.setattr(awaiting, "TELL_EVERY_S", 0.05)


def test_mail_that_is_there_is_told_at_once_and_stays_unread(agent: Agent, spool: Spool) -> None:
    """Waiting is looking: read_message is what shows it."""
    arrive(spool, id="msg-1", subject="Red lamp")
    text = agent.call("wait_for_message", timeout_s=100)

    assert "msg-1" in outside(text) and "Red lamp" in text
    assert spool.received("msg-1").state is Held.UNREAD


def test_mail_that_comes_ends_the_wait(agent: Agent, spool: Spool) -> None:
    """An agent that waits is woken by the doorbell, not by the end of its time."""
    sender = threading.Timer(0.3, lambda: Spool(spool.home).send("me", body="Here", agent="you"))
    sender.start()
    begun = time.monotonic()
    text = agent.call("wait_for_message", timeout_s=100, sender="you")
    sender.join()

    assert "from you" in outside(text)
    assert time.monotonic() - begun < 30


def test_an_answer_ends_the_wait_for_it(agent: Agent, spool: Spool) -> None:
    """Other mail does not."""
    id = spool.send("cloud-1", body="Done?")
    arrive(spool, id="msg-other")
    arrive(spool, id="msg-answer", re=id)
    text = outside(agent.call("wait_for_message", message_id=id))

    assert "msg-answer" in text and "msg-other" not in text


def test_the_end_of_a_message_ends_the_wait_for_its_answer(
    agent: Agent, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may never be one: who was asked said that it is done."""
    monkeypatch.setattr(waiting, "ANSWER_FOLLOWS_S", 0.0)
    id = spool.send("cloud-1", body="Do it")
    told(spool, id, "rejected")
    assert "rejected" in agent.call("wait_for_message", message_id=id)


def test_a_dead_message_has_no_answer(agent: Agent, spool: Spool) -> None:
    """Waiting on is no use, and the reason says why."""
    id = spool.send("cloud-1", body="Do it")
    spool.cancel(id)
    assert "cancelled" in agent.refused("wait_for_message", message_id=id)


def test_only_what_one_sent_can_be_answered(agent: Agent, spool: Spool) -> None:
    """Waiting for an answer to what came would wait for ever."""
    arrive(spool, id="msg-1")
    assert "no_such_message" in agent.refused("wait_for_message", message_id="msg-1", timeout_s=100)


@pytest.mark.usefixtures("short_looks")
def test_no_mail_in_time_is_no_error(agent: Agent, spool: Spool) -> None:
    """The agent decides whether to wait on; for an answer it is told how far the question is."""
    id = spool.send("cloud-1", body="Done?")
    assert "No unread mail" in agent.call("wait_for_message", timeout_s=0.1, thread_id="t-1")
    late = agent.call("wait_for_message", timeout_s=0.1, message_id=id)
    assert id in late and "queued" in late and "cloud" in late


@pytest.mark.usefixtures("short_looks")
def test_it_tells_that_it_still_waits(agent: Agent) -> None:
    """A client that hears nothing takes a server for dead."""
    heard: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total))

    async def script(client: Client) -> str:
        return text_of(
            await client.call_tool("wait_for_message", {"timeout_s": 0.5}, progress_callback=progress)
        )

    assert "No unread mail" in agent.talk(script)
    assert len(heard) >= 2
    assert all(0 < done <= 0.6 and total == 0.5 for done, total in heard)


def test_it_tells_often_enough() -> None:
    """Every ten seconds at least, and below the two minutes that clients wait for a call."""
    assert awaiting.TELL_EVERY_S + awaiting.LOOK_S <= 10
    assert awaiting.MOST_S <= 100


def test_a_wait_can_be_taken_back_and_holds_up_nobody(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """More waits than there are threads: other calls go on all the while, and so do they after it."""
    monkeypatch.setattr(awaiting, "LOOK_S", 0.5)
    ended: list[str] = []

    async def script(client: Client) -> str:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                await client.call_tool("wait_for_message", {"timeout_s": 100})
                ended.append("waited")

            for _ in range(awaiting.MOST_WAITS + 8):
                tasks.start_soon(wait)
            await anyio.sleep(0.2)
            seen = text_of(await client.call_tool("check_inbox", {}))
            tasks.cancel_scope.cancel()
        again = text_of(await client.call_tool("check_inbox", {}))
        assert seen == again
        return seen

    begun = time.monotonic()
    assert "No unread mail fits" in agent.talk(script)
    assert ended == []
    assert time.monotonic() - begun < 60

"""Waiting from Python: for an answer, a state or mail; woken at once, and never for longer than asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.api import Spool
from spool.errors import BadInput, NotFound, WaitTimedOut
from spool.states import State
from tests.desk import acks, arrive, make_home, told


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A host with one agent and two peers."""
    with Spool(make_home(tmp_path, "me")) as made:
        yield made


@pytest.fixture
def soon() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do something in a moment, on another thread."""
    timers: list[threading.Timer] = []

    def begin(call: Callable[[], object]) -> None:
        timers.append(threading.Timer(0.15, call))
        timers[-1].start()

    yield begin
    for timer in timers:
        timer.join()


Soon = Callable[[Callable[[], object]], None]


def far_answer(home: Path, id: str) -> None:
    """An answer comes in over a link of another process, which rings."""
    from spool import doorbell

    with Spool(home) as other:
        arrive(other, id="answer-1", re=id, body="42")
        doorbell.ring(home / "run")


def test_a_request_returns_its_answer(spool: Spool, soon: Soon) -> None:
    """As a message; it is done, and its sender is told so."""

    def answer() -> None:
        (row,) = spool.outbox()
        assert b'"requires_response":true' in row.raw
        far_answer(spool.home, row.id)

    soon(answer)
    begun = time.monotonic()
    message = spool.request("cloud-1", subject="How many?", timeout=60)

    assert (message.body, message.id) == ("42", "answer-1")
    assert time.monotonic() - begun < 20
    assert spool.received("answer-1").state == "done"
    assert [ack.status for ack in acks(spool)] == ["done"]


def test_a_request_without_an_answer_ends_in_time(spool: Spool) -> None:
    """The question stays on its way; its id is in the error."""
    with pytest.raises(WaitTimedOut, match=r"no answer to msg-.* within 0.2 s") as caught:
        spool.request("cloud-1", body="?", timeout=0.2)

    assert caught.value.id is not None and caught.value.exit_code == 3
    assert spool.state(caught.value.id) is State.QUEUED


def test_a_request_that_dies_says_why(spool: Spool, soon: Soon) -> None:
    """At once, not at the end of the wait."""
    soon(
        lambda: (
            told(spool, spool.outbox()[0].id, "dead", note="nobody there") or spool.send("me", body="ring")
        )
    )
    begun = time.monotonic()

    with pytest.raises(BadInput, match="is dead: nobody there"):
        spool.request("cloud-1", body="?", timeout=60)
    assert time.monotonic() - begun < 30


def test_a_local_request(tmp_path: Path, soon: Soon) -> None:
    """Between two agents of one host."""
    with Spool(make_home(tmp_path, "a", "b")) as spool:

        def serve() -> None:
            with Spool(spool.home, agent="b") as mine, next(iter(mine.receive(timeout=5))) as question:
                question.reply(f"{question.body} yourself")

        soon(serve)
        assert spool.request("b", body="Hello", agent="a", timeout=10).body == "Hello yourself"


def test_an_answer_that_came_before_is_found_at_once(spool: Spool) -> None:
    """It stays unread; the latest of several is taken."""
    id = spool.send("cloud-1", body="?")
    arrive(spool, id="answer-1", re=id)
    arrive(spool, id="answer-2", re=id)

    assert spool.wait_for_answer(id, timeout=0).id == "answer-2"
    assert spool.unread() == 2


def test_the_latest_answer_counts_though_an_earlier_one_is_archived(spool: Spool) -> None:
    """Archived does not mean newer."""
    id = spool.send("cloud-1", body="?")
    arrive(spool, id="answer-1", re=id)
    spool.done(["answer-1"])
    spool.archive(older_than_s=-1.0)
    arrive(spool, id="answer-2", re=id)

    assert spool.wait_for_answer(id, timeout=0).id == "answer-2"


@pytest.mark.parametrize(
    ("status", "wanted", "there"),
    [
        ("received", State.RECEIVED, True),
        ("done", State.RECEIVED, True),
        ("rejected", State.DONE, True),
        ("received", State.READ, False),
        (None, State.RECEIVED, False),
        (None, State.QUEUED, True),
    ],
)
def test_a_state_is_waited_for(spool: Spool, status: str | None, wanted: State, there: bool) -> None:
    """Or one that is further."""
    id = spool.send("cloud-1", body="x")
    if status is not None:
        told(spool, id, status)

    if there:
        assert spool.wait_for_state(id, wanted, timeout=0).id == id
    else:
        with pytest.raises(WaitTimedOut, match=f"is {spool.state(id)} after 0.1 s, not {wanted}"):
            spool.wait_for_state(id, wanted, timeout=0.1)


def test_a_dead_message_reaches_no_state(spool: Spool) -> None:
    """It is said at once, and why."""
    id = spool.send("cloud-1", body="x")
    spool.cancel(id)

    with pytest.raises(BadInput, match="is dead: cancelled"):
        spool.wait_for_state(id, State.RECEIVED, timeout=10)


def test_the_end_is_an_answer_or_done(spool: Spool) -> None:
    """The answer where there is one; else the row of what is done, a moment after."""
    asked, plain, open_ = (spool.send("cloud-1", body="x") for _ in range(3))
    arrive(spool, id="answer-1", re=asked)
    told(spool, asked, "done")
    told(spool, plain, "done")

    assert spool.wait_for_end(asked, timeout=0).id == "answer-1"
    assert spool.wait_for_end(plain, timeout=0.1).id == plain
    with pytest.raises(WaitTimedOut):
        spool.wait_for_end(open_, timeout=0.1)
    with pytest.raises(BadInput, match="is dead: cancelled"):
        spool.wait_for_end(spool.cancel(open_), timeout=10)


def test_mail_is_waited_for(spool: Spool, soon: Soon) -> None:
    """From anybody or from one; it stays unread."""
    soon(lambda: far_answer(spool.home, "q1"))
    begun = time.monotonic()
    (row,) = spool.wait_for_mail(timeout=10)

    assert row.id == "answer-1" and time.monotonic() - begun < 20 and spool.unread() == 1
    assert spool.wait_for_mail(sender="cloud-1", timeout=0) == [row]
    with pytest.raises(WaitTimedOut, match=r"no unread mail from far-1 for me within 0\.1 s"):
        spool.wait_for_mail(sender="far-1", timeout=0.1)


@pytest.mark.parametrize(
    "wait",
    [
        lambda spool, id: spool.wait_for_answer(id, timeout=1),
        lambda spool, id: spool.wait_for_state(id, State.DONE, timeout=1),
        lambda spool, id: spool.wait_for_end(id, timeout=1),
    ],
)
def test_an_unknown_message_is_not_waited_for(spool: Spool, wait: Any) -> None:
    """It would never come."""
    with pytest.raises(NotFound):
        wait(spool, "msg-unknown")


def test_waiting_leaves_no_bell(spool: Spool) -> None:
    """However it ends."""
    with pytest.raises(WaitTimedOut):
        spool.wait_for_mail(timeout=0)

    assert list((spool.home / "run").glob("*.bell")) == []

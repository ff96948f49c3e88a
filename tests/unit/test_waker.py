"""The waker against inbox sockets of the documented form: told once, tried again, left in the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import log
from spool.api import Spool
from spool.clients import claude_inbox
from spool.clients.claude_inbox import Address, NotDelivered
from spool.clock import Clock
from spool.resting import EVERY_S, SETTLED_S
from spool.waker import AGAIN_S, Waker
from tests.desk import Turned, arrive, clocked, make_home
from tests.hooks import SESSION, hook
from tests.listening import TOKEN, Inbox


@pytest.fixture
def now() -> Turned:
    """The time of day, and the one that never jumps."""
    return Turned(time.time())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with one agent."""
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path, now: Turned, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """For that agent, with a log."""
    monkeypatch.setattr(log, "_sinks", None)
    log.configure(home, role="consumer", host="here", version="0", stderr=False)
    with clocked(home, now, agent="me") as made:
        yield made


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """The socket of a session."""
    with Inbox(tmp_path / "inbox.sock") as made:
        yield made


@pytest.fixture
def waker(spool: Spool, now: Turned) -> Waker:
    """One that looks when it is told to."""
    return Waker(spool.home / "run", spool.store, Clock(now, now))


def idle(spool: Spool, now: Turned, wake: str) -> None:
    """A session of this process idles."""
    spool.attend(SESSION, pid=os.getpid(), wake=wake)
    now.at += SETTLED_S


def logged(spool: Spool, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (spool.home / "log" / log.FILE).read_text().splitlines())
    return [line for line in lines if line["event"] == event]


def test_an_idle_session_is_told_of_new_mail(spool: Spool, now: Turned, inbox: Inbox, waker: Waker) -> None:
    """The token, then one line of JSON, once; what was done stands in the log, and the mail is unread."""
    idle(spool, now, inbox.kept)
    arrive(spool, id="m-000001", subject="Line\nbreak")
    for _ in range(3):
        waker.look()
        now.at += EVERY_S
    text = inbox.next().text
    assert "000001 P2 cloud-1" in text and "Line\\nbreak" in text
    assert inbox.is_silent() and spool.unread() == 1
    (said,) = logged(spool, "session.woken")
    assert (said["how"], said["session"], said["agent"]) == ("socket", SESSION, "me")
    assert (said["ids"], said["count"], said["attempt"]) == (["m-000001"], 1, 1)
    assert said["said"] in ("nothing", "closed")


def test_where_there_is_no_token_the_message_stands_alone(
    tmp_path: Path, spool: Spool, now: Turned, waker: Waker
) -> None:
    """The line that opens it is optional but on Windows."""
    with Inbox(tmp_path / "open.sock", token="") as inbox:
        idle(spool, now, inbox.kept)
        arrive(spool, id="m-000001")
        waker.look()
        assert "000001" in inbox.next().text and inbox.is_silent()


def test_what_it_answers_is_logged_without_its_token(
    tmp_path: Path, spool: Spool, now: Turned, waker: Waker
) -> None:
    """It is evidence, on one line; the token opens the session to anybody who reads the log."""
    with Inbox(tmp_path / "loud.sock", answer=b"held\n" + TOKEN.encode()) as inbox:
        idle(spool, now, inbox.kept)
        arrive(spool, id="m-000001")
        waker.look()
        inbox.next()
    (said,) = logged(spool, "session.woken")
    assert said["said"] == "held\\n(token)"
    assert TOKEN not in (spool.home / "log" / log.FILE).read_text()


def test_the_prompt_that_follows_is_not_a_person_and_is_not_told_again(
    home: Path, spool: Spool, now: Turned, inbox: Inbox, waker: Waker
) -> None:
    """spool's own text must not end what keeps agents from answering in circles."""
    idle(spool, now, inbox.kept)
    arrive(spool, id="m-000001")
    waker.look()
    prompt = f"<from-another-session>{inbox.next().text}</from-another-session>"
    arrive(spool, id="m-000002")
    told = hook(home, "user-prompt-submit", prompt=prompt)
    assert "000002" in told and "000001" not in told
    found = spool.session(SESSION)
    assert found is not None and found.busy and found.prompted_at is None


def test_one_that_nobody_listens_to_is_tried_again_and_then_left(
    spool: Spool, now: Turned, inbox: Inbox, waker: Waker
) -> None:
    """Three times, later and later; the mail is unread, and the next turn tells of it."""
    idle(spool, now, inbox.kept)
    inbox.close()
    arrive(spool, id="m-000001")
    for wait_s in (0.0, *AGAIN_S, 60.0, 60.0):
        now.at += wait_s - 0.1
        waker.look()
        now.at += 0.1
        waker.look()
    failed = logged(spool, "session.wake_failed")
    assert [each["attempt"] for each in failed] == [1, 2, 3, 4]
    assert [each["again_s"] for each in failed] == [*AGAIN_S, None]
    assert "refused" in failed[0]["error"] and not logged(spool, "session.woken")
    assert [row.id for row in spool.news(SESSION)] == ["m-000001"]


def test_one_that_comes_back_is_told_then(
    tmp_path: Path, spool: Spool, now: Turned, inbox: Inbox, waker: Waker
) -> None:
    """Also where its socket is another one by now."""
    idle(spool, now, inbox.kept)
    inbox.close()
    arrive(spool, id="m-000001")
    waker.look()
    with Inbox(tmp_path / "another.sock") as again:
        with spool.store.write(sync=False) as tx:
            tx.sessions.update(SESSION, wake=again.kept)
        now.at += AGAIN_S[0]
        waker.look()
        assert "000001" in again.next().text
    (said,) = logged(spool, "session.woken")
    assert said["attempt"] == 2


def test_one_that_works_by_then_is_not_tried_again(
    spool: Spool, now: Turned, inbox: Inbox, waker: Waker
) -> None:
    """Its own hooks tell it."""
    idle(spool, now, inbox.kept)
    inbox.close()
    arrive(spool, id="m-000001")
    waker.look()
    spool.note_prompt(SESSION)
    now.at += 60
    waker.look()
    assert len(logged(spool, "session.wake_failed")) == 1


def test_two_wakers_of_one_home_wake_once(spool: Spool, now: Turned, inbox: Inbox) -> None:
    """The consumer and each far end of a link have one; both are rung at once."""
    idle(spool, now, inbox.kept)
    wakers = [Waker(spool.home / "run", spool.store, Clock(now, now)) for _ in range(4)]
    for waker in wakers:
        waker.start()
    try:
        for n in range(3):
            arrive(spool, id=f"m-{n:06}")
            assert f"{n:06} P2" in inbox.next().text
            now.at += EVERY_S
    finally:
        for waker in wakers:
            waker.stop()
    assert inbox.is_silent() and len(logged(spool, "session.woken")) == 3


def test_the_ways_in_are_forgotten_with_the_session(
    home: Path, spool: Spool, now: Turned, inbox: Inbox, waker: Waker
) -> None:
    """A token is kept no longer than it opens anything: ended by its hook, by its client, or killed."""
    idle(spool, now, inbox.kept)
    hook(home, "session-end")
    spool.attend("s2", client="c", pid=os.getpid(), wake=inbox.kept)
    spool.attend("s3", client="c", pid=os.getpid(), wake=inbox.kept)
    spool.attend("s4", pid=os.getppid(), wake=inbox.kept)
    spool.leave("s4")
    with subprocess.Popen(["sleep", "60"]) as child:
        spool.attend("s5", pid=child.pid, wake=inbox.kept)
        child.kill()
    waker.look()
    kept = {id: found.wake for id in (SESSION, "s2", "s3", "s4", "s5") if (found := spool.session(id))}
    assert kept == {SESSION: None, "s2": None, "s3": inbox.kept, "s4": None, "s5": None}


def test_what_is_no_address_is_forgotten(spool: Spool, now: Turned, waker: Waker) -> None:
    """Another version of spool kept it."""
    idle(spool, now, '{"pipe": 1}')
    arrive(spool, id="m-000001")
    waker.look()
    (said,) = logged(spool, "session.wake_failed")
    assert "no address" in said["error"]
    found = spool.session(SESSION)
    assert found is not None and found.wake is None


def test_a_session_that_does_not_take_it_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody accepts, and nobody reads."""
    monkeypatch.setattr(claude_inbox, "LIMIT_S", 0.1)
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(str(tmp_path / "full.sock"))
        full.listen(0)
        first.connect(full.getsockname())
        where = Address(socket=full.getsockname())
        with pytest.raises(NotDelivered, match="full"):
            claude_inbox.deliver(where, "mail")
        channel, _ = full.accept()
        with channel, pytest.raises(NotDelivered, match="timed out"):
            claude_inbox.deliver(where, "x" * 10_000_000)


def test_its_token_goes_to_no_other_place(tmp_path: Path) -> None:
    """A file in the place of a socket, a socket that is gone, one with a name that is too long."""
    (tmp_path / "file").touch()
    for name in ("file", "gone", "l" * 120):
        with pytest.raises(NotDelivered, match=name):
            claude_inbox.deliver(Address(socket=str(tmp_path / name), token=TOKEN), "mail")
    assert TOKEN not in repr(Address(socket="/s", token=TOKEN))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {claude_inbox.SOCKET: "relative"},
        {claude_inbox.SOCKET: r"\\.\pipe\claude"},
        {claude_inbox.SOCKET: "/" + "s" * 5000},
        {claude_inbox.SOCKET: "/s", claude_inbox.TOKEN: "t" * 5000},
    ],
)
def test_what_is_no_socket_is_not_kept(environment: dict[str, str]) -> None:
    """What stands in an environment need not be what it is called."""
    assert claude_inbox.kept(environment) is None


def test_the_start_of_a_session_keeps_its_socket_where_asked(
    home: Path, spool: Spool, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opt-in: without `--wake socket` nobody is woken, and no token is kept."""
    monkeypatch.setenv(claude_inbox.SOCKET, str(inbox.path))
    monkeypatch.setenv(claude_inbox.TOKEN, TOKEN)
    hook(home, "session-start")
    found = spool.session(SESSION)
    assert found is not None and found.wake is None
    hook(home, "session-start", wake="socket")
    found = spool.session(SESSION)
    assert found is not None and claude_inbox.address(found.wake or "") == Address(
        socket=str(inbox.path), token=TOKEN
    )


def test_a_session_without_a_socket_starts_all_the_same(
    home: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older client has none; the log says that it cannot be woken."""
    monkeypatch.delenv(claude_inbox.SOCKET, raising=False)
    assert "You are me" in hook(home, "session-start", wake="socket")
    found = spool.session(SESSION)
    assert found is not None and found.wake is None
    (said,) = logged(spool, "hook.failed")
    assert "cannot be woken" in said["error"]


def test_a_thread_that_was_not_started_can_be_stopped(waker: Waker) -> None:
    """What ends a process does not ask how far it came."""
    waker.stop()
    waker.start()
    waker.stop()
    waker.stop()


def test_a_look_is_taken_at_each_ring(spool: Spool, now: Turned, inbox: Inbox, waker: Waker) -> None:
    """And once a second: nobody rings when a session begins to idle."""
    waker.start()
    try:
        spool.attend(SESSION, pid=os.getpid(), wake=inbox.kept)
        arrive(spool, id="m-000001")
        now.at += SETTLED_S
        assert "000001" in inbox.next().text
    finally:
        waker.stop()

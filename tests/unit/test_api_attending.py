"""Sessions from Python: who reads here as whom, and who else does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import sessions
from spool.api import Spool
from spool.errors import NoAgent, NotFound
from tests.desk import Turned, arrive, clocked, make_home

DAY_S = 86_400.0


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with two agents."""
    return make_home(tmp_path, "me", "you")


@pytest.fixture
def spool(home: Path, now: Turned) -> Iterator[Spool]:
    """For the agent `me`."""
    with clocked(home, now, agent="me") as made:
        yield made


def others(spool: Spool, session: str, **more: object) -> list[str]:
    return [each.id for each in spool.attend(session, **more)]  # type: ignore[arg-type]


def test_the_second_session_of_a_mailbox_is_told_of_the_first(spool: Spool, now: Turned) -> None:
    """Both would work on the same mail. One of another agent is none of its business."""
    assert others(spool, "one", pid=os.getpid(), cwd="/home/me") == []
    assert others(spool, "else", agent="you") == []
    now.at += 60
    (other,) = spool.attend("two", pid=os.getppid(), client="claude-code")

    assert (other.id, other.cwd, other.since) == ("one", "/home/me", now.at - 60)
    assert [each.id for each in spool.sessions("me")] == ["one", "two"]
    assert [each.id for each in spool.sessions()] == ["else", "one", "two"]


def test_hooks_and_server_of_one_client_are_one_reader(spool: Spool) -> None:
    """Both are started by the same process; neither is another session to the other."""
    assert others(spool, "hook", pid=os.getpid(), client="claude-code") == []
    assert others(spool, "server", pid=os.getpid(), client="mcp") == []
    assert others(spool, "hook", pid=os.getpid(), client="claude-code") == []
    found = spool.session_of_pid(os.getpid())
    assert found is not None and found.agent == "me"
    assert others(spool, "third", pid=os.getppid()) == ["hook"]


def test_a_session_whose_process_is_gone_lives_no_more(spool: Spool) -> None:
    """Killed, it says no goodbye: who comes next must not be told of a ghost."""
    with subprocess.Popen(["sleep", "60"]) as child:
        spool.attend("one", pid=child.pid)
        assert [each.id for each in spool.sessions()] == ["one"]
        child.kill()
    assert spool.sessions() == []
    assert spool.session_of_pid(child.pid) is None
    assert others(spool, "two") == []
    left = spool.session("one")
    assert left is not None and left.ended_at is None


def test_without_a_process_it_lives_while_it_is_seen(spool: Spool, now: Turned) -> None:
    """For twelve hours after the last time."""
    spool.attend("one")
    now.at += 11 * 3600
    spool.note_busy("one", True)
    now.at += 11 * 3600
    assert [each.id for each in spool.sessions()] == ["one"]
    now.at += 3600
    assert spool.sessions() == []


def test_who_leaves_is_gone(spool: Spool) -> None:
    """And may come back, as somebody else."""
    spool.attend("one", cwd="/a")
    spool.leave("one")
    assert spool.sessions() == []
    assert others(spool, "two") == []
    spool.attend("one", agent="you")
    assert [(each.id, each.agent, each.cwd) for each in spool.sessions("you")] == [("one", "you", "")]
    spool.leave("never seen")


def test_bound_again_it_keeps_since_when(spool: Spool, now: Turned) -> None:
    """A session that is compacted is the same; one that is resumed has another process, and another wake."""
    spool.attend("one", pid=os.getpid(), wake='{"socket": 1}', client="claude-code", cwd="/a")
    began = now.at
    now.at += 60
    spool.attend("one", pid=os.getpid())
    kept = spool.session("one")
    assert kept is not None
    assert (kept.since, kept.seen_at, kept.cwd) == (began, now.at, "/a")
    assert (kept.client, kept.wake) == ("claude-code", '{"socket": 1}')
    spool.attend("one", pid=os.getppid())
    moved = spool.session("one")
    assert moved is not None
    assert (moved.since, moved.pid, moved.wake) == (began, os.getppid(), None)


def test_one_process_of_a_client_has_one_session(spool: Spool) -> None:
    """Cleared, it begins another; the word that the old one ended may have been lost."""
    spool.attend("old", pid=os.getpid(), client="claude-code")
    assert others(spool, "new", pid=os.getpid(), client="claude-code") == []
    assert [each.id for each in spool.sessions()] == ["new"]


def test_nobody_attends_as_an_agent_that_is_not_here(home: Path) -> None:
    """Nor where several are here and none is chosen."""
    with Spool(home) as spool:
        for agent in ("nobody", None):
            with pytest.raises(NoAgent):
                spool.attend("one", agent=agent)
        assert spool.sessions() == []


def test_news_is_told_once_and_stays_unread(spool: Spool) -> None:
    """Until it is told all again, or the message is read."""
    spool.attend("one")
    arrive(spool, id="calm")
    arrive(spool, id="urgent", priority="P0")
    rows = spool.news("one")
    assert [row.id for row in rows] == ["urgent", "calm"]
    assert [row.id for row in spool.news("one", urgent_only=True)] == ["urgent"]
    assert spool.count_news("one") == 2

    spool.announce("one", rows[:1], "told")
    assert [row.id for row in spool.news("one")] == ["calm"]
    assert [row.id for row in spool.news("one", ways=("continued",), urgent_only=True)] == ["urgent"]
    assert spool.unread() == 2
    spool.forget_told("one")
    assert spool.count_news("one") == 2
    spool.read(rows)
    assert spool.news("one") == []


def test_news_of_no_session_is_an_error(spool: Spool) -> None:
    """Whoever asks is not bound to a mailbox."""
    with pytest.raises(NotFound, match="session-start"):
        spool.news("nobody")
    with pytest.raises(NotFound):
        spool.count_news("nobody")


def test_what_a_session_does_is_noted(spool: Spool, now: Turned) -> None:
    """A prompt makes it busy; that it is there is written once a minute."""
    spool.attend("one")
    now.at += 5
    spool.note_prompt("one")
    found = spool.session("one")
    assert found is not None
    assert (found.busy, found.prompted_at, found.seen_at) == (True, now.at, now.at)
    spool.note_busy("one", False)
    now.at += 59
    spool.note_seen(found)
    assert spool.session("one") == spool_session(found, busy=False)
    now.at += 1
    spool.note_seen(found)
    assert spool.session("one") == spool_session(found, busy=False, seen_at=now.at)


def spool_session(found: sessions.Session, **changed: object) -> sessions.Session:
    """A session with other values."""
    return sessions.Session(**{**{name: getattr(found, name) for name in found.__struct_fields__}, **changed})


def test_the_archive_run_forgets_who_is_gone(spool: Spool, now: Turned) -> None:
    """A day after they were last seen; one whose process still runs is there, however long it idles."""
    spool.attend("idle", pid=os.getpid())
    spool.attend("left")
    spool.leave("left")
    now.at += DAY_S - 1
    spool.archive()
    assert spool.session("left") is not None
    now.at += 1
    spool.archive()
    assert spool.session("left") is None
    assert [each.id for each in spool.sessions()] == ["idle"]

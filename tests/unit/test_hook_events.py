"""The five hooks: what a session is told, when, and that it is never taken for read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from spool.api import Spool
from spool.hook import deadline, events, run, turns
from spool.store.base import Session
from tests.desk import arrive, make_home
from tests.hooks import SESSION, hook, raw_hook

LONG_AGO = 10_000.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with one agent."""
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    """For that agent, to look and to receive."""
    with Spool(home) as made:
        yield made


def session(spool: Spool, id: str = SESSION) -> Session:
    found = spool.session(id)
    assert found is not None
    return found


def change(spool: Spool, **values: Any) -> None:
    """What some other process wrote of the session."""
    with spool.store.write(sync=False) as tx:
        assert tx.sessions.update(SESSION, **values)


def told_long_ago(spool: Spool) -> None:
    change(spool, told_at=spool._clock.now() - LONG_AGO)


# -- the start --------------------------------------------------------------------------------


def test_a_session_is_told_who_it_is(home: Path, spool: Spool) -> None:
    """And how it reads, also where there is no mail."""
    text = hook(home, "session-start")
    assert "You are me on here." in text and "`spool read ID`" in text
    assert text.endswith("No unread mail for me.")
    found = session(spool)
    assert (found.agent, found.client, found.cwd) == ("me", "claude-code", "/home/me/work")
    assert found.pid == os.getppid() and found.born is not None


def test_a_session_is_told_of_all_its_unread_mail_at_each_start(home: Path, spool: Spool) -> None:
    """Compacted or cleared, its context has forgotten; what it has read it is not told again."""
    arrive(spool, id="m-000001")
    arrive(spool, id="m-000002", priority="P1")
    for source in ("startup", "resume", "compact", "clear"):
        text = hook(home, "session-start", source=source)
        assert text.index("000002 P1 cloud-1") < text.index("000001 P2 cloud-1")
    assert spool.unread() == 2
    spool.read(spool.inbox())
    assert "No unread mail" in hook(home, "session-start", source="resume")


def test_the_second_session_is_told_of_the_first(home: Path, spool: Spool) -> None:
    """Two that work on one mailbox would do the same work twice."""
    with subprocess.Popen(["sleep", "60"]) as other:
        spool.attend("other", pid=other.pid, cwd="/home/me/<else>\nwhere")
        text = hook(home, "session-start")
        other.kill()
    assert "Another live session reads this mailbox in /home/me/\u2039else\u203a\\nwhere, since 0 s" in text
    assert "Another live session" not in hook(home, "session-start")


def test_of_many_sessions_some_are_named(home: Path, spool: Spool) -> None:
    """The text stays short."""
    for n in range(5):
        spool.attend(f"other-{n}")
    text = hook(home, "session-start")
    assert text.count("Another live session") == 3 and "And 2 more live sessions" in text


def test_the_environment_has_the_first_word_on_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook's own argument stands in settings that several projects share."""
    home = make_home(tmp_path, "me", "you")
    assert "You are you on here" in hook(home, "session-start", agent="you")
    monkeypatch.setenv("SPOOL_AGENT", "me")
    assert "You are me on here" in hook(home, "session-start", agent="you")
    monkeypatch.setenv("SPOOL_AGENT", "")
    assert "You are you on here" in hook(home, "session-start", agent="you")


def test_where_nobody_is_chosen_nobody_is_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess would read another agent's mail. It is told who there is, and how to choose."""
    home = make_home(tmp_path, "me", "you")
    text = hook(home, "session-start")
    assert "(me, you)" in text and "SPOOL_AGENT" in text and "\n" not in text
    monkeypatch.setenv("SPOOL_AGENT", "<nobody>")
    assert "\u2039nobody\u203a" in hook(home, "session-start")
    assert hook(home, "user-prompt-submit") == ""
    with Spool(home) as spool:
        assert spool.session(SESSION) is None


def test_a_host_without_agents_has_nothing_to_say(tmp_path: Path) -> None:
    """It relays; whoever works on it is no agent."""
    assert hook(make_home(tmp_path), "session-start") == ""


def test_later_shells_know_who_they_are(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often the session starts; a home that is not the default one is named too."""
    env = tmp_path / "env"
    env.write_text("export OTHER=1")
    monkeypatch.setenv("CLAUDE_ENV_FILE", str(env))
    quoted = home.with_name("it's")
    home.rename(quoted)
    for _ in range(2):
        hook(quoted, "session-start")
    shell = f". '{env}'; printf %s \"$SPOOL_AGENT:$SPOOL_HOME:$OTHER\""
    assert subprocess.check_output(["sh", "-c", shell], text=True) == f"me:{quoted}:1"
    assert env.read_text().count("SPOOL_AGENT") == 1


def test_the_last_word_on_the_agent_is_the_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of an earlier start must not win over this one."""
    home, env = make_home(tmp_path, "me", "you"), tmp_path / "env"
    monkeypatch.setenv("CLAUDE_ENV_FILE", str(env))
    for agent in ("me", "you", "me"):
        hook(home, "session-start", agent=agent)
    named = [line for line in env.read_text().splitlines() if "AGENT" in line]
    assert named == [f"export SPOOL_AGENT='{agent}'" for agent in ("me", "you", "me")]


def test_an_env_file_that_cannot_be_written_is_no_reason_for_silence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The context names the agent as well; the log says why."""
    monkeypatch.setenv("CLAUDE_ENV_FILE", str(tmp_path / "nowhere" / "env"))
    assert "You are me" in hook(home, "session-start")
    assert "No such file" in (home / "log" / "spool.jsonl").read_text()


# -- the turns --------------------------------------------------------------------------------


@pytest.fixture(params=["glance", "store"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways that a turn goes must do the same; the second one where the database cannot be glanced at."""
    if request.param == "store":

        def refuse(*_args: Any, **_more: Any) -> bool:
            raise apsw.Error("no")

        monkeypatch.setattr(turns, "settled", refuse)
    name: str = request.param
    return name


def test_nothing_new_is_nothing_printed(home: Path, spool: Spool, way: str) -> None:
    """Each character would stand in the context for the rest of the session."""
    arrive(spool, id="m-000001", priority="P1")
    hook(home, "session-start")
    assert hook(home, "stop") != ""
    for event in ("user-prompt-submit", "post-tool-use", "stop", "session-end"):
        assert hook(home, event) == ""


def test_a_prompt_is_told_of_new_mail_once(home: Path, spool: Spool, way: str) -> None:
    """And what is told stays unread."""
    hook(home, "session-start")
    arrive(spool, id="m-000001")
    assert "000001 P2 cloud-1" in hook(home, "user-prompt-submit")
    assert hook(home, "user-prompt-submit") == ""
    assert spool.unread() == 1


def test_a_prompt_is_noted_with_its_time(home: Path, spool: Spool, way: str) -> None:
    """Who would wake the session sees that its person is there, and that it works."""
    hook(home, "session-start")
    assert session(spool).prompted_at is None and not session(spool).busy
    hook(home, "user-prompt-submit")
    found = session(spool)
    assert found.busy and found.prompted_at == found.seen_at
    hook(home, "stop")
    assert not session(spool).busy
    assert session(spool).prompted_at == found.prompted_at


def test_what_woke_a_session_is_not_its_person(home: Path, spool: Spool, way: str) -> None:
    """spool's own text comes as a prompt; it works on it all the same."""
    hook(home, "session-start")
    change(spool, wake_text="1 unread message for me")
    hook(home, "user-prompt-submit", prompt="(spool) 1 unread message for me")
    assert session(spool).prompted_at is None and session(spool).busy
    hook(home, "user-prompt-submit", prompt="And now the tests.")
    assert session(spool).prompted_at is not None


def test_what_its_client_tells_a_session_is_not_its_person(home: Path, spool: Spool, way: str) -> None:
    """A monitor's lines and the end of a task in the background come as prompts too."""
    hook(home, "session-start")
    hook(home, "user-prompt-submit", prompt="<task-notification>\n<summary>m-1 P2 a: Hi</summary>")
    assert session(spool).prompted_at is None and session(spool).busy


def test_a_session_whose_start_went_by_is_bound_by_a_prompt(home: Path, spool: Spool, way: str) -> None:
    """The hooks are newer than the session, or the store was busy when it began."""
    arrive(spool, id="m-000001")
    for event in ("post-tool-use", "stop", "session-end"):
        assert hook(home, event) == ""
    assert "000001 P2" in hook(home, "user-prompt-submit")
    assert session(spool).agent == "me"


def test_work_is_told_of_mail_now_and_then(home: Path, spool: Spool, way: str) -> None:
    """Not at each step: of what came meanwhile it is told together."""
    hook(home, "session-start")
    arrive(spool, id="m-000001")
    assert "000001 P2" in hook(home, "post-tool-use")
    arrive(spool, id="m-000002", priority="P1")
    arrive(spool, id="m-000003")
    assert hook(home, "post-tool-use") == ""
    told_long_ago(spool)
    text = hook(home, "post-tool-use")
    assert "000002 P1" in text and "000003 P2" in text and "000001" not in text


def test_work_is_told_of_the_most_urgent_at_once(home: Path, spool: Spool, way: str) -> None:
    """P0 is what one stops for."""
    hook(home, "session-start")
    arrive(spool, id="m-000001")
    hook(home, "post-tool-use")
    arrive(spool, id="m-000002", priority="P0")
    assert "000002 P0" in hook(home, "post-tool-use")


def test_that_a_session_works_is_written_once_a_minute(home: Path, spool: Spool, way: str) -> None:
    """A hook runs at each step; where nothing is new the file is left alone."""
    hook(home, "session-start")
    began, written = session(spool).seen_at, (home / "spool.db-wal").read_bytes()
    for _ in range(3):
        hook(home, "post-tool-use")
    assert (home / "spool.db-wal").read_bytes() == written
    change(spool, seen_at=began - 61, busy=True)
    hook(home, "post-tool-use")
    assert session(spool).seen_at >= began and session(spool).busy


def test_urgent_mail_keeps_a_session_from_stopping_once(home: Path, spool: Spool, way: str) -> None:
    """It was told of it before, maybe in the middle of something; a second time would be a loop."""
    hook(home, "session-start")
    arrive(spool, id="m-000001", priority="P1")
    arrive(spool, id="m-000002", priority="P2")
    assert "000001 P1" in hook(home, "user-prompt-submit")
    text = hook(home, "stop")
    assert "000001 P1" in text and "000002" not in text
    assert session(spool).busy
    assert hook(home, "stop") == ""
    assert not session(spool).busy
    arrive(spool, id="m-000003", priority="P0")
    assert "000003 P0" in hook(home, "stop")
    assert spool.unread() == 3


def test_what_a_session_goes_on_for_it_need_not_be_told(home: Path, spool: Spool, way: str) -> None:
    """What it goes on with named it."""
    hook(home, "session-start")
    arrive(spool, id="m-000001", priority="P0")
    assert "000001 P0" in hook(home, "stop")
    assert hook(home, "user-prompt-submit") == ""


def test_a_session_that_is_resumed_does_not_go_on_for_the_same_again(
    home: Path, spool: Spool, way: str
) -> None:
    """Its start tells of it once more, and that is enough."""
    hook(home, "session-start")
    arrive(spool, id="m-000001", priority="P0")
    assert "000001 P0" in hook(home, "stop")
    assert "000001 P0" in hook(home, "session-start", source="resume")
    assert hook(home, "stop") == ""


def test_a_session_without_spool_on_its_path_is_told_where_it_is(
    home: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its hooks were installed by their whole path; its shells would say: command not found."""
    monkeypatch.setattr("sys.argv", ["/opt/own/bin/spool", "hook", "session-start"])
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "it is /opt/own/bin/spool." in hook(home, "session-start")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "spool").touch(mode=0o755)
    assert "not on the PATH" not in hook(home, "session-start")


def test_what_was_told_as_a_number_does_not_drip_into_the_context(home: Path, spool: Spool, way: str) -> None:
    """A backlog of hundreds would fill it turn by turn; what comes after the start is news."""
    for n in range(300):
        arrive(spool, id=f"m-{n:06}", subject="x" * 60)
    assert "300 unread messages" in hook(home, "session-start")
    assert hook(home, "user-prompt-submit") == hook(home, "post-tool-use") == ""
    arrive(spool, id="m-999999")
    assert "1 new message for" in hook(home, "user-prompt-submit")
    assert spool.unread() == 301


def test_a_session_that_goes_on_already_may_stop(home: Path, spool: Spool, way: str) -> None:
    """Whatever keeps it from stopping, it is not kept again."""
    hook(home, "session-start")
    arrive(spool, id="m-000001", priority="P0")
    assert hook(home, "stop", stop_hook_active=True) == ""
    assert not session(spool).busy
    assert "000001 P0" in hook(home, "stop")


def test_urgent_mail_that_was_read_keeps_nobody(home: Path, spool: Spool, way: str) -> None:
    """There is nothing left to go on for."""
    hook(home, "session-start")
    arrive(spool, id="m-000001", priority="P0")
    spool.read(spool.inbox())
    assert hook(home, "stop") == ""


def test_what_ends_is_told_nothing_more(home: Path, spool: Spool, way: str) -> None:
    """Its hooks may still run; its mailbox is free for another."""
    hook(home, "session-start")
    hook(home, "session-end")
    arrive(spool, id="m-000001", priority="P0")
    assert session(spool).ended_at is not None
    for event in ("post-tool-use", "stop"):
        assert hook(home, event) == ""


def test_subagents_are_left_alone(home: Path, spool: Spool) -> None:
    """The session that they work for is told; they would take its mail for their task."""
    arrive(spool, id="m-000001", priority="P0")
    for event in events.EVENTS:
        assert hook(home, event, agent_id="agent-1", agent_type="general-purpose") == ""
    assert spool.session(SESSION) is None


def test_what_does_not_fit_is_told_later(home: Path, spool: Spool) -> None:
    """Ten thousand characters are the most a hook may say; the rest is a number, and news still."""
    hook(home, "session-start")
    for n in range(180):
        arrive(spool, id=f"m-{n:06}", subject="x" * 60)
    first = hook(home, "user-prompt-submit")
    assert "180 new messages" in first and "and " in first.splitlines()[-1]
    second = hook(home, "user-prompt-submit")
    named = [
        line.split()[0] for text in (first, second) for line in text.splitlines() if " P2 cloud-1 " in line
    ]
    assert named == [f"{n:06}" for n in range(180)]
    assert hook(home, "user-prompt-submit") == ""


def test_unknown_fields_and_other_types_are_nothing(home: Path) -> None:
    """A newer client says more; what is not text is not taken for it."""
    assert "You are me" in hook(home, "session-start", source=7, more={"a": [1]}, cwd=None)
    assert hook(home, "user-prompt-submit", prompt=["a"], agent_id=None) == ""


BAD = [
    b"",
    b"nonsense",
    b"[]",
    b"\xff\xfe",
    b'{"session_id": 7}',
    b'{"session_id": ""}',
    b'{"cwd": "/"}',
    b'{"session_id": "' + b"s" * 201 + b'"}',
    b"[" * 200_000,
]


def test_an_input_without_end_is_not_read_to_its_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool's answer is part of it, and has no limit."""
    monkeypatch.setattr(run, "MOST_BYTES", 1000)
    assert hook(home, "session-start", more="x" * 500) != ""
    assert hook(home, "session-start", more="x" * 1000) == ""


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_input_is_answered_by_nothing(home: Path, text: bytes) -> None:
    """One line in the log says so."""
    assert raw_hook(home, "user-prompt-submit", text) == b""
    (line,) = (home / "log" / "spool.jsonl").read_text().splitlines()
    assert '"hook.failed"' in line and '"role":"hook"' in line and "the input" in line


def test_a_hook_whose_time_is_up_says_so_in_the_log(
    home: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the database: nothing was printed, and a person can find out why."""
    monkeypatch.setattr(deadline, "_LAST_S", 60.0)
    monkeypatch.setattr(run, "DEADLINE_S", 60.2)
    with spool.store.write(sync=False):
        assert hook(home, "session-start") == ""
    assert "its time was up" in (home / "log" / "spool.jsonl").read_text()


def test_no_home_is_nothing_to_say(tmp_path: Path) -> None:
    """Many projects have none; a hook leaves nothing behind there."""
    assert hook(tmp_path / "none", "session-start") == ""
    assert list(tmp_path.iterdir()) == []


def test_a_broken_home_is_silent(home: Path) -> None:
    """The log says what is wrong; the session works on."""
    (home / "spool.toml").write_text("nonsense")
    assert hook(home, "session-start") == ""
    assert "BadConfig" in (home / "log" / "spool.jsonl").read_text()

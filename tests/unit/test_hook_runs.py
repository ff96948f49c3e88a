"""Hooks as processes: killed, stuck, or called with nonsense, they never disturb the session."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from tests import crashing
from tests.desk import arrive, make_home
from tests.hooks import COMMAND, SESSION, end_hook, given, said, start_hook
from tests.hosts import ENV

HEAVY = {
    "click",
    "msgspec",
    "structlog",
    "tomlkit",
    "paramiko",
    "huey",
    "rich",
    "tomllib",
    "socket",
    "hashlib",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with one agent."""
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    """For that agent, with one message, and a session that was told of nothing."""
    with Spool(home) as made:
        made.attend(SESSION, pid=os.getpid())
        arrive(made, id="m-000001", priority="P1")
        yield made


def announced(spool: Spool) -> int:
    return 1 - spool.count_news(SESSION)


def logged(home: Path) -> list[str]:
    """What the log says of hooks that failed."""
    lines = map(json.loads, (home / "log" / "spool.jsonl").read_text().splitlines())
    return [line["error"] for line in lines if line["event"] == "hook.failed"]


def killed(home: Path, tmp_path: Path, event: str, point: str) -> bytes:
    """What a hook printed that was killed by -9 at this point."""
    command = crashing.command(point, tmp_path / "died", "hook")
    process = start_hook(home, event, command=command)
    output = end_hook(process, given(event), code=-signal.SIGKILL)
    assert (tmp_path / "died").exists()
    return output


@pytest.mark.parametrize("event", ["session-start", "user-prompt-submit", "post-tool-use", "stop"])
def test_killed_after_it_told_it_tells_again(home: Path, spool: Spool, tmp_path: Path, event: str) -> None:
    """What it printed may never have been read: the message is unread, and news still."""
    first = said(event, killed(home, tmp_path, event, "hook told, not noted"))
    assert "000001 P1 cloud-1" in first
    assert (announced(spool), spool.unread()) == (0, 1)

    again = said(event, end_hook(start_hook(home, event), given(event)))
    assert "000001 P1 cloud-1" in again
    assert (announced(spool), spool.unread()) == (1, 1)


def test_hooks_at_once_tell_once(home: Path, spool: Spool) -> None:
    """Tools that run side by side end together, and each has its hook."""
    text = given("post-tool-use")
    started = [start_hook(home, "post-tool-use") for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
    outputs = [end_hook(process) for process in started]
    assert sorted(map(bool, outputs)) == [False, False, False, True]


def test_killed_before_it_told_it_has_told_nothing(home: Path, spool: Spool, tmp_path: Path) -> None:
    """Not a character of it, and it is not taken for told."""
    assert killed(home, tmp_path, "user-prompt-submit", "hook looked, not told") == b""
    assert (announced(spool), spool.unread()) == (0, 1)


def test_the_time_it_may_take_has_an_end(home: Path, spool: Spool) -> None:
    """Whoever holds the database, and whatever does not come: the session goes on. What a locked database
    keeps from being written is told once more."""
    with spool.store.write(sync=False):
        began = time.monotonic()
        names = ("session-start", "user-prompt-submit", "post-tool-use")
        bind, tell, read = (start_hook(home, event) for event in names)
        for process, event in zip((bind, tell, read), names, strict=True):
            assert process.stdin is not None
            process.stdin.write(given(event))
            process.stdin.flush()
            if process is not read:
                process.stdin.close()
                process.stdin = None
        outputs = [end_hook(bind), end_hook(tell)]
        # Its input never ends.
        assert read.wait(60) == 0
        took = time.monotonic() - began
    assert outputs[0] == end_hook(read) == b""
    assert "000001 P1" in said("user-prompt-submit", outputs[1])
    assert took < 30
    assert (announced(spool), spool.unread()) == (0, 1)


def test_words_that_are_none_are_no_words_to_the_session(home: Path) -> None:
    """Exit code 2 would keep a session from stopping, for ever; the settings are another version's."""
    for words in (["before-all"], ["stop", "--nonsense", "x"], ["stop", "stop"], ["stop", "--agent"]):
        done = subprocess.run(
            [*COMMAND, "hook", *words], input=b"{}", capture_output=True, env={**ENV, "SPOOL_HOME": str(home)}
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert any("stop --nonsense x" in each for each in logged(home))


def test_a_person_is_told_what_it_does(home: Path) -> None:
    """`spool hook --help` is a command's help like any other."""
    for words in (["hook", "--help"], ["hook", "stop", "-h"], ["--home", str(home), "hook", "--help"]):
        done = subprocess.run(
            [*COMMAND, *words], capture_output=True, text=True, env=ENV, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        assert "user-prompt-submit" in done.stdout and "not to have read it" in done.stdout


def test_options_before_the_command_are_options_too(home: Path, spool: Spool) -> None:
    """`spool --home DIR hook …` is slower, and does the same."""
    done = subprocess.run(
        [*COMMAND, "--home", str(home), "--agent", "me", "hook", "session-start"],
        input=given("session-start"),
        capture_output=True,
        env=ENV,
    )
    assert "You are me" in said("session-start", done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_hook_behind_a_shell_binds_the_client(home: Path, spool: Spool) -> None:
    """The shell is gone in a moment, and with it the session would be."""
    line = f"{shlex.join(COMMAND)} hook session-start; true"
    subprocess.run(
        ["sh", "-c", line],
        input=given("session-start"),
        capture_output=True,
        env={**ENV, "SPOOL_HOME": str(home)},
        check=True,
    )
    (found,) = spool.sessions()
    assert found.pid == os.getpid()


@pytest.mark.parametrize("event", ["post-tool-use", "user-prompt-submit", "stop", "session-end"])
def test_nothing_heavy_is_imported_where_nothing_is_new(home: Path, spool: Spool, event: str) -> None:
    """It runs at every turn and every step of every session."""
    spool.announce(SESSION, spool.news(SESSION), "continued")
    code = (
        "import os, sys\nend = os._exit\n"
        "def told(code):\n    os.write(1, ' '.join(sys.modules).encode())\n    end(code)\n"
        "os._exit = told\nfrom spool.cli import main\nmain(['hook', sys.argv[2]])"
    )
    process = start_hook(home, event, command=(sys.executable, "-c", code))
    loaded = end_hook(process, given(event)).decode().split()
    assert "apsw" in loaded and "spool.hook.turns" in loaded
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("event", ["session-start", "stop"])
def test_nothing_of_the_command_line_is_imported_where_there_is_mail(
    home: Path, spool: Spool, event: str
) -> None:
    """Nor the log, nor what carries mail."""
    code = (
        "import os, sys\nend = os._exit\n"
        "def told(code):\n    os.write(1, ('\\n' + ' '.join(sys.modules)).encode())\n    end(code)\n"
        "os._exit = told\nfrom spool.cli import main\nmain(['hook', sys.argv[2]])"
    )
    process = start_hook(home, event, command=(sys.executable, "-c", code))
    output, _, loaded = end_hook(process, given(event)).partition(b"\n")
    assert "000001 P1" in said(event, output)
    assert not {"click", "structlog", "tomlkit", "paramiko", "huey", "rich", "socket"} & set(
        loaded.decode().split()
    )

"""`spool hook wait` beside a session, as its client runs it: exit code 2 with words on stderr wakes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spool import doorbell, log
from spool.api import Spool
from spool.hook import wait
from spool.hook.words import WAIT_S, Asked, parse
from spool.store.glance import Rest
from tests import crashing
from tests.desk import arrive, make_home
from tests.hooks import COMMAND, SESSION, given, hook
from tests.hosts import ENV
from tests.waiting import soon

Process = subprocess.Popen[bytes]
LONG_AGO_S = 3600.0
GENEROUS_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host with one agent."""
    return make_home(tmp_path, "me")


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    """For that agent, with a session that idles for an hour."""
    with Spool(home) as made:
        made.attend(SESSION, pid=os.getpid())
        change(made, seen_at=time.time() - LONG_AGO_S)
        yield made


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Every waiter of a test, ended with it."""
    every: list[Process] = []
    yield every
    for process in every:
        process.kill()
        process.communicate()


class Within:
    """A waiter within this process, which looks often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._looked = 0
        self._source, self._sink = os.pipe()
        os.set_blocking(self._source, False)
        self._thread = ThreadPoolExecutor(1)
        real = wait._look

        def look(home: str, session: str) -> Rest | None:
            self._looked += 1
            return real(home, session)

        monkeypatch.setattr(wait, "_look", look)
        monkeypatch.setattr(wait, "EVERY_S", 0.05)
        monkeypatch.setattr(log, "configure", lambda *_, **__: None)

    def begin(self, home: Path) -> None:
        """Let it wait."""
        self._running = self._thread.submit(
            wait.run, str(home), SESSION, stderr=self._sink, timeout_s=GENEROUS_S
        )

    def looks(self, count: int) -> bool:
        """Whether it looks that often from now on."""
        before = self._looked
        return soon(lambda: self._looked >= before + count, GENEROUS_S)

    def ended(self) -> bool:
        """Whether it waits no more."""
        return self._running.done()

    def code(self) -> int:
        """Its exit code, once it has ended."""
        return self._running.result(GENEROUS_S)

    def words(self) -> str:
        """What it said since it was asked last."""
        try:
            return os.read(self._source, 65_536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Wait for its end."""
        self._thread.shutdown()
        os.close(self._source)
        os.close(self._sink)


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Iterator[Within]:
    """A waiter within this process."""
    made = Within(monkeypatch)
    yield made
    made.close()


def change(spool: Spool, **values: float | None) -> None:
    with spool.store.write(sync=False) as tx:
        assert tx.sessions.update(SESSION, **values)


def start(home: Path, started: list[Process], *words: str, command: Sequence[str] = COMMAND) -> Process:
    """A waiter that has its input, as after a stop; it waits when this returns, unless it has ended."""
    pipe = subprocess.PIPE
    line = [*command, "hook", "wait", *words]
    process = subprocess.Popen(line, env=env_of(home), stdin=pipe, stdout=pipe, stderr=pipe)
    started.append(process)
    assert process.stdin is not None
    process.stdin.write(given("stop"))
    process.stdin.close()
    process.stdin = None
    # Its mark is there after its bell.
    assert soon(lambda: process.poll() is not None or marks(home, process.pid) != [], GENEROUS_S)
    return process


def env_of(home: Path, entry: str = "cli") -> dict[str, str]:
    """What a session gives its hooks."""
    return {**ENV, "SPOOL_HOME": str(home), "CLAUDE_CODE_ENTRYPOINT": entry}


def marks(home: Path, pid: int) -> list[str]:
    return [path.name for path in (home / "run").glob(f"{pid}-*.bell")]


def end(process: Process) -> tuple[int, str]:
    """Its exit code, and what it says to the session."""
    output, words = process.communicate(timeout=GENEROUS_S)
    assert output == b""
    return process.returncode, words.decode()


def ring(home: Path) -> None:
    doorbell.ring_waiting(home / "run")


def logged(home: Path, event: str) -> list[dict[str, object]]:
    path = home / "log" / "spool.jsonl"
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    return [line for line in lines if line["event"] == event]


def test_mail_wakes_an_idle_session(home: Path, spool: Spool, started: list[Process]) -> None:
    """With its digest; it is logged, and the mail is unread."""
    process = start(home, started)
    arrive(spool, id="m-000001", subject="<b>Hello")
    ring(home)
    code, words = end(process)
    assert code == 2
    assert words.startswith("spool woke this session (") and "000001 P2 cloud-1" in words
    assert "<" not in words
    (said,) = logged(home, "session.woken")
    assert (said["how"], said["session"], said["ids"]) == ("rewake", SESSION, ["m-000001"])
    assert spool.unread() == 1
    assert list((home / "run").glob("*.waiter")) == []


def test_what_came_through_is_not_told_again(home: Path, spool: Spool, started: list[Process]) -> None:
    """The client gives the words to the session as a prompt, if it does."""
    arrive(spool, id="m-000001")
    _, words = end(start(home, started))
    assert hook(home, "user-prompt-submit", prompt=words) == ""
    found = spool.session(SESSION)
    assert found is not None and found.prompted_at is None and found.busy


def test_one_message_wakes_once(home: Path, spool: Spool, started: list[Process]) -> None:
    """The next waiter waits for the next message. A session that never came back is not woken for ever."""
    arrive(spool, id="m-000001")
    assert end(start(home, started))[0] == 2
    assert end(start(home, started, "--timeout", "1")) == (0, "")


def test_a_session_that_works_is_left_alone(home: Path, spool: Spool, within: Within) -> None:
    """Until it idles; nobody rings then, and it is seen all the same."""
    change(spool, busy=True, seen_at=time.time())
    arrive(spool, id="m-000001")
    within.begin(home)
    assert within.looks(5)
    assert not within.ended() and within.words() == ""
    change(spool, busy=False, seen_at=time.time() - LONG_AGO_S)
    assert within.code() == 2 and "000001" in within.words()


def test_the_newer_of_two_waits(home: Path, spool: Spool, started: list[Process]) -> None:
    """One is started at each stop; the session is woken once."""
    old = start(home, started)
    new = start(home, started)
    assert end(old) == (0, "")
    arrive(spool, id="m-000001")
    ring(home)
    assert end(new)[0] == 2
    assert len(logged(home, "session.woken")) == 1


def test_it_ends_with_its_session(home: Path, spool: Spool, within: Within) -> None:
    """A word to a session that is gone would go to whatever came in its place."""
    within.begin(home)
    assert within.looks(1)
    spool.leave(SESSION)
    arrive(spool, id="m-000001")
    assert (within.code(), within.words()) == (0, "")


def test_a_session_is_bound_while_it_begins(home: Path, spool: Spool, within: Within) -> None:
    """The hook that does so was started at the same moment."""
    spool.leave(SESSION)
    within.begin(home)
    assert within.looks(2)
    spool.attend(SESSION, pid=os.getpid())
    change(spool, seen_at=time.time() - LONG_AGO_S)
    arrive(spool, id="m-000001")
    assert within.code() == 2


def test_a_session_that_nobody_binds_is_not_waited_for(
    home: Path, spool: Spool, within: Within, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads nobody's mail."""
    monkeypatch.setattr(wait, "UNBOUND_S", 0.2)
    spool.leave(SESSION)
    within.begin(home)
    assert within.code() == 0


def test_it_ends_with_the_process_of_its_session(home: Path, spool: Spool, started: list[Process]) -> None:
    """Killed, it says no goodbye."""
    with subprocess.Popen(["sleep", "60"]) as client:
        spool.attend(SESSION, pid=client.pid)
        process = start(home, started)
        assert process.poll() is None
        client.kill()
    ring(home)
    assert end(process) == (0, "")


def test_it_ends_with_the_process_that_started_it(home: Path, spool: Spool, tmp_path: Path) -> None:
    """Nobody would hear its exit code."""
    code = (
        "import subprocess, sys, time\n"
        "made = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "made.stdin.write(sys.stdin.buffer.read()); made.stdin.close()\n"
        "print(made.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *COMMAND, "hook", "wait"],
        env=env_of(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdin is not None and parent.stdout is not None
        parent.stdin.write(given("stop"))
        parent.stdin.close()
        pid = int(parent.stdout.readline())
        assert soon(lambda: marks(home, pid) != [], GENEROUS_S)
        parent.kill()
    ring(home)
    assert soon(lambda: marks(home, pid) == [], GENEROUS_S)


def test_killed_before_the_claim_it_has_woken_nobody(
    home: Path, spool: Spool, started: list[Process], tmp_path: Path
) -> None:
    """What it printed is no word without its exit code: the next waiter wakes the session."""
    arrive(spool, id="m-000001")
    command = crashing.command("wake told, not claimed", tmp_path / "died", "hook")
    code, words = end(start(home, started, command=command))
    assert code == -signal.SIGKILL and "000001" in words
    assert end(start(home, started))[0] == 2


def test_killed_after_the_claim_it_costs_no_message(
    home: Path, spool: Spool, started: list[Process], tmp_path: Path
) -> None:
    """That wake-up is lost; the next turn of the session tells of the mail."""
    arrive(spool, id="m-000001")
    command = crashing.command("wake claimed, not told", tmp_path / "died", "hook")
    assert end(start(home, started, command=command))[0] == -signal.SIGKILL
    assert end(start(home, started, "--timeout", "1"))[0] == 0
    assert "000001 P2" in hook(home, "user-prompt-submit")


def test_a_fault_of_ours_wakes_nobody(home: Path, spool: Spool, started: list[Process]) -> None:
    """Exit code 2 is a word to the session; what went wrong is one to the log."""
    (home / "spool.toml").write_text("nonsense")
    arrive(spool, id="m-000001")
    assert end(start(home, started)) == (0, "")
    (said,) = logged(home, "hook.failed")
    assert said["hook"] == "wait"


@pytest.mark.parametrize("text", [b"", b"[]", given("stop", agent_id="a1")])
def test_input_that_is_none_and_subagents_wait_for_nothing(home: Path, text: bytes) -> None:
    """A subagent's session is woken itself."""
    done = subprocess.run(
        [*COMMAND, "hook", "wait"],
        input=text,
        capture_output=True,
        env=env_of(home),
        timeout=GENEROUS_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("entry", ["sdk-cli", "sdk-py", ""])
def test_a_session_without_a_person_is_not_held_up(home: Path, spool: Spool, entry: str) -> None:
    """`claude -p` runs such a hook like any other: it would do nothing before this one ended."""
    done = subprocess.run(
        [*COMMAND, "hook", "wait"],
        input=given("session-start"),
        capture_output=True,
        env=env_of(home, entry),
        timeout=GENEROUS_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_its_words_are_read_without_click() -> None:
    """As `spool agent install` writes them, and as a person would."""
    assert parse(["wait", "--agent", "me"]) == Asked("wait", None, "me", None, WAIT_S)
    assert parse(["wait", "--timeout=2h"]) == Asked("wait", timeout_s=7200.0)
    assert parse(["session-start", "--home", "/h", "--wake", "socket"]) == Asked(
        "session-start", "/h", None, "socket"
    )
    for words in (["wait", "stop"], ["wait", "--timeout", "soon"], ["session-start", "--wake", "smoke"]):
        assert parse(words) is None


def test_nothing_heavy_is_imported_while_it_waits(home: Path, spool: Spool) -> None:
    """One runs for each idle session, for hours."""
    code = (
        "import os, sys\nend = os._exit\n"
        "def told(code):\n    os.write(1, ' '.join(sys.modules).encode())\n    end(code)\n"
        "os._exit = told\nfrom spool.cli import main\nmain(['hook', 'wait', '--timeout', '0.2s'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=given("stop"),
        capture_output=True,
        env=env_of(home),
        timeout=GENEROUS_S,
    )
    loaded = set(done.stdout.decode().split())
    assert {"spool.hook.wait", "apsw"} <= loaded
    assert not {"click", "msgspec", "structlog", "tomllib", "paramiko", "huey", "rich"} & loaded

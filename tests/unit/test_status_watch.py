"""What a person watches on a terminal: `status --watch`, `log -f`; and the reading of the log under them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from spool import log
from spool.cli import logline
from spool.cli.tail import Tail
from spool.store.base import Told
from tests.hosts import Host
from tests.terminal import LEFT_SCREEN, SHOWN_CURSOR, Terminal


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A laptop that would dial a cloud, with a message for it."""
    host = Host(tmp_path, "laptop", "alice")
    host.peer("cloud", url="exec:false", agents=["carol"])
    with host.api() as spool:
        spool.send("carol", subject="x")
    return host


# -- status --watch ---------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_it_draws_and_ctrl_c_gives_the_terminal_back(host: Host, columns: int) -> None:
    """Ctrl-C is how one ends it: no error, no hidden cursor, no settings of its own left."""
    with Terminal(host.home, "status", "--watch", columns=columns) as terminal:
        terminal.until("laptop")
        assert terminal.end() == 0
        for words in ("does not run", "1 queued", "cloud", "to do", "spool up --detach"):
            assert words in terminal.text
        assert max(len(line) for picture in terminal.pictures for line in picture.splitlines()) <= columns
        assert terminal.raw.rstrip().endswith((LEFT_SCREEN, SHOWN_CURSOR))
        assert LEFT_SCREEN in terminal.raw and SHOWN_CURSOR in terminal.raw
        assert terminal.before == terminal.after()


def test_sigterm_gives_the_terminal_back_too(host: Host) -> None:
    """Whoever ends it so finds its usual status."""
    with Terminal(host.home, "status", "-w") as terminal:
        terminal.until("laptop")
        assert terminal.end(signal.SIGTERM) == 128 + signal.SIGTERM
        assert LEFT_SCREEN in terminal.raw and SHOWN_CURSOR in terminal.raw


def test_it_outlives_a_config_that_is_broken_meanwhile(host: Host) -> None:
    """It says what is wrong, and goes on when it is right again."""
    config = host.home / "spool.toml"
    good = config.read_text()
    with Terminal(host.home, "status", "-w") as terminal:
        terminal.until("1 queued")
        config.write_text(good + "colour = 3\n")
        terminal.until("colour")
        config.write_text(good)
        terminal.until("1 queued")
        assert terminal.end() == 0


def test_what_is_no_terminal_gets_the_status_once(host: Host) -> None:
    """An agent that asks for it by mistake must not hang."""
    done = host.cli("status", "--watch")
    assert done.stdout.startswith("laptop") and done.stdout.count("consumer") == 2
    assert "needs a terminal" in done.stderr
    assert "--watch is for a terminal" in host.cli("status", "--watch", "--json", check=2).stderr


def test_status_says_when_the_log_was_last_written(host: Host) -> None:
    """Where nothing runs, that is when something last did."""
    path = host.home / "log" / "spool.jsonl"
    path.write_text("{}\n")
    os.utime(path, (time.time() - 7200, time.time() - 7200))
    assert "does not run; last word in the log 2 h ago" in host.cli("status").stdout


# -- log --------------------------------------------------------------------------------------


def write(host: Host, event: str, **values: object) -> None:
    """One line, as a consumer writes it."""
    log.configure(host.home, role="consumer", host="laptop", version="0", stderr=False)
    log.info(event, **values)


def test_following_on_a_terminal_is_in_columns(host: Host) -> None:
    """Time, event, who and whom; the ending of an id is enough for every command."""
    with Terminal(host.home, "log", "-f") as terminal:
        write(
            host,
            "message.sent",
            id="msg-0001-93a788aa",
            to="carol",
            peer="cloud",
            state="sent",
            **{"from": "a"},
        )
        terminal.until("message.sent")
        terminal.until("[cloud]") if "[cloud]" not in terminal.text else None
        assert terminal.end() == 0
        (line,) = [each for each in terminal.text.split("\r\n") if "message.sent" in each]
        assert line[8:].split() == ["message.sent", "93a788aa", "a", ">", "carol", "[cloud]"]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A long error goes on, indented, under its event."""
    line = {
        "at": "2026-11-22T12:00:00.000000Z",
        "event": "link.failed",
        "level": "warning",
        "error": "word " * 60,
    }
    lines = logline.columns(line, width).splitlines()
    assert len(lines) > 2 and all(each.startswith(" " * 10) for each in lines[1:])
    assert max(len(each) for each in lines) <= width + len("\x1b[33m")


def test_what_a_peer_wrote_cannot_move_the_cursor() -> None:
    """An error may hold a far side's words."""
    line = {"at": "2026-11-22T12:00:00.000000Z", "event": "link.failed", "error": "a\x1b[2Jb"}
    assert "\x1b[2J" not in logline.columns(line, 80)


def test_no_line_is_lost_or_told_twice_over_rotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that follows while the file goes through many names."""
    monkeypatch.setattr(log, "MAX_BYTES", 20_000)
    monkeypatch.setattr("spool.cli.tail.LOOK_S", 0.005)
    monkeypatch.setattr("spool.cli.tail.LATE_S", 0.02)
    host = Host(tmp_path, "laptop", "alice")
    count = 800

    def writing() -> None:
        for n in range(count):
            write(host, "a.line", n=n, filler="x" * 100)
            time.sleep(0.003)

    writer = threading.Thread(target=writing)
    writer.start()
    tail, seen = Tail(host.home / "log"), list[int]()
    deadline = time.monotonic() + 30
    for line in tail.lines(follow=True):
        if line is not None:
            seen.append(json.loads(line)["n"])
        if len(seen) >= count or time.monotonic() > deadline:
            break
    writer.join()
    tail.close()
    assert seen == list(range(count))
    assert (host.home / "log" / "spool.jsonl.4").exists()


def test_a_rotation_between_look_and_open_skips_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that was found first stands for another file by then."""
    monkeypatch.setattr("spool.cli.tail.LATE_S", 0.0)
    path = tmp_path / "spool.jsonl"
    path.write_text("one\n")
    tail = Tail(tmp_path)
    lines = tail.lines(follow=True)
    assert [next(lines), next(lines)] == [b"one", None]
    path.rename(tmp_path / "spool.jsonl.1")
    path.write_text("two\n")
    real, rotated = os.open, list[bool]()

    def late(name: object, *args: int) -> int:
        if not rotated:
            rotated.append(True)
            (tmp_path / "spool.jsonl.1").rename(tmp_path / "spool.jsonl.2")
            path.rename(tmp_path / "spool.jsonl.1")
            path.write_text("three\n")
        return real(name, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "open", late)
    assert [next(lines), next(lines)] == [b"two", b"three"]
    tail.close()


def test_a_silent_log_is_said_to_be(host: Host) -> None:
    """Once, on stderr: the lines themselves stay as they are."""
    write(host, "consumer.alive")
    path = host.home / "log" / "spool.jsonl"
    assert host.cli("log").stderr == ""
    os.utime(path, (time.time() - 600, time.time() - 600))
    done = host.cli("log", "--json")
    assert "silent for 10 min, no consumer runs" in done.stderr and len(done.stdout.splitlines()) == 1


def test_status_and_peer_list_show_the_agents_there(host: Host) -> None:
    """As told, with its age; in `peer list --json`, `agents` stays who lives there."""
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.presence.hear("cloud", ["carol"], "read", now=time.time() - 6 * 3600)
        tx.presence.tell("cloud", [Told("carol", 7, 3 * 3600.0, 0, time.time() - 180)])
    for words in (["status"], ["peer", "list"]):
        text = host.cli(*words).stdout
        assert "cloud" in text and ", as told 3 min ago" in text
        assert "carol  heard 6 h ago  7 unread, oldest 3 h; no session" in text
        assert max(map(len, text.replace(str(host.home), "HOME").splitlines())) <= 80
    (view,) = host.json("peer", "list")
    assert view["agents"] == ["carol"]
    assert (view["presence"][0]["unread"], view["presence"][0]["heard_what"]) == (7, "read")
    assert "carol was last heard of 6 h ago; 7 unread there" in host.cli("send", "carol", "-s", "x").stderr


def test_agent_list_shows_who_is_there(host: Host) -> None:
    """From this host's own rows."""
    assert host.cli("agent", "list").stdout.startswith("alice  heard ")
    (view,) = host.json("agent", "list")
    assert (view["agent"], view["unread"], view["sessions"], view["heard_what"]) == ("alice", 0, 0, "message")


def test_status_shows_what_the_far_side_said(host: Host) -> None:
    """Its counts, and its version where that is another one than ours."""
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", far_unread=3, far_queued=1, far_version="0.0.9", last_contact=time.time())
    assert "there 3 unread, 1 queued, spool 0.0.9" in host.cli("status").stdout
    with Terminal(host.home, "status", "-w", columns=120) as terminal:
        terminal.until("3 unread, 1 queued, spool 0.0.9")
        assert terminal.end() == 0

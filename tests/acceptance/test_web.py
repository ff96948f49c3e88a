"""HTTPS between two hosts' real processes, over TLS with a private authority."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import ROOT, Host, hosts, until
from tests.web import Authority, WebProcess, dials_by_web, serving, set_web


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near`, which will dial, and `far`, which will listen."""
    with hosts(tmp_path, near=["al"], far=["bo"]) as (near, far):
        yield near, far


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whose certificate near believes."""
    return Authority(tmp_path / "authority")


def url_of(web: WebProcess) -> str:
    """Where it is dialled."""
    return f"https://127.0.0.1:{web.port}/chat"


def test_mail_acks_and_answers_go_both_ways_over_tls(two: tuple[Host, Host], authority: Authority) -> None:
    """Only near can dial: what far sends waits in its polls, and every state arrives at its sender."""
    near, far = two
    cert, key = authority.issue("far")
    dials_by_web(near, far, "https://127.0.0.1:1/chat", ca=authority.ca)
    with serving(far, tls_cert=cert, tls_key=key) as web:
        near.peer("far", url=url_of(web))
        near.start()
        until(lambda: near.peer_state("far") == "linked")
        question = near.cli("send", "bo", "-s", "Well?", "--requires-response").stdout.strip()
        until(lambda: far.json("inbox") != [])
        far.cli("reply", question, "-b", "Well.")
        until(lambda: near.json("inbox") != [])
        near.cli("read")
        (answer,) = near.json("inbox")

        near.cli("done", answer["id"])

        until(lambda: near.json("show", question)[0]["state"] == "done")
        until(lambda: far.json("show", answer["id"])[0]["state"] == "done")
        assert far.peer_state("near") == "linked"
        assert near.json("peer", "check", "far")[-1]["ok"]
        assert web.stop(signal.SIGINT) == (0, "")
    assert [each["event"] for each in far.log() if each["level"] == "error"] == []


def test_a_killed_server_loses_and_doubles_nothing(two: tuple[Host, Host], authority: Authority) -> None:
    """kill -9 while mail goes both ways, again and again: each message is there once."""
    near, far = two
    cert, key = authority.issue("far")
    dials_by_web(near, far, "https://127.0.0.1:1/chat", ca=authority.ca)
    set_web(far.home, listen="127.0.0.1:0", tls_cert=cert, tls_key=key)
    web = WebProcess(far.home)
    # The same place each time.
    set_web(far.home, listen=f"127.0.0.1:{web.port}", tls_cert=cert, tls_key=key)
    near.peer("far", url=url_of(web))
    near.start()
    out, back = [], []
    with near.api() as here, far.api() as there:
        for _ in range(4):
            until(lambda: near.peer_state("far") == "linked")
            out += here.send_many([{"to": "bo", "subject": "out"}] * 50)
            back += there.send_many([{"to": "al", "subject": "back"}] * 50)
            time.sleep(0.05)
            web.kill()
            web = WebProcess(far.home)
        try:
            until(lambda: all(here.sent(id).received_at is not None for id in out), within_s=60)
            until(lambda: all(there.sent(id).received_at is not None for id in back), within_s=60)
            assert sorted(row.id for row in there.inbox(agent="bo", limit=1000)) == sorted(out)
            assert sorted(row.id for row in here.inbox(agent="al", limit=1000)) == sorted(back)
        finally:
            web.stop()


def test_a_host_without_a_long_life_exchanges_by_https(two: tuple[Host, Host], authority: Authority) -> None:
    """`up --once` from cron: both ways in one go, and it ends."""
    near, far = two
    cert, key = authority.issue("far")
    dials_by_web(near, far, "https://127.0.0.1:1/chat", ca=authority.ca)
    with serving(far, tls_cert=cert, tls_key=key) as web:
        near.peer("far", url=url_of(web))
        far.cli("send", "al", "-s", "back")
        near.cli("send", "bo", "-s", "out")

        assert near.json("up", "--once")[0]["result"] == "exchanged"

        assert len(near.json("inbox")) == len(far.json("inbox")) == 1


def test_the_command_line_brings_two_hosts_together(two: tuple[Host, Host], authority: Authority) -> None:
    """As a person would: let it in there, add it here, and a wrong secret is told for what it is."""
    near, far = two
    cert, key = authority.issue("far")
    secret = far.home / "keys" / "near.secret"
    with serving(far, tls_cert=cert, tls_key=key) as web:
        said = far.json("peer", "authorize", "near", "--agents", "al", "--secret-file", str(secret))
        assert said[0]["made"]
        add = ["peer", "add", "far", url_of(web), "--ca-file", str(authority.ca)]
        assert near.cli(*add, check=1).stderr.count("\n") == 1

        wrong = near.home / "keys" / "wrong.secret"
        near.cli("web", "--new-secret", str(wrong))
        (added,) = near.json(*add, "--secret-file", str(wrong))
        assert [step["step"] for step in added["steps"] if not step["ok"]] == ["signature"]

        right = near.home / "keys" / "far.secret"
        right.write_text(secret.read_text())
        right.chmod(0o600)
        # Its config is picked up by the server within a second or two.
        until(lambda: near.json(*add, "--secret-file", str(right))[0]["reachable"])
        assert near.json("peer", "list")[0]["agents"] == ["bo"]
        assert secret.read_text().strip() not in (near.home / "spool.toml").read_text()


def test_it_ends_tidily_at_once(two: tuple[Host, Host]) -> None:
    """With a poll that waits: exit 0, nothing on stderr, and the peer is let go."""
    near, far = two
    dials_by_web(near, far, "http://127.0.0.1:1/chat")
    with serving(far) as web:
        near.peer("far", url=f"http://127.0.0.1:{web.port}/chat")
        near.start()
        until(lambda: near.peer_state("far") == "linked" and far.peer_state("near") == "linked")
        began = time.monotonic()

        assert web.stop(signal.SIGTERM) == (0, "")

        assert time.monotonic() - began < 8
        assert far.peer_state("near") == "waiting"
        assert len(far.log("web.stopped")) == 1


def test_a_script_posts_as_the_documentation_says(two: tuple[Host, Host], tmp_path: Path) -> None:
    """Nothing but curl and openssl; tried again, it is the same message."""
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.skip("no curl or no openssl here")
    _, far = two
    far.cli("agent", "add", "claude-local")
    secret = tmp_path / "bot.secret"
    far.cli("peer", "authorize", "bot", "--agents", "build-bot", "--secret-file", str(secret))
    text = (ROOT / "docs" / "webhook.md").read_text()
    (script,) = (part.split("```")[0] for part in text.split("```sh\n")[1:] if part.startswith("body="))
    with serving(far) as web:
        script = script.replace("https://cloud.example:8888", f"http://127.0.0.1:{web.port}")
        said = [
            json.loads(subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True).stdout)
            for _ in range(2)
        ]
    assert [(each["r"], each.get("again", False)) for each in said] == [
        ("accepted", False),
        ("accepted", True),
    ]
    (mail,) = far.json("inbox", "--agent", "claude-local")
    assert (mail["from"], mail["subject"], mail["id"]) == ("build-bot", "Nightly", said[0]["id"])

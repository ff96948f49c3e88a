"""Questions that only a person may answer: an unknown host key, a credential in a message."""

from __future__ import annotations

import base64
import hashlib
import os
import pty
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import CLI, ENV, Host, hosts
from tests.sshd import Sshd

KEY = "AKIA" + "ABCDEFGHIJKLMNOP"


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A host whose key nobody knows."""
    with Sshd(tmp_path / "sshd") as sshd:
        yield sshd


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Host]:
    """A host that adds it."""
    with hosts(tmp_path, laptop=["alice"]) as (laptop,):
        yield laptop


def fingerprint(sshd: Sshd) -> str:
    """Of its host key, as ssh-keygen -l prints it."""
    digest = hashlib.sha256(base64.b64decode(sshd.host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def at_a_terminal(host: Host, answer: str, *args: str) -> tuple[int, str]:
    """Run `spool ARGS` where a person sits who types `answer`; the exit code and what was shown."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*CLI, "--home", str(host.home), *args],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env=ENV,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return child.wait(30), shown.decode()


@pytest.mark.parametrize("more", [[], ["--yes"]])
def test_an_unknown_host_key_needs_a_person_or_a_fingerprint(
    laptop: Host, sshd: Sshd, more: list[str]
) -> None:
    """`--yes` is no person; nothing is written."""
    before = (laptop.home / "spool.toml").read_bytes()
    done = laptop.cli("peer", "add", "cloud", sshd.url, *more, check=1)
    assert fingerprint(sshd) in done.stderr and "--fingerprint" in done.stderr
    assert (laptop.home / "spool.toml").read_bytes() == before


def test_a_fingerprint_is_compared_and_the_key_pinned(laptop: Host, sshd: Sshd) -> None:
    """The same again changes nothing; another key is refused."""
    args = ("peer", "add", "cloud", sshd.url)
    done = laptop.cli(*args, "--fingerprint", "SHA256:" + "A" * 43, check=1)
    assert "was not added" in done.stderr
    assert laptop.json("peer", "list") == []
    (told,) = laptop.json(*args, "--fingerprint", fingerprint(sshd))
    assert [step["step"] for step in told["steps"] if step["ok"]] == ["resolve", "connect", "host key"]
    assert laptop.made.public_key in told["next"]
    assert sshd.host_key in (laptop.home / "spool.toml").read_text()
    assert laptop.json(*args)[0]["changed"] is False
    sshd.restart_with_new_host_key()
    assert "its host key is now" in laptop.cli(*args, check=1).stderr
    steps = laptop.json("peer", "check", "cloud", check=1)
    assert [(step["step"], step["ok"]) for step in steps][-1] == ("host key", False)
    assert laptop.json(*args, "--fingerprint", fingerprint(sshd))[0]["changed"] is True


def test_a_host_that_is_down_and_unknown_is_not_added(laptop: Host, sshd: Sshd) -> None:
    """Its key cannot be seen, so it cannot be accepted."""
    sshd.stop()
    said = laptop.cli("peer", "add", "cloud", sshd.url, check=1).stderr
    assert "refused" in said and "cloud was not added" in said
    assert laptop.json("peer", "list") == []


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_person_is_asked_about_an_unknown_key(laptop: Host, sshd: Sshd, answer: str, code: int) -> None:
    """Its fingerprint is shown; no is no."""
    ended, shown = at_a_terminal(laptop, answer, "peer", "add", "cloud", sshd.url)
    assert ended == code
    assert fingerprint(sshd) in shown
    assert [each["name"] for each in laptop.json("peer", "list")] == (["cloud"] if code == 0 else [])


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_a_person_may_let_a_credential_out(laptop: Host, answer: str, code: int) -> None:
    """The rule is shown and logged, the credential is not."""
    ended, shown = at_a_terminal(laptop, answer, "send", "alice", "-b", KEY, "--allow-secrets")
    assert ended == code
    assert "aws-access-key" in shown and KEY not in shown
    assert [each["rule"] for each in laptop.log("message.secret_allowed")] == ["aws-access-key"] * (1 - code)

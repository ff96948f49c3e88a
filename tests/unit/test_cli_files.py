"""`spool peer` for files peers: added with their folders, and checked by using them."""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import Host
from tests.sshd import Sshd


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A laptop."""
    return Host(tmp_path, "laptop", "alice")


@pytest.fixture
def sshd(tmp_path: Path, host: Host) -> Iterator[Sshd]:
    """A host that has nothing but sshd, and lets the laptop's key in."""
    with Sshd(tmp_path / "sshd") as running:
        running.authorize(host.made.public_key)
        yield running


def folders(tmp_path: Path) -> list[str]:
    """Options that name two folders, which are not there yet."""
    return ["--inbox", str(tmp_path / "in"), "--outbox", str(tmp_path / "out")]


def sftp(sshd: Sshd) -> list[str]:
    """The url of the host, and its key."""
    digest = hashlib.sha256(b64decode(sshd.host_key.split()[1])).digest()
    mark = "SHA256:" + b64encode(digest).decode().rstrip("=")
    return [f"sftp://{sshd.user}@127.0.0.1:{sshd.port}", "--fingerprint", mark, "--identity", "spool"]


def by_step(told: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """The steps of a check by name."""
    return {step["step"]: (step["ok"], step["detail"]) for step in told["steps"]}


def test_two_local_folders_are_made_and_checked(host: Host, tmp_path: Path) -> None:
    """For their owner alone; the same again changes nothing."""
    command = [
        "peer",
        "add",
        "scripts",
        "dir:",
        *folders(tmp_path),
        "--agents",
        "shell-*",
        "--mode",
        "0640",
        "--yes",
    ]
    (told,) = host.json(*command)
    assert (told["changed"], told["reachable"], told["agents"]) == (True, True, ["shell-*"])
    assert told["made"] == [str(tmp_path / "in"), str(tmp_path / "out")]
    assert (tmp_path / "in").stat().st_mode & 0o777 == 0o700
    assert set(by_step(told)) == {"files", "inbox", "processed", "outbox"}
    assert list((tmp_path / "in").iterdir()) == []
    before = (host.home / "spool.toml").read_bytes()
    (told,) = host.json(*command)
    assert (told["changed"], told["made"]) == (False, [])
    assert (host.home / "spool.toml").read_bytes() == before


def test_folders_that_are_missing_are_not_made_unasked(host: Host, tmp_path: Path) -> None:
    """Without a terminal nobody can agree; the peer is added, with what to do."""
    done = host.cli("peer", "add", "scripts", "dir:", *folders(tmp_path), "--agents", "shell-*")
    assert "does not work yet" in done.stderr and str(tmp_path / "in") in done.stderr
    assert not (tmp_path / "in").exists()


def test_a_host_with_only_sshd_is_added_and_its_folders_made(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    """Step by step, down to a file that is put, renamed and removed there."""
    (told,) = host.json("peer", "add", "shared", *sftp(sshd), *folders(tmp_path), "--agents", "bot", "--yes")
    assert told["reachable"] is True and told["made"] == [str(tmp_path / "in"), str(tmp_path / "out")]
    steps = by_step(told)
    assert list(steps) == ["resolve", "connect", "host key", "login", "files", "inbox", "processed", "outbox"]
    assert steps["processed"] == (True, "there is none")
    assert sorted(os.listdir(tmp_path / "in")) == []


def test_the_scripts_own_folders_are_the_usual_ones(host: Host, sshd: Sshd) -> None:
    """And the login is the user's, whose key is there already."""
    url, *key = sftp(sshd)[:3]
    host.cli("peer", "add", "shared", url, *key, "--agents", "bot", check=None)
    with host.api() as spool:
        peer = spool.config.peer("shared")
    assert (peer.inbox, peer.outbox, peer.identity) == ("~/claude-inbox", "~/claude-outbox", "user")
    assert peer.acks is False


def test_the_kit_is_copied_on_request(
    host: Host, tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the home there; what is there already is left alone."""
    from spool import kit

    home = tmp_path / "home"
    home.mkdir()
    sshd.stop()
    (sshd.folder / "authorized_keys").write_text(
        f'command="cd {home}; exec /usr/lib/openssh/sftp-server" {host.made.public_key}\n'
    )
    sshd.start()
    command = ["peer", "add", "shared", *sftp(sshd), "--agents", "bot", "--kit", "--yes"]
    (told,) = host.json(*command)
    assert f"~/{kit.NAME}" in told["made"]
    assert (home / kit.NAME).read_text() == kit.text()
    assert f"~/{kit.NAME}" not in host.json(*command)[0]["made"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["dir:", "--inbox", "/x/in"], "who lives there?"),
        (["dir:", "--agents", "b"], "needs an inbox"),
        (["dir:", "--inbox", "in", "--agents", "b"], "neither an absolute path"),
        (["dir:", "--inbox", "/x", "--outbox", "/x/", "--agents", "b"], "same folder"),
        (["dir:/x", "--inbox", "/x", "--agents", "b"], "is not dir:"),
        (["dir:", "--inbox", "/x", "--agents", "b", "--mode", "9"], "not a mode in octal"),
        (["dir:", "--inbox", "/x", "--agents", "b", "--poll", "0.1"], "at least 1 second"),
        (["sftp://host/path", "--agents", "b"], "sftp://user@host:port"),
    ],
)
def test_what_cannot_be_is_not_written(host: Host, options: list[str], says: str) -> None:
    """With a word on what is wrong."""
    before = (host.home / "spool.toml").read_bytes()
    done = host.cli("peer", "add", "shared", *options, check=1)
    assert says in done.stderr
    assert (host.home / "spool.toml").read_bytes() == before


def test_check_says_which_folder_cannot_be_used(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    """A folder that is gone, a file in its place."""
    host.cli("peer", "add", "shared", *sftp(sshd), *folders(tmp_path), "--agents", "bot", "--yes")
    (tmp_path / "out").rmdir()
    steps = host.json("peer", "check", "shared", check=1)
    failed = [step for step in steps if not step["ok"]]
    assert [step["step"] for step in failed] == ["outbox"]
    assert str(tmp_path / "out") in failed[0]["detail"] and failed[0]["hint"]


def test_check_says_that_the_login_is_refused(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    """And how to let the key in."""
    host.cli("peer", "add", "shared", *sftp(sshd), *folders(tmp_path), "--agents", "bot", "--yes")
    (sshd.folder / "authorized_keys").write_text("")
    failed = [step for step in host.json("peer", "check", "shared", check=1) if not step["ok"]]
    assert [step["step"] for step in failed] == ["login"]
    assert "authorized_keys" in failed[0]["hint"]

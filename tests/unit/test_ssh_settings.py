"""What we make of ssh's own settings, and how the far shell finds spool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spool.config import SshUrl
from spool.errors import BadConfig
from spool.transports import ssh, ssh_settings


def config(folder: Path, text: str) -> Path:
    """An ssh config in the place of the user's own."""
    path = folder / "ssh_config"
    path.write_text(text + "\n")
    return path


def test_a_proxy_command_is_left_to_ssh(tmp_path: Path) -> None:
    """paramiko spins in it after EOF (#413); exec: can do it."""
    path = config(tmp_path, "Host box\n ProxyCommand nc %h %p")

    with pytest.raises(BadConfig, match="exec:ssh box spool serve --peer NAME"):
        ssh_settings.route(SshUrl("box", None, None), config=path)


def test_the_url_wins_over_ssh_config(tmp_path: Path) -> None:
    """User and port, where it names them."""
    path = config(tmp_path, "Host box\n HostName box.example\n User bob\n Port 2200")

    (mixed,) = ssh_settings.route(SshUrl("box", "eve", 22), config=path)
    (plain,) = ssh_settings.route(SshUrl("box", None, None), config=path)

    assert (mixed.hostname, mixed.port, mixed.user) == ("box.example", 22, "eve")
    assert (plain.hostname, plain.port, plain.user) == ("box.example", 2200, "bob")


def test_a_jump_hosts_own_jump_hosts_are_followed(tmp_path: Path) -> None:
    """As `ssh -J two,three box` does: only the first of a chain goes its own way, and loops end."""
    path = config(
        tmp_path,
        "Host two\n ProxyJump one\nHost three\n ProxyJump never\nHost box\n"
        " ProxyJump me@two:2222,ssh://three:33\nHost left\n ProxyJump right\nHost right\n ProxyJump left",
    )

    hops = ssh_settings.route(SshUrl("box", None, None), config=path)

    assert [hop.hostname for hop in hops] == ["one", "two", "three", "box"]
    assert [hop.port for hop in hops] == [22, 2222, 33, 22]
    with pytest.raises(BadConfig, match="jump"):
        ssh_settings.route(SshUrl("left", None, None), config=path)


def test_names_and_files_are_expanded_as_ssh_does(tmp_path: Path) -> None:
    """`ssh -G` leaves ~ and %h in identity files; a numeric jump host comes back in brackets."""
    path = config(
        tmp_path,
        "Host box\n HostName box.example\n ProxyJump 10.0.0.1\n User bob\n IdentityFile ~/k%%-%r@%h-%n\n"
        " IdentityAgent ~/a\n HostKeyAlias the-box\n UserKnownHostsFile ~/one /two\n"
        "Host cut\n ProxyJump cafe,beef\n IdentityAgent none\n IdentityFile none",
    )

    jump, box = ssh_settings.route(SshUrl("box", None, None), config=path)

    home = Path(ssh_settings.hop(SshUrl("x", None, None), config=path).identity_files[0]).parent.parent
    assert jump.hostname == "10.0.0.1"
    assert box.identity_files == (home / "k%-bob@box.example-box",)
    assert (box.agent, box.known_as) == (f"{home}/a", "the-box")
    assert box.known_hosts[:2] == (home / "one", Path("/two"))
    hops = ssh_settings.route(SshUrl("cut", None, None), config=path)
    assert [hop.hostname for hop in hops] == ["cafe", "beef", "cut"]
    assert (hops[-1].agent, hops[-1].identity_files) == ("none", ())


def test_an_error_in_ssh_config_is_told(tmp_path: Path) -> None:
    """In ssh's own words, which name the line."""
    with pytest.raises(BadConfig, match="line 1: Bad configuration option: bogus"):
        ssh_settings.route(SshUrl("box", None, None), config=config(tmp_path, "Bogus yes"))


def test_without_an_ssh_program_the_url_is_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with Python only."""
    monkeypatch.setenv("PATH", str(tmp_path))

    (hop,) = ssh_settings.route(SshUrl("box", None, 2200))

    assert (hop.hostname, hop.port, hop.known_as) == ("box", 2200, "[box]:2200")
    assert hop.known_hosts[0].name == "known_hosts" and hop.user


@pytest.mark.parametrize("place", [".local/bin", ".local/share/spool/venv/bin", "on the path"])
def test_spool_is_found_where_it_is_installed(tmp_path: Path, place: str) -> None:
    """A shell that nobody logged in to has a short PATH."""
    program = tmp_path / place / "spool"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$0" "$@"\n')
    program.chmod(0o755)

    ran = far_shell(tmp_path, ssh.remote_command("o'ne; two"))

    assert f"{program} serve --peer o'ne; two\n" == ran.stdout
    assert ran.returncode == 0


def test_no_spool_anywhere_says_so(tmp_path: Path) -> None:
    """In the words and with the status that a shell uses."""
    ran = far_shell(tmp_path, ssh.remote_command("near"))

    assert (ran.returncode, ran.stdout, ran.stderr) == (127, "", "spool: not found\n")


def far_shell(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "PATH": f"{home}/on the path:/usr/bin:/bin"}
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)

"""What `spool peer add --setup` would do on a far host, from what it found there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from spool import home as homes
from spool.cli import installing, setup
from spool.cli.given import Given
from spool.cli.root import Root
from spool.config import Host, Peer
from spool.errors import BadInput
from spool.version import VERSION
from tests.far_facts import facts

OURS = Host(name="laptop", agents=["claude-local"])
CLOUD = Peer(name="cloud", url="ssh://cloud")
LINE = 'restrict,command="/x/bin/spool --home /home/ada/.spool serve --peer laptop" ssh-ed25519 AAAA'
THERE: dict[str, Any] = {
    "spools": {"/home/ada/.local/bin/spool": VERSION},
    "spool_host": "stack",
    "spool_agents": ["claude-cloud"],
    "spool_peers": {"laptop": ["claude-local"]},
    "key_lines": [LINE],
}


def given(**options: Any) -> Given:
    none: dict[str, Any] = {
        "agents": (),
        "via": (),
        "remote_command": None,
        "identity": None,
        "fingerprint": None,
    }
    return Given(**{**none, "yes": True, "setup": True, **options})


def plan(there: dict[str, Any], **options: Any) -> setup.Plan:
    return setup._plan(facts(**there), CLOUD, given(**options), OURS)


def test_nothing_to_do_is_seen() -> None:
    """The same again changes nothing, and asks nothing."""
    assert plan(THERE).lines == []


def test_an_empty_account_needs_all_of_it() -> None:
    """The person sees the three things before the question: spool, a home, a key."""
    made = plan({}, far_agents=("claude-cloud",))
    assert (made.install, made.init, made.authorize) == (True, True, True)
    assert made.host == "cloud-7"
    text = "\n".join(made.lines)
    for word in (VERSION, "/home/ada/.spool", "claude-cloud", "authorized_keys", "laptop (claude-local)"):
        assert word in text


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({"key_lines": []}, (False, False, True)),
        ({"spool_peers": {}}, (False, False, True)),
        ({"spool_peers": {"laptop": ["other"]}}, (False, False, True)),
        ({"spools": {}}, (True, False, True)),
        ({"key_lines": [LINE.replace("laptop", "desktop")]}, (False, False, True)),
        ({"spools": {"/usr/bin/spool": "0.0.1"}}, (False, False, False)),
    ],
)
def test_only_what_is_missing(change: dict[str, Any], done: tuple[bool, bool, bool]) -> None:
    """Stopped half way, it goes on where it stopped; an older spool is not replaced in passing."""
    made = plan({**THERE, **change})
    assert (made.install, made.init, made.authorize) == done


def test_agents_that_are_there_stay() -> None:
    """What somebody else allowed is not taken away."""
    assert plan({**THERE, "spool_peers": {"laptop": ["other"]}}).our_agents == ["other", "claude-local"]
    assert plan(THERE, far_agents=("claude-cloud", "two")).add_agents == ["two"]


@pytest.mark.parametrize(
    ("machine", "name"),
    [("laptop", "cloud"), ("Büro.local", "B-ro"), ("web1.example.org", "web1"), ("", "cloud")],
)
def test_the_far_name_is_valid_and_not_ours(machine: str, name: str) -> None:
    """Two hosts of one name could not write to each other."""
    assert plan({"host": machine}, far_agents=("a",)).host == name


@pytest.mark.parametrize(
    ("there", "options", "says"),
    [
        ({**THERE, "spool_host": "laptop"}, {}, "our own name"),
        (THERE, {"far_name": "other"}, "host 'stack'"),
        ({}, {"far_name": "laptop", "far_agents": ("a",)}, "cannot be its name"),
        ({}, {}, "who reads there"),
    ],
)
def test_contradictions_are_refused(there: dict[str, Any], options: dict[str, Any], says: str) -> None:
    """Before anything is done on either host."""
    with pytest.raises(BadInput, match=says):
        plan(there, **options)


def test_keys_that_a_panel_owns() -> None:
    """It is said beforehand that the line must be added by hand."""
    assert "print, for you to add" in plan({**THERE, "key_lines": [], "keys_writable": False}).lines[0]


class Recorder:
    """A far host that only notes what it was asked to run."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    def run(self, python: str, argv: list[str], *, stdin: str) -> tuple[int, str, str]:
        self.ran.append(argv)
        return 0, "", ""


def renewed(line: str) -> list[list[str]]:
    far: Any = Recorder()
    command = "/home/ada/.local/bin/spool"
    installing._renew(far, facts(), line, lambda *_: None, spool=command, ours="laptop", key="k")
    ran: list[list[str]] = far.ran
    return ran


def test_an_upgrade_is_what_sshd_starts() -> None:
    """A line that names the spool of before would go on starting it; its home stays what it is."""
    line = "restrict,command=\"/old/spool --home '/srv/my mail' serve --peer laptop\" ssh-ed25519 AAAA"
    (argv,) = renewed(line)
    assert argv[1:6] == ["--home", "/srv/my mail", "peer", "authorize", "laptop"]
    assert renewed(line.replace("/old/spool", "/home/ada/.local/share/spool/current/bin/spool")) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["box", "exec:true", "--setup", "--yes"], "for an ssh:// host"),
        (["cloud", "exec:true", "--far-agent", "a"], "add --setup"),
    ],
)
def test_setup_is_for_ssh_hosts(tmp_path: Path, words: list[str], says: str) -> None:
    """Said at once, with nothing written."""
    homes.init(tmp_path / "home", name="laptop", agents=["claude-local"])
    done = CliRunner().invoke(Root(), ["--home", str(tmp_path / "home"), "peer", "add", *words])
    assert done.exit_code == 1
    assert says in done.stderr
    assert "[peers" not in (tmp_path / "home" / "spool.toml").read_text()


def test_a_peer_that_dials_us_has_no_host_to_install_on(tmp_path: Path) -> None:
    """The error says what to do instead."""
    home = tmp_path / "home"
    homes.init(home, name="laptop", agents=["claude-local"])
    (home / "spool.toml").write_text((home / "spool.toml").read_text() + "\n[peers.desktop]\n")
    done = CliRunner().invoke(Root(), ["--home", str(home), "peer", "install", "desktop"])
    assert done.exit_code == 1
    assert "no host to log in to" in done.stderr and "docs/install.md" in done.stderr

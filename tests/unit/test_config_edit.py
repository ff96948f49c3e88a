"""Changes to spool.toml by command: what a person wrote around them stays."""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import pytest

from spool import config, config_edit
from spool import home as homes
from spool.config_edit import add_agent, remove_agent, remove_peer, set_peer
from spool.errors import BadConfig, BadInput, NotInitialised, UnknownPeer

WRITTEN = """\
# My laptop.

[peers.first]   # dials us
agents = ["far-*"]

[host]
agents = [
  "me",   # that is me
]
name = "laptop"  # the name

# The cloud.
[peers.cloud]
url = "ssh://cloud"
agents = ["cloud-*"]  # all of them
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as far as its config goes."""
    (tmp_path / "run").mkdir()
    (tmp_path / config.FILE).write_text(WRITTEN)
    return tmp_path


def text(home: Path) -> str:
    return (home / config.FILE).read_text()


def others(before: str, after: str) -> list[str]:
    """The lines of `before` that are not in `after` any more, or in another order."""
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[2:] for line in compared if line.startswith("- ")]


def test_an_agent_is_added(home: Path) -> None:
    """Every line that was there is still there, in its order."""
    assert add_agent(home, "you") is True

    assert config.load(home).host.agents == ["me", "you"]
    assert others(WRITTEN, text(home)) == []


def test_an_agent_that_is_there_changes_nothing(home: Path) -> None:
    """Not even the time of the file, which would make every process read it again."""
    before = (home / config.FILE).stat()

    assert add_agent(home, "me") is False
    assert (home / config.FILE).stat() == before


def test_an_agent_is_removed(home: Path) -> None:
    """And only that one."""
    add_agent(home, "you")
    remove_agent(home, "me")

    assert config.load(home).host.agents == ["you"]
    assert "# The cloud." in text(home)


def test_an_agent_is_added_where_there_is_no_list(home: Path) -> None:
    """`agents` may have been left out."""
    (home / config.FILE).write_text('[host]\nname = "laptop"\n')
    add_agent(home, "me")

    assert config.load(home).host.agents == ["me"]


def test_an_agent_that_is_not_there_cannot_be_removed(home: Path) -> None:
    """It was a typing error, most likely."""
    with pytest.raises(BadInput, match="no agent 'mee' here"):
        remove_agent(home, "mee")
    assert text(home) == WRITTEN


def test_a_peer_is_added(home: Path) -> None:
    """At the end, with the values that are some."""
    set_peer(home, "box", {"url": "ssh://box", "agents": ["box-1"], "via": [], "host_key": ""})

    peer = config.load(home).peer("box")
    assert (peer.url, peer.agents, peer.via) == ("ssh://box", ["box-1"], [])
    assert others(WRITTEN, text(home)) == [] and "host_key" not in text(home)


def test_the_first_peer_is_added(home: Path) -> None:
    """To a config as `init` makes it."""
    (home / config.FILE).write_text('# Hello.\n[host]\nname = "laptop"\nagents = []\n')
    set_peer(home, "box", {"url": "ssh://box"})

    assert config.load(home).peer("box").url == "ssh://box"
    assert text(home).startswith("# Hello.\n[host]") and "[peers.box]" in text(home)


def test_named_keys_of_a_peer_are_changed(home: Path) -> None:
    """The others stay; an empty value takes a key away, None leaves it alone."""
    set_peer(home, "cloud", {"url": "ssh://other", "agents": None, "via": ["far2-*"]})

    peer = config.load(home).peer("cloud")
    assert (peer.url, peer.agents, peer.via) == ("ssh://other", ["cloud-*"], ["far2-*"])
    set_peer(home, "cloud", {"via": []})
    assert config.load(home).peer("cloud").via == []
    assert others(WRITTEN, text(home)) == ['url = "ssh://cloud"']


@pytest.mark.parametrize(("name", "kept"), [("first", "cloud"), ("cloud", "first")])
def test_a_peer_is_removed(home: Path, name: str, kept: str) -> None:
    """Wherever its table stands in the file."""
    remove_peer(home, name)

    assert list(config.load(home).peers) == [kept]
    assert "# that is me" in text(home) and "# My laptop." in text(home)


def test_a_peer_that_is_not_there_cannot_be_removed(home: Path) -> None:
    """And nothing is written."""
    with pytest.raises(UnknownPeer):
        remove_peer(home, "clod")
    assert text(home) == WRITTEN


@pytest.mark.parametrize(
    "edit",
    [
        lambda home: add_agent(home, "not a name"),
        lambda home: add_agent(home, "cloud-7"),
        lambda home: set_peer(home, "box", {"agents": ["me"]}),
        lambda home: set_peer(home, "box", {"agents": ["cloud-*"]}),
        lambda home: set_peer(home, "box", {"url": "gopher://x"}),
        lambda home: set_peer(home, "box", {"colour": "red"}),
        lambda home: set_peer(home, "a b", {"url": "ssh://x"}),
    ],
)
def test_an_edit_that_makes_a_bad_config_is_refused(home: Path, edit: object) -> None:
    """The file is as it was, to the byte, and no draft lies about."""
    with pytest.raises(BadConfig):
        edit(home)  # type: ignore[operator]

    assert text(home) == WRITTEN
    assert sorted(path.name for path in home.iterdir()) == ["run", config.FILE]


def test_a_config_that_is_bad_already_is_not_edited(home: Path) -> None:
    """A person has to look at it first."""
    (home / config.FILE).write_text(WRITTEN + "colour = 1\n")

    with pytest.raises(BadConfig, match="colour"):
        add_agent(home, "you")


def test_no_home_is_said_so(tmp_path: Path) -> None:
    """Not that a lock file is missing."""
    with pytest.raises(NotInitialised):
        add_agent(tmp_path / "none", "me")


def test_a_home_without_its_run_folder_is_edited(home: Path) -> None:
    """It may have come back from a backup."""
    (home / "run").rmdir()

    assert add_agent(home, "you") is True


def test_only_its_owner_may_read_it(home: Path) -> None:
    """Whatever it was before."""
    add_agent(home, "you")

    assert (home / config.FILE).stat().st_mode & 0o777 == 0o600


def test_two_editors_at_once_lose_nothing(home: Path) -> None:
    """Four processes, each adding agents: the second sees what the first wrote."""
    code = (
        "import sys, pathlib; from spool.config_edit import add_agent\n"
        "for n in range(5): add_agent(pathlib.Path(sys.argv[1]), f'agent-{sys.argv[2]}-{n}')"
    )
    editors = [subprocess.Popen([sys.executable, "-c", code, str(home), str(n)]) for n in range(4)]
    assert [editor.wait(20) for editor in editors] == [0] * 4

    wanted = {"me"} | {f"agent-{e}-{n}" for e in range(4) for n in range(5)}
    assert set(config.load(home).host.agents) == wanted


class DiskFull(OSError):
    """What the test's disk says."""


def test_a_disk_that_fills_up_leaves_the_old_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole or not at all: the draft goes, and a later edit works."""

    def full(_file: int) -> None:
        raise DiskFull("no space left on device")

    monkeypatch.setattr(homes.os, "fsync", full)
    with pytest.raises(DiskFull):
        add_agent(home, "you")
    monkeypatch.undo()

    assert text(home) == WRITTEN
    assert not list(home.glob(".spool.toml*"))
    assert add_agent(home, "you") is True


def test_a_short_write_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """Under a limit of 1,000 bytes a file the kernel takes the first 1,000 and says so by a number."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import pathlib, resource, signal, sys; from spool.home import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomically(pathlib.Path(sys.argv[1]), b'x' * 3000, mode=0o600)\n"
        "except OSError: sys.exit(3)"
    )

    ran = subprocess.run([sys.executable, "-c", code, str(path)], timeout=20, check=False)

    assert ran.returncode == 3
    assert path.read_bytes() == b"old"


def test_the_lock_is_not_left_held(home: Path) -> None:
    """A refused edit frees it for the next."""
    with pytest.raises(BadConfig):
        add_agent(home, "not a name")
    with config_edit._edited(home):
        pass

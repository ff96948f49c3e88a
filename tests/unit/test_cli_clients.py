"""`spool agent install`, `uninstall` and `snippet`, as a person and a script would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from spool.cli.root import COMMANDS, Root
from tests.hosts import ENV, Host
from tests.terminal import Terminal

ROOT = Path(__file__).parents[2]
SETTINGS = '{\n\t"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "lint"}]}]}\n}'


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with a user's folder of its own: nobody's real settings are near."""
    env = {key: value for key, value in ENV.items() if key not in ("CLAUDE_CONFIG_DIR", "CODEX_HOME")}
    user = tmp_path / "user"
    (user / ".claude").mkdir(parents=True)
    (user / ".claude" / "settings.json").write_text(SETTINGS)
    for module in ("tests.hosts", "tests.terminal"):
        monkeypatch.setattr(f"{module}.ENV", {**env, "HOME": str(user)})
    return Host(tmp_path, "laptop", "alice")


def settings_of(host: Host) -> Path:
    return host.home.parent / "user" / ".claude" / "settings.json"


def listing(host: Host) -> list[str]:
    user = host.home.parent / "user"
    return sorted(str(path.relative_to(user)) for path in user.rglob("*") if path.is_file())


def test_the_change_is_shown_written_and_undone(host: Host) -> None:
    """The whole way that the guide takes: what is shown is what is written, and the undo is exact."""
    shown = host.cli("agent", "install", "claude-code", "--dry-run").stdout
    assert '"session-start"' in shown and shown.endswith("nothing was written\n")
    assert settings_of(host).read_text() == SETTINGS
    said = host.cli("agent", "install", "claude-code", "--yes").stdout
    assert said.startswith(shown.removesuffix("nothing was written\n"))
    assert listing(host) == [".claude.json", ".claude/settings.json", ".claude/skills/spool/SKILL.md"]
    assert "nothing to change" in host.cli("agent", "install", "claude-code", "--yes").stdout
    host.cli("agent", "uninstall", "claude-code", "--yes")
    assert listing(host) == [".claude/settings.json"]
    assert settings_of(host).read_text() == SETTINGS


def test_what_is_written_can_be_run(host: Host) -> None:
    """The path does not hang on the PATH of a hook: the program that it names is this spool."""
    host.cli("agent", "install", "claude-code", "--yes", "--agent", "alice")
    entry = json.loads(settings_of(host).read_text())["hooks"]["SessionStart"][0]["hooks"][0]
    words = [entry["command"], *entry["args"]]
    assert words[0].startswith("/") and words[-4:] == ["--home", str(host.home), "--agent", "alice"]
    program = words[: words.index("hook")]
    env = {"PATH": "/nowhere", "PYTHONPATH": ENV["PYTHONPATH"]}
    done = subprocess.run([*program, "--version"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("spool")


def test_a_person_is_asked_once(host: Host) -> None:
    """Enter alone is a no; after a y the files are there."""
    for answer, files in ((b"\n", 1), (b"y\n", 3)):
        with Terminal(host.home, "agent", "install", "claude-code") as terminal:
            terminal.until("Write this? [y/N]")
            os.write(terminal._ours, answer)
            terminal.until("nothing was written" if files == 1 else "written:")
            while terminal.process.poll() is None:
                terminal.read(0.05)
            assert terminal.process.returncode == (1 if files == 1 else 0)
        assert len(listing(host)) == files


def test_nobody_there_to_agree_is_an_error(host: Host) -> None:
    """A script that forgot --yes changes nothing, and learns what to do."""
    done = host.cli("agent", "install", "claude-code", check=1)
    assert "--yes" in done.stderr and listing(host) == [".claude/settings.json"]


def test_json_says_of_each_file_what_was_done(host: Host) -> None:
    """A script sees the paths and the changes."""
    lines = host.json("agent", "install", "codex", "--yes")
    config = host.home.parent / "user" / ".codex" / "config.toml"
    assert [(line["path"], line["action"], line["written"]) for line in lines] == [
        (str(config), "write", True)
    ]
    assert "+[mcp_servers.spool]" in lines[0]["diff"]
    assert host.json("agent", "uninstall", "codex", "--yes")[0]["action"] == "remove"
    assert not config.parent.exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["install", "claude-code", "--agent", "nobody"], 1, "spool agent add nobody"),
        (["install", "codex", "--wake", "socket"], 2, "--wake is for claude-code"),
        (["install", "emacs"], 2, "claude-code"),
    ],
)
def test_what_cannot_be_is_refused(host: Host, args: list[str], code: int, said: str) -> None:
    """An agent that does not read here would never be told of any mail."""
    done = host.cli("agent", *args, "--yes", check=code)
    assert said in done.stderr and listing(host) == [".claude/settings.json"]


def test_a_project_names_the_program_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files go to other machines; a path of this one would be wrong there."""
    project = host.home.parent / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    host.cli("agent", "install", "claude-code", "--scope", "project", "--yes", "--wake", "monitor")
    server = json.loads((project / ".mcp.json").read_text())["mcpServers"]["spool"]
    assert server["command"] == "spool" and (project / ".claude" / "settings.json").exists()
    host.cli("agent", "uninstall", "claude-code", "--scope", "project", "--yes")
    assert list(project.iterdir()) == []


# -- the texts for agents -------------------------------------------------------------------------

TEXTS = [ROOT / "spool" / "clients" / name for name in ("SKILL.md", "snippet-shell.md")]


def test_the_snippet_is_printed_as_it_is(host: Host) -> None:
    """It is appended to an AGENTS.md with >>."""
    assert host.cli("agent", "snippet", "shell").stdout == TEXTS[1].read_text()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_command_an_agent_is_taught_exists(path: Path) -> None:
    """A wrong option costs an agent a call, and us its trust."""
    text = path.read_text()
    root = Root()
    context = click.Context(root, info_name="spool")
    fenced = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S))
    spans = re.findall(r"`(spool [^`\n]+)`", text) + re.findall(r"^spool .*", fenced, re.M)
    taught = [(words.split()[1], words.partition("#")[0]) for words in spans]
    taught = [(verb, rest) for verb, rest in taught if verb != "--help"]
    found = {verb for verb, _ in taught}
    assert {"send", "read", "reply", "done", "wait"} <= found
    for verb, rest in taught:
        assert verb in COMMANDS, verb
        command: Any = root.get_command(context, verb)
        options = {name for param in command.params for name in param.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest)) <= options, (verb, rest)


def test_every_tool_the_skill_names_exists() -> None:
    """The same for the tools of the MCP server."""
    tools = re.findall(r"^\| [^|]+ \| `([a-z_]+)`", TEXTS[0].read_text(), re.M)
    served = "\n".join(path.read_text() for path in (ROOT / "spool" / "mcp_server").glob("*.py"))
    assert len(tools) == 7
    assert [name for name in tools if f"def {name}(" not in served] == []


def test_the_texts_stay_short() -> None:
    """They stand in an agent's context all day."""
    assert len(TEXTS[0].read_text().splitlines()) < 60
    assert len(TEXTS[1].read_text().splitlines()) < 40

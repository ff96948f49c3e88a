"""The plugins for Claude Code and their marketplace: the documented form, and the installer's own table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spool.clients import claude
from spool.clients.base import Setup
from spool.version import VERSION

ROOT = Path(__file__).parents[2]
PLUGINS = ("plugin", "plugin-monitor")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# The keys that are documented: plugins-reference, plugin-marketplaces, hooks, mcp, skills.
MANIFEST = {
    "name": str,
    "version": str,
    "displayName": str,
    "description": str,
    "author": dict,
    "homepage": str,
    "repository": str,
    "license": str,
    "keywords": list,
}
MARKETPLACE = {"name": str, "owner": dict, "metadata": dict, "plugins": list}
ENTRY = {"name": str, "source": str, "description": str}
HOOK = {"type": str, "command": str, "args": list, "timeout": (int, float), "asyncRewake": bool}
GROUP = {"matcher": str, "hooks": list}
SERVER = {"command": str, "args": list, "env": dict}
MONITOR = {"name": str, "command": str, "description": str, "when": str}
WITHOUT_MATCHER = {"UserPromptSubmit", "Stop"}
EVENTS = {"SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "SessionEnd"}


def load(*parts: str) -> Any:
    return json.loads(ROOT.joinpath(*parts).read_text())


def check(value: Any, form: dict[str, Any], *required: str) -> None:
    assert isinstance(value, dict)
    assert set(required) <= set(value) <= set(form), value
    for key, each in value.items():
        assert isinstance(each, form[key]), key


@pytest.mark.parametrize("folder", PLUGINS)
def test_the_manifest_has_the_documented_form(folder: str) -> None:
    """Claude Code refuses a plugin whose manifest it does not understand."""
    manifest = load(folder, ".claude-plugin", "plugin.json")
    check(manifest, MANIFEST, "name", "version", "description", "author")
    assert NAME.fullmatch(manifest["name"])
    assert [path.name for path in (ROOT / folder / ".claude-plugin").iterdir()] == ["plugin.json"]


@pytest.mark.parametrize("folder", PLUGINS)
def test_a_plugin_has_the_version_of_its_spool(folder: str) -> None:
    """Claude Code updates a plugin when its version changes."""
    assert load(folder, ".claude-plugin", "plugin.json")["version"] == VERSION


def test_the_marketplace_lists_both_by_their_names() -> None:
    """Its sources are folders beside it, so that a checkout is all that is needed."""
    marketplace = load(".claude-plugin", "marketplace.json")
    check(marketplace, MARKETPLACE, "name", "owner", "plugins")
    assert NAME.fullmatch(marketplace["name"]) and marketplace["owner"]["name"]
    for entry in marketplace["plugins"]:
        check(entry, ENTRY, "name", "source")
        assert entry["source"].startswith("./")
        manifest = load(entry["source"], ".claude-plugin", "plugin.json")
        assert manifest["name"] == entry["name"]
    assert {entry["source"] for entry in marketplace["plugins"]} == {f"./{each}" for each in PLUGINS}


@pytest.mark.parametrize("setup", [Setup(), Setup(wake="rewake", home="/h", agent="a"), Setup(wake="socket")])
def test_the_hooks_have_the_documented_form(setup: Setup) -> None:
    """A hook in another form is dropped without a word."""
    table = claude.hooks(setup)
    assert set(table) == EVENTS
    for event, group in table.items():
        check(group, GROUP, "hooks")
        assert ("matcher" in group) <= (event not in WITHOUT_MATCHER)
        for hook in group["hooks"]:
            check(hook, HOOK, "type", "command", "args")
            assert hook["type"] == "command" and all(isinstance(word, str) for word in hook["args"])


def test_the_plugins_hooks_are_the_installers() -> None:
    """One table: what is mended in one is mended in the other."""
    file = load("plugin", "hooks", "hooks.json")
    check(file, {"hooks": dict, "description": str}, "hooks")
    assert file["hooks"] == {event: [group] for event, group in claude.hooks(Setup()).items()}


def test_the_plugins_server_is_the_installers() -> None:
    """Likewise; the program is found on the PATH, since a plugin is the same on all machines."""
    servers = load("plugin", ".mcp.json")["mcpServers"]
    check(servers["spool"], SERVER, "command")
    assert servers == {"spool": claude.server(Setup())} and servers["spool"]["command"] == "spool"


def test_the_plugins_skill_is_the_installers() -> None:
    """A copy: a plugin is installed from its own folder alone."""
    ours = (ROOT / "spool" / "clients" / "SKILL.md").read_bytes()
    assert (ROOT / "plugin" / "skills" / "spool" / "SKILL.md").read_bytes() == ours


def test_the_skill_says_what_it_is_for() -> None:
    """Claude Code chooses a skill by its description, of which it reads 1,536 characters."""
    text = (ROOT / "spool" / "clients" / "SKILL.md").read_text()
    head = re.match(r"---\nname: (.+)\ndescription: (.+)\n---\n", text)
    assert head is not None and NAME.fullmatch(head[1]) and 40 < len(head[2]) < 1000


def test_the_monitor_follows_the_inbox() -> None:
    """Each line that it prints wakes the session; it comes only to who installs it."""
    (monitor,) = load("plugin-monitor", "monitors", "monitors.json")
    check(monitor, MONITOR, "name", "command", "description")
    assert monitor["command"] == "spool inbox --follow"

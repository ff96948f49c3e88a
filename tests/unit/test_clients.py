"""spool in the settings of Claude Code, Codex and Gemini CLI: written surgically, undone exactly."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spool.clients import claude, codex, files, gemini, ledger
from spool.clients.base import Places, Setup
from spool.clients.files import ChangedMeanwhile
from spool.clients.installing import Installation
from spool.errors import BadInput, FileTrouble
from tests.odd_json import settings_files

SETUP = Setup(program=("/opt/spool/bin/spool",))
OTHER = Setup(program=("/new/bin/spool",), home="/srv/é", agent="bob", wake="rewake")
FOREIGN = (
    '{\r\n\t"model": "opus",\r\n'
    '\t"hooks": {"Stop": [ {"hooks": [{"type":"command","command":"lint"}]} ]}\r\n}'
)
CODEX = 'model = "o3"\n\n[mcp_servers.docs]\ncommand = "npx"\nargs = [\n  "-y",\n] # why\n'


class Desk(NamedTuple):
    """A user's folder, and a home that is there."""

    folder: Path

    @property
    def places(self) -> Places:
        return Places(user=self.folder, project=self.folder / "project")

    def claude(self, setup: Setup = SETUP) -> Installation:
        pieces = claude.pieces(setup, "user", self.places)
        return Installation(self.folder / "home", "claude-code", "user", pieces)

    @property
    def settings(self) -> Path:
        return self.folder / ".claude" / "settings.json"

    @property
    def servers(self) -> Path:
        return self.folder / ".claude.json"

    @property
    def skill(self) -> Path:
        return self.folder / ".claude" / "skills" / "spool" / "SKILL.md"

    def put(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def tree(self) -> dict[str, bytes | str]:
        """Every file with its bytes, every link, every folder, but the home."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_relative_to(self.folder / "home"):
                continue
            name = str(path.relative_to(self.folder))
            found[name] = (
                f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_bytes()
            )
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "home").mkdir(mode=0o700)
    return Desk(tmp_path)


def hooks_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())["hooks"]
    return found


def with_ours(before: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """What a settings.json is to say after an install, made without any of the code under test."""
    after = copy.deepcopy(before)
    for event, verb, timeout in (
        ("SessionStart", "session-start", 10),
        ("UserPromptSubmit", "user-prompt-submit", 10),
        ("PostToolUse", "post-tool-use", 10),
        ("Stop", "stop", 10),
        ("SessionEnd", "session-end", 1.5),
    ):
        hook = {
            "type": "command",
            "command": setup.program[0],
            "args": ["hook", verb],
            "timeout": timeout,
        }
        group = {"hooks": [hook]}
        if event == "SessionStart":
            group["matcher"] = "startup|resume|clear|compact|fork"  # type: ignore[assignment]
        after.setdefault("hooks", {}).setdefault(event, []).append(group)
    return after


# -- what is written ----------------------------------------------------------------------------


def test_a_user_without_any_settings_gets_all_files_and_loses_them_again(desk: Desk) -> None:
    """Files and folders that were made are removed, and nothing else is there."""
    desk.claude().install()
    assert json.loads(desk.settings.read_bytes()) == with_ours({}, SETUP)
    assert json.loads(desk.servers.read_bytes()) == {
        "mcpServers": {"spool": {"command": "/opt/spool/bin/spool", "args": ["mcp"]}}
    }
    assert desk.skill.exists()
    assert desk.settings.stat().st_mode & 0o777 == 0o600
    desk.claude().uninstall()
    assert desk.tree() == {}


@settings(max_examples=40, deadline=None)
@given(settings_files(), settings_files(), st.sampled_from([SETUP, OTHER]))
def test_installing_adds_ours_and_undoing_brings_back_every_byte(one: str, two: str, last: Setup) -> None:
    """Whatever the form of the files, and whether it was installed once or again with other options."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        (desk.folder / "home").mkdir()
        desk.put(desk.settings, one)
        desk.put(desk.servers, two)
        before = desk.tree()
        desk.claude().install()
        assert json.loads(desk.settings.read_bytes()) == with_ours(json.loads(one), SETUP)
        servers = json.loads(two)
        servers.setdefault("mcpServers", {})["spool"] = claude.server(SETUP)
        assert json.loads(desk.servers.read_bytes()) == servers
        desk.claude(last).install()
        desk.claude().uninstall()
        assert desk.tree() == before


@settings(max_examples=60, deadline=None)
@given(settings_files())
def test_taking_ours_out_of_a_changed_file_leaves_the_rest(text: str) -> None:
    """Another program has added something since: its value stays, ours go, and nothing empty is left."""
    piece = claude.Settings(Path("settings.json"), 0o600, SETUP)
    changed = json.loads(piece.put(text))
    changed["theirs"] = [1]
    rest = piece.take(json.dumps(changed), text)
    assert rest is not None and json.loads(rest) == {**json.loads(text), "theirs": [1]}


def test_twice_is_once(desk: Desk) -> None:
    """A second install finds all as it should be, and writes nothing."""
    desk.put(desk.settings, FOREIGN)
    desk.claude().install()
    before = desk.tree()
    assert [change.action for change in desk.claude().install()] == ["none"] * 3
    assert desk.tree() == before


def test_other_options_change_ours_where_they_stand(desk: Desk) -> None:
    """No second entry, and a hook that somebody put behind ours stays behind it."""
    desk.put(desk.settings, FOREIGN)
    desk.claude().install()
    tree = json.loads(desk.settings.read_bytes())
    tree["hooks"]["Stop"].append({"hooks": [{"type": "command", "command": "behind"}]})
    desk.put(desk.settings, json.dumps(tree))
    desk.claude(OTHER).install()
    commands = [[hook["command"] for hook in group["hooks"]] for group in hooks_of(desk.settings)["Stop"]]
    assert commands == [["lint"], ["/new/bin/spool"] * 2, ["behind"]]
    assert "/opt/spool" not in desk.settings.read_text()


@pytest.mark.parametrize(
    ("wake", "start", "stop"),
    [
        ("none", [["hook", "session-start"]], [["hook", "stop"]]),
        ("monitor", [["hook", "session-start"]], [["hook", "stop"]]),
        ("socket", [["hook", "session-start", "--wake", "socket"]], [["hook", "stop"]]),
        ("rewake", [["hook", "session-start"], ["hook", "wait"]], [["hook", "stop"], ["hook", "wait"]]),
    ],
)
def test_each_way_of_waking_has_its_hooks(wake: Any, start: list[list[str]], stop: list[list[str]]) -> None:
    """A session is woken only where a person chose how."""
    table = claude.hooks(Setup(wake=wake))
    found = {event: [hook["args"] for hook in group["hooks"]] for event, group in table.items()}
    assert (found["SessionStart"], found["Stop"]) == (start, stop)
    rewake = [hook.get("asyncRewake", False) for hook in table["Stop"]["hooks"]]
    assert rewake == [False, True][: len(stop)]


def test_home_and_agent_are_named_to_hooks_and_server() -> None:
    """A hook does not see the shell's SPOOL_HOME; a project's SPOOL_AGENT outweighs the installed one."""
    hook = claude.hooks(OTHER)["SessionEnd"]["hooks"][0]
    assert hook["args"] == ["hook", "session-end", "--home", "/srv/é", "--agent", "bob"]
    assert claude.server(OTHER)["args"] == ["mcp", "--home", "/srv/é"]
    assert claude.server(OTHER)["env"] == {"SPOOL_AGENT": "${SPOOL_AGENT:-bob}"}


OLDER = [
    pytest.param({"command": "spool hook stop"}, id="shell form"),
    pytest.param({"command": "'/old place/spool' --home '/a b' hook stop"}, id="shell form, options first"),
    pytest.param({"command": "/old/spool", "args": ["--home", "/x", "hook", "stop"]}, id="options first"),
    pytest.param({"command": "/usr/bin/python3", "args": ["-P", "-m", "spool", "hook", "x"]}, id="module"),
]


@pytest.mark.parametrize("entry", OLDER)
def test_what_an_older_spool_wrote_is_ours(desk: Desk, entry: dict[str, Any]) -> None:
    """An upgrade leaves no dead hooks behind, neither of events that are used still nor of others."""
    theirs = {"type": "command", "command": "lint"}
    old = {"type": "command", **entry}
    hooks = {"Stop": [{"hooks": [theirs, old]}], "Notification": [{"hooks": [old]}, {"hooks": [theirs]}]}
    desk.put(desk.settings, json.dumps({"hooks": hooks}))
    desk.claude().install()
    found = hooks_of(desk.settings)
    assert found["Stop"] == [{"hooks": [theirs]}, claude.hooks(SETUP)["Stop"]]
    assert found["Notification"] == [{"hooks": [theirs]}]


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "spool-lint hook stop"},
        {"command": "spool", "args": ["status"]},
        {"command": "echo 'spool hook stop"},
        {"command": ["spool", "hook"]},
        {"command": "python3", "args": ["-m"]},
        {"type": "http", "url": "http://localhost/spool hook"},
        {},
    ],
)
def test_what_only_looks_like_ours_is_left_alone(entry: dict[str, Any]) -> None:
    """A person's own hook may call spool as well."""
    assert not claude.is_hook(entry)


# -- what has changed in between ------------------------------------------------------------------


def test_what_others_changed_since_stays(desk: Desk) -> None:
    """Claude Code writes ~/.claude.json all day long; the undo takes ours out of what it is by then."""
    desk.put(desk.servers, '{\n  "n": 1,\n  "mcpServers": {\n    "docs": {"command": "x"}\n  }\n}\n')
    desk.claude().install()
    desk.put(desk.servers, desk.servers.read_text().replace('"n": 1', '"n": 2,\n  "more": []'))
    desk.claude().uninstall()
    assert desk.servers.read_text() == (
        '{\n  "n": 2,\n  "more": [],\n  "mcpServers": {\n    "docs": {"command": "x"}\n  }\n}\n'
    )


def test_boxes_that_were_ours_go_and_others_stay_empty(desk: Desk) -> None:
    """An empty `hooks` of before is one after; an event that came with us goes with us."""
    desk.put(desk.settings, '{"hooks": {"Stop": []}}')
    desk.claude().install()
    desk.put(desk.settings, json.dumps({**json.loads(desk.settings.read_text()), "new": 1}))
    desk.claude().uninstall()
    assert json.loads(desk.settings.read_text()) == {"hooks": {"Stop": []}, "new": 1}


def test_installing_again_over_a_change_undoes_to_that_change(desk: Desk) -> None:
    """What is brought back is never older than the person's last word."""
    desk.put(desk.settings, '{"model": "opus"}\n')
    desk.claude().install()
    desk.put(desk.settings, desk.settings.read_text().replace("opus", "sonnet"))
    desk.claude(OTHER).install()
    desk.claude().uninstall()
    assert desk.settings.read_text() == '{"model": "sonnet"}\n'


def test_without_what_was_kept_ours_are_found_all_the_same(desk: Desk) -> None:
    """The home is gone, or another one installed them."""
    desk.put(desk.settings, FOREIGN)
    desk.claude().install()
    for each in (desk.folder / "home" / ledger.FOLDER).iterdir():
        each.unlink()
    desk.claude().uninstall()
    assert json.loads(desk.settings.read_bytes())["hooks"]["Stop"] == json.loads(FOREIGN)["hooks"]["Stop"]
    assert "spool" not in desk.settings.read_text() and not desk.skill.exists()


def test_a_skill_that_a_person_changed_stays(desk: Desk) -> None:
    """It is their text by then."""
    desk.claude().install()
    desk.put(desk.skill, desk.skill.read_text() + "And be brief.\n")
    desk.claude().uninstall()
    assert desk.skill.read_text().endswith("And be brief.\n")


def test_a_skill_of_an_older_spool_is_replaced_and_then_removed(desk: Desk) -> None:
    """What is kept knows it as ours, though this version would write it otherwise."""
    desk.claude().install()
    old = b"an older text"
    kept = ledger.load(desk.folder / "home", "claude-code", desk.skill)
    assert kept is not None
    desk.skill.write_bytes(old + b"\n<!-- This skill comes with spool. -->\n")
    fields = {field: getattr(kept, field) for field in kept.__struct_fields__}
    ledger.save(
        desk.folder / "home", ledger.Kept(**{**fields, "after": ledger.digest(desk.skill.read_bytes())})
    )
    desk.claude().install()
    assert old not in desk.skill.read_bytes()
    desk.claude().uninstall()
    assert desk.tree() == {}


def test_a_change_of_that_very_moment_is_not_lost(desk: Desk) -> None:
    """Another program writes between our look and our rename: its value is in the file, and so are ours."""
    desk.put(desk.settings, '{"n": 1}')

    class Raced(NamedTuple):
        path: Path
        mode: int = 0o600

        def put(self, text: str | None) -> str:
            if text == '{"n": 1}' and raced:
                raced.pop()
                desk.put(desk.settings, '{"n": 2}')
            return claude.Settings(self.path, self.mode, SETUP).put(text)

        def take(self, text: str, before: str | None) -> str | None:
            return claude.Settings(self.path, self.mode, SETUP).take(text, before)

    raced = [1]
    job = Installation(desk.folder / "home", "claude-code", "user", [Raced(desk.settings)])
    job.install()
    assert json.loads(desk.settings.read_text()) == with_ours({"n": 2}, SETUP)
    job.uninstall()
    assert desk.settings.read_text() == '{"n": 2}'


def test_a_kill_in_the_middle_can_be_undone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is on the disk before the file it is about: a half install is a small install."""
    desk.put(desk.settings, FOREIGN)
    desk.put(desk.servers, "{}")
    before, replace, seen = desk.tree(), files.replace, list[Path]()

    def killed(path: Path, old: bytes | None, new: bytes | None, *, mode: int) -> None:
        seen.append(path)
        if len(seen) == 2:
            raise KeyboardInterrupt
        replace(path, old, new, mode=mode)

    monkeypatch.setattr(files, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.claude().install()
    monkeypatch.undo()
    assert desk.servers.read_text() == "{}" and b"session-start" in desk.settings.read_bytes()
    desk.claude().uninstall()
    assert desk.tree() == before


def test_a_file_that_changed_is_not_replaced(tmp_path: Path) -> None:
    """The look just before the rename is what the promise rests on; a file that appears counts too."""
    path = tmp_path / "settings.json"
    with pytest.raises(ChangedMeanwhile):
        files.replace(path, b"old", b"new", mode=0o600)
    path.write_bytes(b"theirs")
    changes: list[tuple[bytes | None, bytes | None]] = [(b"old", b"new"), (None, b"new"), (b"old", None)]
    for old, new in changes:
        with pytest.raises(ChangedMeanwhile):
            files.replace(path, old, new, mode=0o600)
    assert path.read_bytes() == b"theirs" and os.listdir(tmp_path) == ["settings.json"]


# -- files ----------------------------------------------------------------------------------------


def test_a_link_stays_a_link(desk: Desk) -> None:
    """Settings that live in a folder of dotfiles are changed there, with their permissions."""
    real = desk.folder / "dotfiles" / "claude.json"
    desk.put(real, FOREIGN)
    real.chmod(0o640)
    desk.settings.parent.mkdir()
    desk.settings.symlink_to(Path("..") / "dotfiles" / "claude.json")
    before = desk.tree()
    desk.claude().install()
    assert desk.settings.is_symlink() and b"session-start" in real.read_bytes()
    assert real.stat().st_mode & 0o777 == 0o640
    desk.claude().uninstall()
    assert desk.tree() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_stays_the_owner(desk: Desk) -> None:
    """Run by root over a user's settings, they are the user's still."""
    desk.put(desk.settings, "{}")
    os.chown(desk.settings, 12345, 54321)
    desk.claude().install()
    info = desk.settings.stat()
    assert (info.st_uid, info.st_gid) == (12345, 54321)


def test_what_is_kept_is_for_nobody_else_to_read(desk: Desk) -> None:
    """It holds a copy of ~/.claude.json, where accounts and projects stand."""
    desk.put(desk.servers, '{"oauthAccount": {}}')
    desk.claude().install()
    folder = desk.folder / "home" / ledger.FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}


BROKEN = [
    pytest.param(b'{\n  "a": 1,\n}', "settings.json, line 3, column 1:", id="a comma too many"),
    pytest.param(b'{"hooks": []}', "settings.json, line 1, column 11: an object is expected", id="a list"),
    pytest.param(b'{"hooks": {\n"Stop": {}}}', "line 2, column 9: an array is expected", id="an object"),
    pytest.param(b"[]", "line 1, column 1: an object is expected", id="no object at all"),
    pytest.param(b'{"a":\n"\xff"}', "settings.json, line 2: not UTF-8", id="not UTF-8"),
]


@pytest.mark.parametrize(("content", "said"), BROKEN)
def test_a_file_that_cannot_be_changed_leaves_all_as_they_are(desk: Desk, content: bytes, said: str) -> None:
    """The place of the slip is named, and no other file is half installed."""
    desk.settings.parent.mkdir()
    desk.settings.write_bytes(content)
    before = desk.tree()
    with pytest.raises(BadInput, match=said):
        desk.claude().install()
    assert desk.tree() == before


def test_another_programs_server_and_skill_are_not_taken_over(desk: Desk) -> None:
    """Somebody else may have called theirs spool."""
    desk.put(desk.servers, '{"mcpServers": {"spool": {"command": "/usr/bin/cups"}}}')
    with pytest.raises(BadInput, match="another program's"):
        desk.claude().install()
    desk.servers.unlink()
    desk.put(desk.skill, "# How to print\n")
    with pytest.raises(BadInput, match="not spool's"):
        desk.claude().install()
    assert [change.action for change in desk.claude().removed()] == ["none"] * 3


def test_what_is_no_file_is_refused(desk: Desk) -> None:
    """A folder or a pipe of that name would make us wait, or worse."""
    desk.settings.mkdir(parents=True)
    with pytest.raises(FileTrouble, match="is not a file"):
        desk.claude().install()


# -- Codex and Gemini CLI -------------------------------------------------------------------------


def codex_job(desk: Desk, setup: Setup = SETUP) -> Installation:
    return Installation(desk.folder / "home", "codex", "user", codex.pieces(setup, "user", desk.places))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CODEX,
        CODEX.replace("\n", "\r\n"),
        CODEX.rstrip("\n"),
        '[mcp_servers]\n\n[profiles."x"]\na = 1\n',
        "[mcp_servers.docs.env]\nA = '''\n[mcp_servers.spool]\n'''\n",
    ],
)
def test_codex_gets_a_table_at_the_end_and_loses_it(desk: Desk, text: str) -> None:
    """Its TOML keeps comments, line ends and order."""
    path = desk.folder / ".codex" / "config.toml"
    desk.put(path, text)
    codex_job(desk).install()
    after = path.read_bytes().decode()
    wanted = tomllib.loads(text)
    wanted.setdefault("mcp_servers", {})["spool"] = codex.server(SETUP)
    assert after.startswith(text) and tomllib.loads(after) == wanted
    assert ("\r\n" in text) == ("\r\n" in after) and "\r\r" not in after
    codex_job(desk).uninstall()
    assert path.read_bytes().decode() == text


def test_codex_is_brought_up_to_date_and_taken_out_of_a_changed_file(desk: Desk) -> None:
    """One table of ours, whatever was written behind it."""
    path = desk.folder / ".codex" / "config.toml"
    desk.put(path, CODEX)
    codex_job(desk, OTHER).install()
    desk.put(path, path.read_text() + "\n# How it looks\n[tui]\ntheme = 'x'\n")
    codex_job(desk).install()
    tree = tomllib.loads(path.read_text())
    assert tree["mcp_servers"]["spool"] == codex.server(SETUP) and tree["tui"] == {"theme": "x"}
    codex_job(desk).uninstall()
    assert path.read_text() == CODEX + "\n# How it looks\n[tui]\ntheme = 'x'\n"


@pytest.mark.parametrize(
    "text", ["mcp_servers = {}\n", "mcp_servers = 1\n", "a = \n", '[mcp_servers.spool]\ncommand = "cups"\n']
)
def test_toml_that_cannot_be_added_to_is_left_alone(desk: Desk, text: str) -> None:
    """An inline table takes no more members; a person is told what to write."""
    path = desk.folder / ".codex" / "config.toml"
    desk.put(path, text)
    with pytest.raises(BadInput, match=r"config\.toml"):
        codex_job(desk).install()
    assert path.read_text() == text


def test_gemini_gets_a_server_among_its_settings(desk: Desk) -> None:
    """Its settings.json holds more than servers."""
    path = desk.folder / "project" / ".gemini" / "settings.json"
    desk.put(path, '{\n  "theme": "GitHub"\n}\n')
    pieces = gemini.pieces(OTHER, "project", desk.places)
    job = Installation(desk.folder / "home", "gemini", "project", pieces)
    job.install()
    assert json.loads(path.read_text()) == {
        "theme": "GitHub",
        "mcpServers": {
            "spool": {
                "command": "/new/bin/spool",
                "args": ["mcp", "--home", "/srv/é"],
                "env": {"SPOOL_AGENT": "bob"},
            }
        },
    }
    job.uninstall()
    assert path.read_text() == '{\n  "theme": "GitHub"\n}\n'

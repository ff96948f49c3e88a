"""What a person sees on a terminal: nothing wider than it, nothing wrapped by it, colours only there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from spool.cli import screen
from spool.cli.root import Root
from tests import scenery
from tests.scenery import AGENT, Scene
from tests.terminal import Terminal

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COMMANDS = (
    "status",
    "status --check",
    "inbox",
    "outbox",
    "dead list",
    "agent list",
    "peer list",
    "peer check cloud",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """It is only looked at."""
    with scenery.laptop(tmp_path_factory.mktemp("scene")) as made:
        yield made


def printed(scene: Scene, command: str, *, colours: bool = False) -> str:
    """What a command prints; with `colours` they are left in, as where it prints on a terminal."""
    words = ["--home", str(scene.home), "--agent", AGENT, *command.split()]
    return CliRunner().invoke(Root(), words, color=colours).stdout


def traces(scene: Scene) -> list[str]:
    return [f"trace {id}" for id in scene.sent]


# -- whole commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    scene: Scene, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that the terminal breaks by itself is read twice; one that is too short says nothing."""
    monkeypatch.setattr(screen, "width", lambda: width)
    for command in (*COMMANDS, *traces(scene)):
        lines = printed(scene, command).splitlines()
        assert lines, command
        # The one thing that cannot be broken: the path of the home.
        too_wide = [line for line in lines if screen.extent(line) > width and str(scene.home) not in line]
        assert not too_wide, command


def test_the_columns_of_a_list_are_aligned(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve subjects in five scripts begin in one column, and most of the line is theirs."""
    monkeypatch.setattr(screen, "width", lambda: 100)
    lines = printed(scene, "inbox").splitlines()
    subjects = [subject for *_, subject in scenery.LETTERS]
    starts = {line.index(subject[:6]) for line in lines for subject in subjects if subject[:6] in line}
    assert len(lines) == len(subjects)
    assert starts == {
        8 + 2 + 2 + 2 + len("OVERDUE") + 2 + len("claude-cloud-agent-1") + 2 + len("40 min") + 2
    }


def test_a_shown_id_is_taken_by_every_command(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ending alone is shown, and it is what one types next."""
    monkeypatch.setattr(screen, "width", lambda: 80)
    shown = [line.split()[0] for line in printed(scene, "outbox").splitlines()]
    assert len(shown) == 3
    for id in shown:
        assert printed(scene, f"trace {id}").split()[0].endswith(id)


def test_what_is_no_terminal_gets_everything_whole(scene: Scene) -> None:
    """Agents and scripts read it: whole ids, whole subjects, no colours."""
    for command in (*COMMANDS, *traces(scene)):
        assert "\x1b" not in printed(scene, command, colours=True), command
        assert "…" not in printed(scene, command).replace("E1IGO…", ""), command
    said = printed(scene, "inbox")
    assert all(subject in said for *_, subject in scenery.LETTERS)
    assert len(re.findall(r"^msg-[0-9a-f-]{36}  P", said, re.MULTILINE)) == len(scenery.LETTERS)


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_colours_are_left_out_where_one_asks(
    scene: Scene, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://no-color.org, and a terminal that says it is dumb."""
    monkeypatch.setattr(screen, "width", lambda: 80)
    coloured = [command for command in COMMANDS if ESCAPE.search(printed(scene, command, colours=True))]
    assert {"status", "inbox", "outbox", "dead list", "peer list", "peer check cloud"} <= set(coloured)

    monkeypatch.setenv(variable, "dumb")

    assert not [command for command in COMMANDS if "\x1b" in printed(scene, command, colours=True)]


def test_on_a_real_terminal(scene: Scene) -> None:
    """The width is asked of it, and the states are coloured."""
    with Terminal(scene.home, "inbox", "--agent", AGENT, columns=72) as terminal:
        assert terminal.process.wait(60) == 0
        terminal.end()
        lines = terminal.text.replace("\r", "").splitlines()
        assert max(map(screen.extent, lines)) in (71, 72)
        assert "\x1b[31mOVERDUE\x1b[0m" in terminal.raw


# -- widths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("plain", 5),
        ("日本語", 6),
        ("🎉", 2),
        ("é", 1),
        ("e\u0301", 1),
        ("⚠\ufe0f", 2),
        ("\U0001f9ff", 2),
    ],
)
def test_wide_letters_count_twice(text: str, columns: int) -> None:
    """As terminals draw them; what goes on top of a letter takes no room."""
    assert screen.extent(text) == columns


def test_a_cut_never_passes_the_room_and_says_so() -> None:
    """Half a letter fits nowhere."""
    assert screen.cut("日本語です", 10) == "日本語です"
    assert screen.cut("日本語です", 8) == "日本語…"
    assert screen.cut("👩\u200d💻 code", 4) == "👩…"
    assert screen.middle("claude-cloud-agent-1", 16) == "claude-c…agent-1"


def test_a_command_in_backticks_stays_on_one_line() -> None:
    """It is copied from there."""
    lines = screen.wrapped("mend it, then `spool peer resume stackcp` and look", 30)
    assert lines == ["mend it, then", "`spool peer resume stackcp`", "and look"]


def test_what_a_peer_wrote_can_forge_neither_a_line_nor_a_colour() -> None:
    """Its reasons and notes stand in what is drawn with colours of our own."""
    said = "no\x1b[31m\nmsg-1 is done"
    assert screen.folded(said) == "no\\x1b[31m / msg-1 is done"
    for lines in (screen.listing([("a", said)]), screen.report([("a", said)])):
        assert lines == ["a  no\\x1b[31m\\nmsg-1 is done"]


def test_text_without_spaces_is_broken_where_it_has_to_be() -> None:
    """Some scripts have none."""
    assert screen.wrapped("請在今天下班之前", 10) == ["請在今天下", "班之前"]


def test_ids_that_end_alike_are_shown_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme of somebody else's: the day at the end. And none begins with a dash, which is an option."""
    monkeypatch.setattr(screen, "width", lambda: 80)
    assert screen.ids(["builder-report-20251113", "reviewer-report-20251113"]) == [
        "builder-report-20251113",
        "reviewer-report-20251113",
    ]
    assert screen.ids(["msg-20251113-0000017", "msg-20251113-0000018"]) == ["3-0000017", "3-0000018"]

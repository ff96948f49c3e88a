"""The scripts in use, as the tests have them: word for word, and running as their readers run them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import protocol_scripts as scripts
from tests.sshd import Sshd
from tests.waiting import soon

TEXT = (Path(__file__).parents[1] / "vectors" / "protocol-blocks.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
HEREDOCS = [
    found
    for block in BLOCKS
    for found in re.findall(r"<< 'EOF'\n(.*?)^EOF$", block, re.DOTALL | re.MULTILINE)
]
EVERYTHING = {**scripts.LOCAL_SCRIPTS, **scripts.CLOUD_SCRIPTS, **scripts.RECIPES}
WITHIN_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What stands for /tmp."""
    return tmp_path / "near"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of the far account."""
    return tmp_path / "cloud"


@pytest.fixture
def env(tmp_path: Path, home: Path) -> Iterator[dict[str, str]]:
    """An environment in which the host `stackcp` is a real sshd."""
    with Sshd(tmp_path / "sshd") as sshd:
        yield scripts.environment(scripts.tools(tmp_path / "tools", sshd, home, pause_s=0.2))


def whole_line(path: Path) -> bool:
    """Say whether a line was written: `>>` makes the file before it."""
    return path.exists() and path.read_text().endswith("\n")


def whole(folder: Path, pattern: str) -> bool:
    """Say whether a file of that name is there to its last byte: the loop's scp fills it in place."""
    return any(path.read_text().endswith("}\n") for path in folder.glob(pattern))


def test_the_scripts_are_those_of_the_text() -> None:
    """A test against a script that nobody runs would prove nothing."""
    mine = [scripts.LOCAL_OPTION_1, scripts.CLOUD_OPTION_1, scripts.LOCAL_STEP_1, scripts.CLOUD_STEP_2]
    assert mine == HEREDOCS


def test_the_recipes_are_those_of_the_text() -> None:
    """The same; the block of the local side is the two recipes with a blank line between."""
    whole = [block for block in BLOCKS if "EOF" not in block]
    assert whole == [
        f"{scripts.LOCAL_SEND}\n{scripts.LOCAL_READ}",
        scripts.CLOUD_REPLY,
        scripts.LOCAL_TEST,
        scripts.EXAMPLE_BLOCKER,
        scripts.EXAMPLE_BLOCKER_RESOLVED,
        scripts.EXAMPLE_DEPLOY_READY,
    ]


@pytest.mark.parametrize("text", EVERYTHING.values(), ids=EVERYTHING)
def test_each_is_a_script_that_bash_can_read(text: str) -> None:
    """A slip in a constant shows here, not as a peer that does not answer."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_the_folder_below_tmp_is_replaced() -> None:
    """Put back, the text is the same: the scripts that the tests run are those in use."""
    for text in EVERYTHING.values():
        moved = scripts.in_folder(text, Path("/somewhere/else"))
        assert text == moved.replace("/somewhere/else/", "/tmp/")
        assert "/tmp/" not in moved


def test_a_message_goes_over_and_its_ack_comes_back(folder: Path, home: Path, env: dict[str, str]) -> None:
    """Both scripts of the deployment, over a real sshd; nothing of it in the home of who runs the tests."""
    with scripts.running(scripts.start_cloud_script(home, env)):
        with scripts.running(scripts.start_local_script(folder, env)):
            scripts.run_recipe(scripts.EXAMPLE_BLOCKER, env=env, home=home, folder=folder).check_returncode()
            assert soon(lambda: whole(folder / "from-cloud", "ack-*.json"), WITHIN_S)
            (taken,) = (home / "claude-inbox" / "processed").iterdir()

    (ack,) = (folder / "from-cloud").iterdir()
    assert json.loads(ack.read_text()) == {
        "from": "cloud",
        "to": "local",
        "re": taken.stem,
        "status": "received",
    }


def test_the_local_script_of_option_1_carries_what_was_there_before_it(
    folder: Path, home: Path, env: dict[str, str]
) -> None:
    """What is written between its scp and its rm is lost, so it finds the message when it starts."""
    (folder / "to-cloud").mkdir(parents=True)
    scripts.make_cloud_folders(home)
    scripts.run_recipe(scripts.EXAMPLE_BLOCKER, env=env, home=home, folder=folder).check_returncode()
    (sent,) = (folder / "to-cloud").iterdir()
    text = sent.read_bytes()

    with scripts.running(scripts.start_local_script(folder, env, scripts.LOCAL_OPTION_1)):
        assert soon(lambda: not sent.exists(), WITHIN_S)

    assert (home / "claude-inbox" / sent.name).read_bytes() == text


def test_the_cloud_script_of_option_1_leaves_its_mail_and_logs_it_again(tmp_path: Path, home: Path) -> None:
    """It is the one that never takes a file out: a reader must not wait for that."""
    env = scripts.environment()
    with scripts.running(scripts.start_cloud_script(home, env, scripts.CLOUD_OPTION_1)):
        (home / "claude-inbox" / "a.json").write_text("{}")
        assert soon(lambda: whole_line(home / "claude.log"), WITHIN_S)

    assert (home / "claude.log").read_text() == "New message: a.json\n"
    assert (home / "claude-inbox" / "a.json").exists()
    assert not (home / "claude-inbox" / "processed").exists()


def test_a_recipe_answers_what_a_recipe_sent(folder: Path, home: Path) -> None:
    """The cloud's recipe reads with jq, answers without `re`, and files the message away."""
    env = scripts.environment()
    (folder / "to-cloud").mkdir(parents=True)
    scripts.make_cloud_folders(home)
    scripts.run_recipe(scripts.LOCAL_SEND, env=env, home=home, folder=folder).check_returncode()
    (sent,) = (folder / "to-cloud").iterdir()
    sent.rename(home / "claude-inbox" / sent.name)

    done = scripts.run_recipe(scripts.CLOUD_REPLY, env=env, home=home)

    assert (done.returncode, done.stderr) == (0, "")
    (answer,) = (home / "claude-outbox").glob("reply-*.json")
    assert json.loads(answer.read_text())["subject"] == "Re: Ready to deploy Photo Inventory"
    assert [sent.name] == [path.name for path in (home / "claude-inbox" / "processed").iterdir()]


def test_the_local_recipe_prints_and_removes(folder: Path, home: Path) -> None:
    """What went by `rm` was read: there is no other sign of it."""
    (folder / "from-cloud").mkdir(parents=True)
    home.mkdir()
    (folder / "from-cloud" / "a.json").write_text('{"body": "Done \\u2705"}')

    done = scripts.run_recipe(scripts.LOCAL_READ, env=scripts.environment(), home=home, folder=folder)

    assert done.stdout.splitlines()[-1] == "Done ✅"
    assert list((folder / "from-cloud").iterdir()) == []


@pytest.mark.parametrize("text", [scripts.EXAMPLE_BLOCKER_RESOLVED, scripts.EXAMPLE_DEPLOY_READY])
def test_the_cloud_examples_leave_one_whole_file(text: str, home: Path) -> None:
    """Their fields are those of the examples, emoji and line breaks included."""
    scripts.make_cloud_folders(home)
    scripts.run_recipe(text, env=scripts.environment(), home=home).check_returncode()

    (file,) = (home / "claude-outbox").iterdir()
    assert json.loads(file.read_text())["to"] == "claude-local"


def test_the_protocol_s_own_test_shows_the_far_inbox(folder: Path, home: Path, env: dict[str, str]) -> None:
    """Step 3: it sends, waits, and lists by ssh; `ls` there must be of the far home."""
    scripts.make_cloud_folders(home)
    with scripts.running(scripts.start_local_script(folder, env)):
        done = scripts.run_recipe(scripts.LOCAL_TEST, env=env, home=home, folder=folder)

        assert done.returncode == 0, done.stderr
        assert soon(lambda: list((home / "claude-inbox").glob("test-*.json")) != [], WITHIN_S)
    assert "processed" in done.stdout


def test_a_stopped_script_leaves_nothing_running(home: Path) -> None:
    """Its `sleep` would hold the folder of a test that is over."""
    process = scripts.start_cloud_script(home, scripts.environment())
    scripts.stop(process)

    listed = subprocess.run(["ps", "-A", "-o", "pgid="], capture_output=True, text=True, check=True).stdout
    assert str(process.pid) not in listed.split()

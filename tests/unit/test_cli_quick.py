"""The commands that agents call all the time: read as click would read them, without it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from spool.cli import quick
from spool.cli.common import Call
from spool.cli.declared import Command
from spool.cli.names import COMMANDS, QUICK
from spool.home import init
from tests.hosts import ROOT

# What each needs none of: a line here is some milliseconds of each call.
NEVER = (
    "click gettext difflib traceback logging dataclasses tempfile subprocess random secrets socket"
    " huey paramiko structlog rich tomlkit cryptography rfc8785 scp spool.cli.root spool.cli.failing"
    " spool.cli.following spool.carrier spool.running spool.foreign spool.attachments spool.folder"
    " spool.terms spool.retry spool.delivery spool.log_foreign"
    " spool.store.sqlite_history spool.store.sqlite_sweep spool.store.sqlite_files"
)
OF_ITSELF = "msgspec apsw pathlib spool.config spool.message spool.cli.common"
READS = "uuid_utils hashlib json spool.cli.send spool.inbox spool.whereabouts spool.store.sqlite_sessions"
SENDS = "spool.cli.read spool.inbox spool.sessions spool.quotas spool.loop_views spool.store.sqlite_inbox"
CALLS = {
    "--version": OF_ITSELF,
    "--help": OF_ITSELF,
    "send bob@far -s hi -b there": SENDS,
    "inbox": READS,
    "inbox --json": READS,
    "--agent alice --json inbox": READS,
    "read": READS,
    "status": "uuid_utils hashlib json spool.cli.send",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    init(made, name="here", agents=["alice"])
    with open(made / "spool.toml", "a") as file:
        file.write('\n[peers.far]\nagents = ["bob"]\n')
    return made


@pytest.mark.parametrize("line", sorted(CALLS))
def test_a_command_imports_what_it_needs(line: str, home: Path) -> None:
    """The start is most of what a command takes, and an import creeps in unseen."""
    code = (
        "import sys\nfrom spool.cli import main\n"
        "try:\n    main(sys.argv[2:])\nexcept SystemExit as exc:\n    print(exc.code)\n"
        "print([name for name in sys.argv[1].split() if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, f"{NEVER} {CALLS[line]}", *line.split()],
        env={**os.environ, "SPOOL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.splitlines()[-2:] == ["0", "[]"], told.stderr


def declared(name: str) -> Command:
    found = getattr(importlib.import_module(f"spool.cli.{COMMANDS[name]}"), name)
    assert isinstance(found, Command)
    return found


PLAIN = (
    "send bob -s hi -b there",
    "send bob --subject=hi --body=a=b --priority p1 --json",
    "send bob -s hi -b - --requires-response --home /somewhere",
    "send bob -s hi --context a=1 --context b=2 --field x=y --attach one --attach two",
    "send -s one bob -s two --agent alice --timeout 2m --wait-for answer",
    "send --message -",
    "send bob -s hi --deadline 2030-01-01T00:00:00Z --id mine --re his --thread t --type question",
    "reply 93a788 -b done --keep-open",
    "inbox",
    "inbox --unread --full --from alice --re x --thread y --priority P0 --limit 3",
    "inbox --follow --new-only",
    "read",
    "read 93a788 --json",
    "read --all --max-bytes 10",
    "show 93a788",
    "done 93a788 0b41c2 --outcome rejected --note no",
    "cancel 93a788",
    "wait 93a788 --timeout 5",
    "wait --from builder",
    "status --check --max-age 5m",
    "status -w",
)


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_plain_is_read_as_click_reads_it(line: str) -> None:
    """Two readers of one command line must never mean different things by it."""
    name, *words = line.split()
    command, call, other = declared(name), Call(), Call()

    values = quick.read(command.takes, words, call)

    context = command.as_click.make_context(name, list(words), obj=other)
    assert values == context.params
    assert (call.json, call.agent, call.home_given) == (other.json, other.agent, other.home_given)


BEFORE = (
    "--home {home} --agent alice inbox",
    "--home={home} --json inbox --agent=alice",
    "--agent nobody --home {home} inbox --agent alice --json",
    "--agent nobody --home {home} inbox",
    "--json --home {home} inbox --unread",
)


@pytest.mark.parametrize("line", BEFORE)
def test_what_all_commands_take_may_stand_before_them(line: str, home: Path) -> None:
    """With the same meaning as click has for it, and as quickly."""
    words = [sys.executable, "-m", "spool.cli", *line.format(home=home).split()]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Where the encoding is odd, click reads it.
    click_env = {**env, "PYTHONIOENCODING": "latin-1"}
    quickly, slowly = (
        subprocess.run(words, env=each, capture_output=True, text=True, timeout=60, check=False)
        for each in (env, click_env)
    )

    assert (quickly.returncode, quickly.stdout, quickly.stderr) == (
        slowly.returncode,
        slowly.stdout,
        slowly.stderr,
    )


NOT_PLAIN = (
    "send bob -sHi",
    "send bob --subj hi",
    "send bob -s",
    "send bob -s --body x",
    "send bob --requires-response=yes",
    "send bob -s hi --priority P9",
    "send bob -s hi --timeout soon",
    "send bob -s hi --context novalue",
    "send bob carol -s hi",
    "send bob -- -s",
    "send --help",
    "inbox extra",
    "inbox --limit 0",
    "inbox --limit many",
    "inbox -h",
    "done",
    "show",
    "show a b",
    "reply -b x",
    "status --bogus",
)


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_the_rest_is_left_to_click(line: str) -> None:
    """What is wrong with a call is said by click alone, so it is said in the same words everywhere."""
    name, *words = line.split()
    with pytest.raises(quick.NotPlain):
        quick.read(declared(name).takes, words, Call())


@pytest.mark.parametrize("words", [["bob", "-s", ""], ["", "-s", "hi"], ["bob", "--subject="]])
def test_an_empty_word_is_left_to_click(words: list[str]) -> None:
    """Where nothing is given for something, click knows what that means."""
    with pytest.raises(quick.NotPlain):
        quick.read(declared("send").takes, words, Call())


def test_json_values_come_through_as_they_were_written() -> None:
    """They are kept as bytes, so that a number stays as its sender wrote it."""
    words = ["bob", "-s", "hi", "--context-json", "n=1.50"]
    ((key, value),) = quick.read(declared("send").takes, words, Call())["context_json"]
    assert (key, bytes(value)) == ("n", b"1.50")
    assert isinstance(value, msgspec.Raw)


KNOWN = {"type", "default", "is_flag", "multiple", "metavar", "help", "hidden", "required", "nargs"}


@pytest.mark.parametrize("name", sorted(QUICK))
def test_nothing_is_declared_that_only_click_understands(name: str) -> None:
    """An option of a kind that this reader does not know would be read as something else, without a word."""
    for each in declared(name).takes:
        assert each.keys.keys() <= KNOWN
        assert each.is_option or each.keys.get("nargs", -1) == -1
        assert not (each.is_option and {"nargs", "required"} & each.keys.keys())


@pytest.mark.parametrize("name", sorted(QUICK))
def test_names_are_those_that_click_gives(name: str) -> None:
    """The same body is called by both readers, with its values by name."""
    command = declared(name)
    ours: list[Any] = [each.name for each in command.takes]
    theirs = [param.name for param in command.as_click.params if not _is_common(param)]
    assert ours == theirs


def _is_common(param: click.Parameter) -> bool:
    return param.name in ("home", "agent", "json") and not param.expose_value

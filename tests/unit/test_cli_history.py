"""`spool search` and `spool archive` as people and scripts use them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spool.cli import archive as archive_module
from tests.unit.test_cli import HEAVY, ROOT, Cli, spool

__all__ = ["spool"]


def past(spool: Cli, *subjects: str, **more: Any) -> list[str]:
    """Messages from alice to bob that are done and archived; their ids."""
    ids = [spool.send(subject, *(["-b", more["body"]] if more else [])) for subject in subjects]
    spool.ok("done", *ids, "--agent", "bob")
    assert spool.json("archive", "run", "--older-than", "0")[0]["moved"] == 2 * len(ids)
    return ids


def test_search_prints_a_line_for_each_message(spool: Cli) -> None:
    """Which, whose, of when, and the words in their place; live and archived, the newest first."""
    (old,) = past(spool, "Lamp", body="the red lamp flickers")
    new = spool.send("another lamp")

    first, second = spool.ok("search", "lamp").splitlines()
    assert first.startswith(f"{new}  sent  received  alice to bob  20") and first.endswith("another lamp")
    assert second.startswith(f"{old}  sent  done ") and second.endswith("Lamp | the red lamp flickers")
    assert spool.ok("search", "red", "flick*").startswith(old)
    assert spool.ok("search", '"red lamp"', "--to", "bob", "--from", "alice", "--since", "1h").startswith(old)


def test_search_as_json(spool: Cli) -> None:
    """The headers of `inbox --json`, where it stands, and a piece of it."""
    (id,) = past(spool, "Lamp", body="the red lamp")
    (row,) = spool.json("search", "lamp")

    assert (row["id"], row["from"], row["to"], row["subject"], row["state"]) == (
        id,
        "alice",
        "bob",
        "Lamp",
        "done",
    )
    assert (row["where"], row["archived"], row["excerpt"]) == ("outbox", True, "the red lamp")
    assert "message" not in row and "body" not in row


def test_search_says_that_there_is_more_or_nothing(spool: Cli) -> None:
    """On stderr, and it is no failure."""
    past(spool, "lamp", "lamp", "lamp")
    done = spool("search", "lamp", "--limit", "2")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "spool: there is more than these 2: --limit shows more\n"
    done = spool("search", "nowhere")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "spool: no message fits; `spool show ID` finds one by its id\n"


@pytest.mark.parametrize(
    ("args", "kind", "exit"),
    [
        (["***"], "bad_input", 1),
        (["a*"], "bad_input", 1),
        (["word"] * 33, "bad_input", 1),
        ([], "usage", 2),
        (["x", "--since", "soon"], "usage", 2),
        (["x", "--limit", "0"], "usage", 2),
    ],
)
def test_a_search_that_cannot_be_made(spool: Cli, args: list[str], kind: str, exit: int) -> None:
    """Refused with what to do, in words."""
    told = spool.error("search", *args)
    assert (told["kind"], told["exit"]) == (kind, exit) and "fts" not in told["message"].lower()


def test_what_is_found_cannot_move_the_cursor(spool: Cli) -> None:
    """It is somebody else's text: every control character is written out, and it stays one line."""
    past(spool, "lamp \x1b[2J\x07", body="lamp\n\x1b[31mred\u202e\n")
    (line,) = spool.ok("search", "lamp").splitlines()
    assert "\\x1b[2J" in line and "\x1b" not in line and "\u202e" not in line


def test_search_imports_nothing_heavy(spool: Cli) -> None:
    """An agent looks things up between two thoughts."""
    code = (
        "import sys, spool.cli\n"
        f"try:\n    spool.cli.main({['--home', str(spool.home), 'search', 'lamp']!r})\n"
        "except SystemExit:\n    pass\n"
        f"print(*[m for m in {HEAVY!r} if m in sys.modules], 'end')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "end"


def test_the_archive_is_listed_by_agent_and_time(spool: Cli) -> None:
    """The newest first, and whether there is more."""
    past(spool, "one", "two")
    assert [row["subject"] for row in spool.json("archive", "list")] == ["two", "two", "one", "one"]
    assert {row["where"] for row in spool.json("archive", "list")} == {"outbox", "inbox"}
    assert spool.json("archive", "list", "--from", "bob") == []
    assert len(spool.json("archive", "list", "--to", "bob", "--since", "1h", "--limit", "3")) == 3
    assert spool("archive", "list", "--limit", "1").stderr.endswith("--limit shows more\n")
    assert spool("archive", "list", "--from", "bob").stderr == "spool: nothing in the archive fits\n"


def test_the_archive_is_empty_at_first(spool: Cli) -> None:
    """Said on stderr."""
    assert spool("archive", "list").stderr == "spool: the archive is empty\n"
    assert spool.ok("archive", "export") == ""


def test_an_export_is_a_line_for_each_message(spool: Cli) -> None:
    """On standard output, whole, with its history and its acks."""
    ids = past(spool, "one", "two", body="text")
    lines = [json.loads(line) for line in spool.ok("archive", "export").splitlines()]

    assert [line["id"] for line in lines] == ids and all(line["v"] == 1 for line in lines)
    assert lines[0]["message"]["body"] == "text" and lines[0]["message"]["subject"] == "one"
    (trace,) = spool.json("trace", ids[0])
    assert lines[0]["events"] == trace["events"]
    assert [(ack["status"], ack["by"]) for ack in lines[0]["acks"]] == [("received", None), ("done", "bob")]
    since = lines[1]["queued_at"]
    assert [
        json.loads(line)["id"] for line in spool.ok("archive", "export", "--since", since).splitlines()
    ] == [ids[1]]
    assert spool.ok("archive", "export", "--until", "1h") == ""


def test_an_export_to_a_file_appears_whole_and_is_its_owners_alone(spool: Cli, tmp_path: Path) -> None:
    """One that is there is replaced; nothing is left beside it."""
    past(spool, "one")
    out = tmp_path / "out" / "archive.ndjson"
    out.parent.mkdir()
    out.write_text("before")
    out.chmod(0o644)
    (told,) = spool.json("archive", "export", "--out", str(out))

    assert told == {"v": 1, "written": 1, "file": str(out)}
    assert out.read_text() == spool.ok("archive", "export")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600 and os.listdir(out.parent) == [out.name]


def test_an_export_that_fails_leaves_what_was_there(
    spool: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half of it would be taken for the whole."""
    past(spool, "one")
    out = tmp_path / "out" / "archive.ndjson"
    out.parent.mkdir()
    out.write_text("before")

    def broken(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    told = spool.error("archive", "export", "--out", str(out))

    assert told["kind"] == "bad_input" and "No space left on device" in told["message"]
    assert out.read_text() == "before" and os.listdir(out.parent) == [out.name]


@pytest.mark.parametrize("place", ["missing/file", ".", "pipe"])
def test_an_export_goes_to_a_plain_file_only(spool: Cli, tmp_path: Path, place: str) -> None:
    """A device would be replaced by a file; a folder that is not there is a slip."""
    os.mkfifo(tmp_path / "pipe")
    told = spool.error("archive", "export", "--out", str(tmp_path / place))

    assert (told["kind"], told["exit"]) == ("bad_input", 1) and told["hint"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_reader_that_goes_away_ends_an_export_quietly(spool: Cli) -> None:
    """`spool archive export | head -1`."""
    past(spool, *(["x"] * 20), body="y" * 20_000)
    done = subprocess.run(
        f"{sys.executable} -m spool.cli --home {spool.home} archive export | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert (done.stdout, done.stderr) == ('{"v":1,"id', "")


def test_what_takes_long_says_how_far_it_is(spool: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, from time to time."""
    monkeypatch.setattr(archive_module, "TELL_S", 0.0)
    id = spool.send("x")
    spool.ok("done", id, "--agent", "bob")
    done = spool("archive", "run", "--older-than", "0s")
    assert done.stdout == "2 moved\n" and done.stderr == "spool: 2 moved so far\n"
    assert spool("archive", "export").stderr == "spool: 1 written so far\n"

"""`spool send --attach`, and how read, show, inbox and outbox show files."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from spool import home as homes
from spool.api import Spool
from spool.desk import SYSTEM
from spool.freight import Freight
from spool.settings import Settings
from tests.hosts import ENV
from tests.unit.test_cli import Cli


@pytest.fixture
def spool(tmp_path: Path) -> Cli:
    """A host with two agents, and a peer that nobody reaches."""
    home = tmp_path / "home"
    homes.init(home, name="laptop", agents=["alice", "bob"])
    with (home / "spool.toml").open("a") as config:
        config.write('\n[peers.cloud]\nagents = ["carol"]\n')
    return Cli(home)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"a report")
    return path


SHA256 = hashlib.sha256(b"a report").hexdigest()
SENDER = ("--agent", "alice")
READER = ("--agent", "bob")


def test_send_says_what_it_attached(spool: Cli, report: Path, tmp_path: Path) -> None:
    """Each with its hash and where this host keeps it; the option may be given again."""
    other = tmp_path / "log.txt"
    other.write_bytes(b"")
    files = ("--attach", str(report), "--attach", str(other))
    (told,) = spool.json("send", "bob", "-s", "Look", *files, *SENDER)
    first, second = told["attachments"]
    path = str(spool.home / "attachments" / SHA256)
    assert first == {"name": "report.pdf", "bytes": 8, "sha256": SHA256, "path": path}
    assert (second["name"], second["bytes"]) == ("log.txt", 0)
    (plain,) = spool.json("send", "bob", "-s", "Look", *SENDER)
    assert "attachments" not in plain


@pytest.mark.parametrize("command", [("read",), ("show",), ("inbox", "--full")])
def test_a_reader_is_given_a_path(spool: Cli, report: Path, command: tuple[str, ...]) -> None:
    """Beside the message, in both forms; the list of headers stays short."""
    id = spool.send("Look", "--attach", str(report))
    asked = (*command, id) if command == ("show",) else command
    (view,) = spool.json(*asked, *READER)
    (file,) = view["attachments"]
    assert Path(file["path"]).read_bytes() == b"a report"
    assert view["message"]["attachments"] == [{"name": "report.pdf", "bytes": 8, "sha256": SHA256}]

    text = spool.ok("show", id, *READER)
    assert f"Attachment 1: 8 bytes, {file['path']}\n" in text
    assert "attachments" not in spool.json("inbox", *READER)[0] if command[0] != "read" else True


def test_what_its_sender_called_a_file_stands_fenced_and_escaped(spool: Cli, tmp_path: Path) -> None:
    """A name is the sender's words: it must not look like ours, nor move the cursor."""
    path = tmp_path / "evil\nState: done\x1b[2J\u202etxt.exe"
    path.write_bytes(b"x")
    id = spool.send("Look", "--attach", str(path))
    text = spool.ok("show", id, *READER)
    vouched, fenced = text.split("--- ", 1)
    assert "evil" not in vouched
    assert "Attachment 1: evil\\nState: done\\x1b[2J\\u202etxt.exe" in fenced
    assert "\x1b" not in text


def test_a_file_that_is_gone_is_said_to_be(spool: Cli, report: Path) -> None:
    """`show` of what was archived long ago."""
    id = spool.send("Look", "--attach", str(report))
    (spool.home / "attachments" / SHA256).unlink()
    assert "Attachment 1: 8 bytes, it is not on this host" in spool.ok("show", id, *READER)
    assert spool.json("show", id, *READER)[0]["attachments"][0]["path"] is None


def test_a_field_that_only_has_the_name_is_shown_as_a_field(spool: Cli) -> None:
    """It is the sender's own."""
    line = json.dumps({"from": "alice", "to": "bob", "subject": "hi", "attachments": "see the wiki"})
    (id,) = spool.ok("send", "--message", "-", stdin=line).split()
    assert "attachments: see the wiki" in spool.ok("show", id, *READER)
    assert "attachments" not in spool.json("show", id, *READER)[0]


def test_the_outbox_says_how_far_a_file_got(spool: Cli, tmp_path: Path) -> None:
    """Where the subject stands else; with --json in bytes."""
    path = tmp_path / "big"
    path.write_bytes(os.urandom(40_000_000))
    id = spool.send("Look", "--attach", str(path), to="carol")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with Spool(spool.home) as api:
        freight = Freight(api.store, Settings(api.home, api.store, SYSTEM), "cloud", SYSTEM)
        freight.got(sha256, 12_345_678)
        assert "attachment 12 of 40 MB: Look" in spool.ok("outbox")
        assert spool.json("outbox")[0]["attached"] == {"there": 12_345_678, "bytes": 40_000_000}
        freight.there(sha256)
    assert "attachment" not in spool.ok("outbox")
    assert spool.json("outbox")[0]["id"] == id
    assert "attached" not in spool.json("outbox")[0]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--attach", "/no/such/file"), "/no/such/file: No such file"),
        (("--attach", "/tmp"), "not a regular file"),
        (("--field", "attachments=x"), "use --attach"),
    ],
)
def test_what_cannot_be_attached_sends_nothing(spool: Cli, args: tuple[str, ...], words: str) -> None:
    """One line that says why."""
    done = spool("send", "bob", "-s", "Look", *args, *SENDER)
    assert done.exit_code in (1, 2) and words in done.stderr
    assert spool.json("inbox", *READER) == []


def test_a_whole_message_from_a_file_takes_no_attachments_beside_it(spool: Cli, report: Path) -> None:
    """--message is the whole message."""
    done = spool("send", "--message", "-", "--attach", str(report), stdin="{}")
    assert done.exit_code == 2 and "leave TO and the rest out" in done.stderr


def test_a_reply_may_bring_files(spool: Cli, report: Path) -> None:
    """The same option."""
    id = spool.send("Where is it?")
    (told,) = spool.json("reply", id, "-b", "Here", "--attach", str(report), *READER)
    assert told["attachments"][0]["sha256"] == SHA256
    assert spool.json("read", *SENDER)[0]["attachments"][0]["name"] == "report.pdf"


def test_a_terminal_sees_a_bar_and_a_pipe_does_not(spool: Cli, tmp_path: Path) -> None:
    """The bar is on stderr and gone when it is done: the id is all that stays."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(300_000_000)
    command = [sys.executable, "-m", "spool.cli", "--home", str(spool.home), "send", "bob", "-s", "Look"]
    command += ["--attach", str(path), *SENDER]
    ours, theirs = pty.openpty()
    env = {**ENV, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env, text=True)
    os.close(theirs)
    seen = b""
    try:
        while more := os.read(ours, 65536):
            seen += more
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    out = done.communicate(timeout=30)[0]
    assert done.returncode == 0 and out.startswith("msg-") and "copying" not in out
    assert b"copying" in seen and b"MB" in seen

    piped = subprocess.run(command, capture_output=True, env=env, text=True, timeout=60)
    assert (piped.returncode, piped.stderr) == (0, "")

"""spool-lite, the script for hosts where no spool can run: what it sends, in each shell, as real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from spool import foreign
from spool.cli import cli
from spool.kit import text as kit_text
from spool.message import ID, MAX_BYTES, Message
from tests.kit import AT_ONCE, SCRIPT, SHELLS, Kit, full_disk, in_shell, killed_at_20_kb
from tests.protocol_scripts import environment, tools
from tests.sshd import Sshd

HOSTILE: Final = {
    "quotes": """ "double" 'single' ""' """,
    "backslashes": r"\ \\ \n \" \u0041 \0 C:\temp\new",
    "blanks": "a\tb\r\nc\n\n  d \n",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f",
    "other scripts": "日本語 é ß \u2028 \U0001f600 ✅ \u202e",
    "commands": "$(touch hacked) `touch hacked` ${HOME} $HOME; touch hacked | & > hacked",
    "leading dashes": "-n --help -e \\c",
    "globs": "* ? [a-z] ~ ~root !! !$",
    "formats": "%s %d %n %% %1$s \\045",
    "json": '{"from":"root"},"to":"x"}',
}


@pytest.fixture(params=SHELLS)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    """In each shell."""
    return in_shell(request.param, tmp_path)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_arrives_as_it_was(kit: Kit, text: str) -> None:
    """What an agent writes is data: nothing in it is run, lost or changed, given or piped."""
    given = kit.send("bot", "claude-local", text, text)
    piped = kit.send("bot", "claude-local", "s", "-", stdin=text.encode())

    assert (given["subject"], given["body"], piped["body"]) == (text, text, text)
    assert not (kit.home / "hacked").exists()


def test_a_nul_byte_arrives(kit: Kit) -> None:
    """A shell's variable cannot hold one; what is piped need not go through any."""
    assert kit.send("bot", "claude-local", "s", "-", stdin=b"a\0b")["body"] == "a\0b"


def test_spool_reads_what_it_sends(kit: Kit) -> None:
    """A message with an answered id is no ack; the id that was printed is the id that spool keeps."""
    sent = kit.send("bot", "claude-local@laptop", "Done", "✅\n", "msg-1")
    (path,) = kit.outbox.glob("*.json")

    message = foreign.read(foreign.Found(path.name, path.read_bytes(), 0.0), max_bytes=MAX_BYTES)

    assert isinstance(message, Message)
    assert (message.id, message.sender, message.re) == (sent["id"], "bot", "msg-1")
    assert path.stem == message.id
    assert sent["timestamp"] == message.timestamp


def test_spool_reads_its_acks(kit: Kit) -> None:
    """They have the shape that the scripts in use write, and a note where there is one."""
    kit("ack", "msg-1", "rejected", 'no "such" branch')
    (path,) = kit.outbox.iterdir()

    ack = foreign.read(foreign.Found(path.name, path.read_bytes(), 0.0), max_bytes=MAX_BYTES)

    assert isinstance(ack, foreign.FileAck)
    assert (ack.re, ack.note) == ("msg-1", 'no "such" branch')
    assert kit.acks()[0] == {
        "from": "cloud",
        "to": "local",
        "re": "msg-1",
        "status": "rejected",
        "note": 'no "such" branch',
    }


def test_without_a_body_there_is_none(kit: Kit) -> None:
    """An empty BODY makes room for RE."""
    assert "body" not in kit.send("bot", "claude-local", "Ping")
    answer = kit.send("bot", "claude-local", "Pong", "", "msg-1")
    assert ("body" in answer, answer["re"]) == (False, "msg-1")


def test_folders_and_names_come_from_the_environment(kit: Kit) -> None:
    """Two agents of one account keep their mail apart."""
    env = {
        "SPOOL_INBOX": str(kit.home / "my in"),
        "SPOOL_OUTBOX": str(kit.home / "my out"),
        "SPOOL_AGENT": "ann",
    }
    kit("ack", "msg-1", "done", env=env)

    (path,) = (kit.home / "my out").iterdir()
    assert json.loads(path.read_text())["from"] == "ann"
    assert (kit.home / "my in" / "processed").is_dir()
    assert not kit.outbox.exists()


def test_nobody_else_can_read_the_mail(kit: Kit) -> None:
    """Hosts of this kind are shared."""
    kit.send("bot", "claude-local", "s", "b")
    (path,) = kit.outbox.iterdir()
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, kit.outbox, kit.inbox, kit.processed)]
    assert modes == [0o600, 0o700, 0o700, 0o700]


def test_a_strange_host_name_makes_no_strange_file_name(kit: Kit, tmp_path: Path) -> None:
    """The id stands in file names, shells and other people's JSON."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "uname").write_text(f"#!/bin/sh\necho 'a/b \"; rm x.é.{'n' * 200}'\n")
    (bin_dir / "uname").chmod(0o755)
    name = kit("send", "bot", "claude-local", "s", env={"PATH": f"{bin_dir}:{kit.path}"}).stdout.strip()
    assert ID.fullmatch(name)


def test_parallel_senders_never_share_a_name_or_show_half_a_file(kit: Kit) -> None:
    """A reader that looks at any moment sees whole files only, and each message is there once."""
    body = ("x" * 60 + "\n").encode() * 300
    broken: list[Path] = []
    over = threading.Event()

    def look() -> None:
        whole: set[Path] = set()
        while not over.is_set():
            for path in set(kit.outbox.glob("*.json")) - whole:
                try:
                    assert len(json.loads(path.read_bytes())["body"]) == len(body)
                except (ValueError, AssertionError):
                    broken.append(path)
                whole.add(path)

    def send(number: int) -> list[str]:
        return [
            kit("send", "bot", "claude-local", f"{number}-{n}", "-", stdin=body).stdout.strip()
            for n in range(2)
        ]

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ids = [each for named in pool.map(send, range(AT_ONCE)) for each in named]
    finally:
        over.set()
        looking.join()

    assert broken == []
    assert len(set(ids)) == 2 * AT_ONCE
    subjects = [json.loads((kit.outbox / f"{each}.json").read_bytes())["subject"] for each in ids]
    assert subjects == [f"{number}-{n}" for number in range(AT_ONCE) for n in range(2)]
    assert sorted(os.listdir(kit.outbox)) == sorted(f"{each}.json" for each in ids)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("sendd", "a", "b", "c"),
        ("send", "a", "b"),
        ("send", "a", "b", "c", "d", "e", "f"),
        ("send", "a b", "b", "s"),
        ("send", "a", "b@", "s"),
        ("send", "a", "../b", "s"),
        ("send", "a", "b", ""),
        ("send", "a", "b", "s", "body", 'x","y'),
        ("list", "all"),
        ("take", "x"),
        ("ack", "msg-1"),
        ("ack", "msg-1", "seen"),
        ("ack", 'x","status":"done', "read"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_writes_nothing(kit: Kit, args: tuple[str, ...]) -> None:
    """And says on stderr what would be right."""
    done = kit(*args, check=2)
    assert done.stdout == ""
    assert "spool-lite" in done.stderr
    assert list(kit.home.rglob("*.json")) == []


def test_help_is_no_failure_and_makes_no_folder(kit: Kit) -> None:
    """Who reads it may be about to say where the folders are."""
    assert "Examples:" in kit("help").stdout
    assert kit("--help").stdout == kit("help").stdout
    assert os.listdir(kit.home) == []


def test_a_full_disk_is_a_failure_and_leaves_nothing(kit: Kit) -> None:
    """A send that exits 0 is on the disk; one that does not left no half of a file."""
    done = kit("send", "bot", "claude-local", "s", "b", check=1, preexec=full_disk)
    assert "cannot write into" in done.stderr
    assert (done.stdout, os.listdir(kit.outbox)) == ("", [])


def test_a_sender_killed_while_it_writes_leaves_nothing_to_read(kit: Kit) -> None:
    """What dash and busybox leave then has a hidden name; bash removes even that."""
    args = ("send", "bot", "claude-local", "s", "-")
    kit(*args, stdin=b"x" * 90_000, check=-signal.SIGXFSZ, preexec=killed_at_20_kb)
    assert [name for name in os.listdir(kit.outbox) if not name.startswith(".")] == []


def test_what_spool_would_refuse_is_not_sent(kit: Kit) -> None:
    """Better here, where somebody sees it, than in a quarantine elsewhere."""
    whole = kit.send("bot", "claude-local", "s", "-", stdin=b"x" * 100_000)
    assert len(str(whole["body"])) == 100_000
    done = kit("send", "bot", "claude-local", "s", "-", stdin=b"x" * 200_000, check=1)
    assert "102,400" in done.stderr
    assert len(os.listdir(kit.outbox)) == 1


def test_what_is_not_utf_8_is_not_sent_where_that_can_be_told(kit: Kit) -> None:
    """Where there is no iconv (busybox has none) spool's quarantine has it."""
    can_tell = shutil.which("iconv", path=kit.path) is not None
    kit("send", "bot", "claude-local", "s", "-", stdin=b"a\xffb", check=1 if can_tell else 0)
    assert len(os.listdir(kit.outbox)) == (0 if can_tell else 1)


def test_shellcheck_finds_nothing() -> None:
    """It reads the script as POSIX sh: what only one shell knows is found."""
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here: install shellcheck (apt-get install shellcheck)")
    done = subprocess.run(["shellcheck", "--shell=sh", str(SCRIPT)], capture_output=True, text=True)
    assert done.stdout == ""


def test_spool_prints_it_byte_for_byte() -> None:
    """`spool peer kit | ssh host 'cat > spool-lite'` is how it gets there; no home is needed."""
    shown = CliRunner().invoke(cli, ["peer", "kit", "--print"])
    assert (shown.exit_code, shown.stdout_bytes) == (0, SCRIPT.read_bytes())

    told = json.loads(CliRunner().invoke(cli, ["peer", "kit", "--json"]).stdout)
    assert (told["v"], told["name"], told["bytes"]) == (1, "spool-lite", SCRIPT.stat().st_size)
    assert told["text"] == SCRIPT.read_text()


def test_it_gets_there_as_the_documents_say(tmp_path: Path) -> None:
    """A pipe into `ssh` is all that such a host offers, and what arrives there runs."""
    far = tmp_path / "far"
    with Sshd(tmp_path / "sshd") as sshd:
        env = environment(tools(tmp_path / "tools", sshd, far))
        put = ["ssh", "stackcp", "cat > spool-lite; chmod +x spool-lite"]
        subprocess.run(put, input=kit_text().encode(), env=env, check=True)
        said = subprocess.run(
            ["ssh", "stackcp", "./spool-lite send bot claude-local Hello"],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )

    sent = json.loads((far / "claude-outbox" / f"{said.stdout.strip()}.json").read_text())
    assert (sent["from"], sent["subject"]) == ("bot", "Hello")

"""`spool backup`: one file with all that was committed, whole or not there, whoever writes meanwhile."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from unittest import mock

import apsw
import pytest

from spool import authorized
from spool.api import Spool
from spool.backup import manifest, packing, restoring, unpacking
from spool.backup.packing import Wanted
from spool.errors import BadInput, FileTrouble, StoreCorrupt, StoreFull
from spool.store import copying
from tests.databases import one
from tests.hosts import ENV, Host
from tests.waiting import soon

NOW = 1_800_000_000.0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home with an agent and a peer that nobody dials."""
    made = Host(tmp_path, "laptop", "alice")
    made.peer("cloud", url="exec:false", agents=["carol"])
    return made


def backup(host: Host, out: Path, **more: object) -> manifest.Manifest:
    """Make one, as the command does."""
    with host.api() as spool:
        return packing.pack(host.home, spool.store, Wanted(out, **more), now=NOW, version="0")  # type: ignore[arg-type]


def restored(out: Path, to: Path) -> restoring.Restored:
    """Put one back in a new place."""
    return restoring.restore(out, to, force=False, now=NOW + 60)


@pytest.mark.parametrize("name", ["one.tar", "one.tar.gz", "one.tgz"])
def test_mail_and_its_files_come_back(host: Host, tmp_path: Path, name: str) -> None:
    """What is restored is what was there, down to the files that mail still needs."""
    report = tmp_path / "report.bin"
    report.write_bytes(os.urandom(300_000))
    with host.api() as spool:
        spool.send("carol", subject="with a file", attach=[report])
        spool.send("alice", subject="to myself")
    made = backup(host, tmp_path / name)
    assert made.attachments == {hashlib.sha256(report.read_bytes()).hexdigest()}
    home = restored(tmp_path / name, tmp_path / "again").home
    with Spool(home) as spool:
        (row,) = [each for each in spool.outbox() if each.peer == "cloud"]
        assert row.state == "queued"
        assert spool.unread() == 1
    assert [path.read_bytes() for path in (home / "attachments").iterdir()] == [report.read_bytes()]
    assert not copying.damage(home / "spool.db")


def test_it_is_for_its_owner_alone_and_leaves_nothing_else(host: Host, tmp_path: Path) -> None:
    """All mail of the host is in it."""
    folder = tmp_path / "backups"
    folder.mkdir()
    backup(host, folder / "one.tar")
    assert (folder / "one.tar").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["one.tar"]


def test_keys_are_in_it_only_where_that_is_asked_for(host: Host, tmp_path: Path) -> None:
    """Whoever has the file would be the host; without them the host gets a new key."""
    backup(host, tmp_path / "without.tar")
    with tarfile.open(tmp_path / "without.tar") as tar:
        assert not [name for name in tar.getnames() if "key" in name]
    made = restored(tmp_path / "without.tar", tmp_path / "stranger")
    assert made.new_key and made.public_key != host.made.public_key

    keys = tmp_path / "authorized_keys"
    line = authorized.line_for(host.made.public_key, peer="cloud", command=["spool"], home=host.home)
    keys.write_text(f"ssh-ed25519 AAAA somebody\n{line}\n")
    backup(host, tmp_path / "with.tar", keys=keys)
    made = restored(tmp_path / "with.tar", tmp_path / "twin")
    assert not made.new_key and made.public_key == host.made.public_key
    assert (made.home / "keys" / "id_ed25519").stat().st_mode & 0o777 == 0o600
    assert made.lines is not None and made.lines.read_text() == f"{line}\n"


def test_a_file_that_is_there_is_not_replaced(host: Host, tmp_path: Path) -> None:
    """Yesterday's backup is worth more than a command typed twice."""
    out = tmp_path / "one.tar"
    out.write_text("yesterday's")
    with pytest.raises(BadInput, match="--force"):
        backup(host, out)
    assert out.read_text() == "yesterday's"
    backup(host, out, force=True)
    assert tarfile.is_tarfile(out)


def test_one_that_comes_to_be_there_meanwhile_is_not_replaced_either(host: Host, tmp_path: Path) -> None:
    """Two backups to one name: the first has it."""
    out = tmp_path / "one.tar"
    checked = unpacking.read

    def slow(*args: object, **more: object) -> object:
        out.write_text("another's")
        return checked(*args, **more)  # type: ignore[arg-type]

    with mock.patch.object(unpacking, "read", slow), pytest.raises(BadInput, match="there already"):
        backup(host, out)
    assert out.read_text() == "another's"


def test_a_damaged_database_makes_no_backup(host: Host, tmp_path: Path) -> None:
    """It would take the place of a good one."""
    with host.api() as spool:
        spool.send_many([{"to": "alice", "subject": f"{n}", "body": "x" * 500} for n in range(200)])
    with (host.home / "spool.db").open("r+b") as file:
        file.seek(file.seek(0, io.SEEK_END) // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreCorrupt):
        backup(host, tmp_path / "one.tar")
    assert not list(tmp_path.glob("*one.tar*"))


def test_a_damaged_attachment_is_named(host: Host, tmp_path: Path) -> None:
    """Found when it is packed, not when it is needed."""
    (tmp_path / "file").write_bytes(b"a" * 1000)
    with host.api() as spool:
        spool.send("carol", subject="x", attach=[tmp_path / "file"])
    (kept,) = (host.home / "attachments").iterdir()
    kept.write_bytes(b"b" * 1000)
    with pytest.raises(FileTrouble, match=kept.name):
        backup(host, tmp_path / "one.tar")
    assert not (tmp_path / "one.tar").exists()


def test_no_file_goes_while_it_is_being_packed(host: Host, tmp_path: Path) -> None:
    """Its message may be delivered and the file forgotten between the copy and the packing."""
    (tmp_path / "file").write_bytes(b"a" * 1000)
    with host.api() as spool:
        spool.send("carol", subject="x", attach=[tmp_path / "file"])
        with spool.store.write(sync=True) as tx:
            (name,) = tx.attachments.names()
            tx.attachments.wanted(name, now=1.0)
    backup(host, tmp_path / "one.tar")
    assert one(host.home, "SELECT at FROM attachments") == NOW


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_nothing(host: Host, tmp_path: Path, code: int) -> None:
    """Neither under the name nor beside it; the error says what to do."""
    folder = tmp_path / "backups"
    folder.mkdir()

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with mock.patch.object(tarfile.TarFile, "addfile", fail), pytest.raises(FileTrouble) as told:
        backup(host, folder / "one.tar")
    assert "room" in told.value.hint
    assert not list(folder.iterdir())


def test_a_full_disk_is_told_while_the_database_is_copied(host: Host, tmp_path: Path) -> None:
    """SQLite says it in words of its own."""
    folder = tmp_path / "backups"
    folder.mkdir()
    with (
        mock.patch.object(copying, "copy", side_effect=StoreFull("the disk is full")),
        pytest.raises(FileTrouble, match=r"one\.tar: the disk is full"),
    ):
        backup(host, folder / "one.tar")
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="mounts a tmpfs")
def test_a_disk_that_is_really_full(host: Host, tmp_path: Path) -> None:
    """Whatever the room was said to be: it fills up while it is written."""
    folder = tmp_path / "small"
    folder.mkdir()
    with host.api() as spool:
        spool.send_many(
            [{"to": "alice", "subject": f"{n}", "body": os.urandom(500).hex()} for n in range(1000)]
        )
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], check=True)
    try:
        with (
            mock.patch.object(packing, "_refuse_small_disk"),
            pytest.raises(FileTrouble, match=r"full|space"),
        ):
            backup(host, folder / "one.tar")
        assert not list(folder.iterdir())
        with pytest.raises(FileTrouble, match="MB free"):
            backup(host, folder / "one.tar")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_killed_backup_leaves_no_file_and_the_next_one_clears_up(host: Host, tmp_path: Path) -> None:
    """Half a backup under its name would be found when it is needed."""
    folder = tmp_path / "backups"
    folder.mkdir()
    with host.api() as spool:
        spool.send("alice", subject="x")
    code = (
        "import os, signal, sys; from spool.backup import packing, unpacking\n"
        "packing.unpacking.read = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from spool.cli.root import Root; Root().main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, "backup", "--home", str(host.home), str(folder / "one.tar")]
    assert subprocess.run(words, env=ENV, capture_output=True).returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    assert left.name.startswith(packing.PREFIX)
    backup(host, folder / "one.tar")
    assert [path.name for path in folder.iterdir()] == ["one.tar"]


_SENDER = """
import sys
from spool import Spool
spool = Spool(sys.argv[1])
while True:
    print(spool.send("carol", subject="under load", body="x" * 300), flush=True)
"""


def test_what_was_sent_before_is_in_it_while_others_send_on(host: Host, tmp_path: Path) -> None:
    """Each backup restored: whole, and with every message whose send() had returned."""
    consumer = host.start()
    sent: list[Path] = [tmp_path / f"sent-{n}" for n in range(2)]
    senders = []
    try:
        for path in sent:
            with path.open("wb") as file:
                words = [sys.executable, "-c", _SENDER, str(host.home)]
                senders.append(subprocess.Popen(words, env=ENV, stdout=file))
        assert soon(lambda: all(path.stat().st_size > 2000 for path in sent), within_s=60)
        for n in range(3):
            before = {id for path in sent for id in path.read_text().split("\n")[:-1]}
            backup(host, tmp_path / f"{n}.tar")
            home = restored(tmp_path / f"{n}.tar", tmp_path / f"again-{n}").home
            connection = apsw.Connection(str(home / "spool.db"))
            there = {id for (id,) in connection.execute("SELECT id FROM outbox")}
            connection.close()
            assert before and before <= there
            assert not copying.damage(home / "spool.db")
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
        consumer.stop()
    assert not host.log("store.failed")


def test_the_command_says_what_it_wrote(host: Host, tmp_path: Path) -> None:
    """For people, for scripts, and in the log."""
    out = tmp_path / "one.tar.gz"
    (view,) = host.json("backup", str(out))
    assert (view["host"], view["keys"], view["bytes"]) == ("laptop", False, out.stat().st_size)
    assert "without keys" in host.cli("backup", "--force", str(out)).stdout
    assert [each["bytes"] for each in host.log("store.backed_up")] == [view["bytes"], out.stat().st_size]
    refused = host.cli("backup", str(out), check=1)
    assert "--force" in refused.stderr

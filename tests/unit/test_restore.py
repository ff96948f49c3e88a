"""`spool restore`: all of a backup or nothing, and afterwards no number twice and no message lost twice."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spool import config
from spool.api import Spool
from spool.backup import manifest, packing, restoring
from spool.backup.packing import Wanted
from spool.errors import BadInput, FileTrouble, SpoolError, StoreBusy, StoreNewer
from spool.store import afresh, sqlite
from tests.databases import one, rows
from tests.hosts import ENV, Host, dials_by_exec, hosts
from tests.waiting import soon

NOW = time.time()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home with an agent and a peer that nobody dials."""
    made = Host(tmp_path, "laptop", "alice")
    made.peer("cloud", url="exec:false", agents=["carol"])
    return made


def backup(host: Host, out: Path) -> Path:
    """Make one, as the command does."""
    with host.api() as spool:
        packing.pack(host.home, spool.store, Wanted(out), now=time.time(), version="0")
    return out


def restore(file: Path, home: Path, *, force: bool = False) -> restoring.Restored:
    """Put it back, as the command does."""
    return restoring.restore(file, home, force=force, now=time.time())


def entries(file: Path) -> dict[str, bytes]:
    """What is in a backup, by name."""
    with tarfile.open(file) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def forge(file: Path, inside: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """A tar with other things in it."""
    with tarfile.open(file, "w") as tar:
        for name, raw in inside.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(raw), tarfile.REGTYPE if name == manifest.NAME else kind
            tar.addfile(entry, io.BytesIO(raw))
    return file


# -- all or nothing ---------------------------------------------------------------------------


def _cut(inside: dict[str, bytes]) -> None:
    inside.pop(config.FILE)


def _changed(inside: dict[str, bytes]) -> None:
    inside[config.FILE] = inside[config.FILE][:-1] + b" "


def _more(inside: dict[str, bytes]) -> None:
    inside["../outside"] = b"x"


def _no_manifest(inside: dict[str, bytes]) -> None:
    inside.pop(manifest.NAME)


def _listed_elsewhere(inside: dict[str, bytes]) -> None:
    told = msgspec.json.decode(inside[manifest.NAME])
    told["files"][1]["name"] = "/tmp/spool.toml"
    inside[manifest.NAME] = msgspec.json.encode(told)


@pytest.mark.parametrize("spoil", [_cut, _changed, _more, _no_manifest, _listed_elsewhere])
def test_what_is_not_a_whole_backup_changes_nothing(
    host: Host, tmp_path: Path, spoil: Callable[[dict[str, bytes]], None]
) -> None:
    """Nothing under the name of the home, nothing beside it, nothing elsewhere."""
    inside = entries(backup(host, tmp_path / "good.tar"))
    spoil(inside)
    place = tmp_path / "new"
    place.mkdir()
    with pytest.raises(BadInput):
        restore(forge(tmp_path / "bad.tar", inside), place / "home")
    assert not list(place.iterdir()) and not (tmp_path / "outside").exists()


def test_links_in_a_backup_are_refused(host: Host, tmp_path: Path) -> None:
    """One would let a forged backup write where it points."""
    inside = entries(backup(host, tmp_path / "good.tar"))
    with pytest.raises(BadInput):
        restore(forge(tmp_path / "bad.tar", inside, tarfile.SYMTYPE), tmp_path / "new")


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
@pytest.mark.parametrize("name", ["one.tar", "one.tar.gz"])
def test_a_file_that_was_cut_off_is_refused(host: Host, tmp_path: Path, name: str, keep: float) -> None:
    """As a copy is that was broken off."""
    file = backup(host, tmp_path / name)
    if name.endswith("tar") and keep == 0.99:
        # The end of a tar is only zeros.
        keep = 0.9
    os.truncate(file, int(file.stat().st_size * keep))
    with pytest.raises(BadInput):
        restore(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_byte_of_a_packed_backup_counts(host: Host, tmp_path: Path) -> None:
    """One that was flipped on a bad disk is found: what is restored is what was packed."""
    file = backup(host, tmp_path / "one.tar.gz")
    raw = file.read_bytes()
    for at in range(20, len(raw) - 8, len(raw) // 8):
        file.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        with pytest.raises(SpoolError):
            restore(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_home_that_is_there_is_moved_aside_and_never_removed(host: Host, tmp_path: Path) -> None:
    """What came since the backup is only there."""
    file = backup(host, tmp_path / "one.tar")
    with host.api() as spool:
        late = spool.send("carol", subject="after the backup")
    with pytest.raises(BadInput, match="--force"):
        restore(file, host.home)
    made = restore(file, host.home, force=True)
    assert made.aside is not None
    with Spool(made.aside) as spool:
        assert spool.state(late) == "queued"
    with Spool(host.home) as spool:
        assert spool.outbox() == []
    assert made.public_key == host.made.public_key


def test_a_folder_of_other_things_is_left_alone(host: Host, tmp_path: Path) -> None:
    """With --force too: whoever mistypes --home must not find their files moved."""
    place = tmp_path / "papers"
    place.mkdir()
    (place / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="no spool home"):
        restore(backup(host, tmp_path / "one.tar"), place, force=True)
    assert (place / "letter.txt").read_text() == "dear"


def test_an_empty_folder_is_taken(host: Host, tmp_path: Path) -> None:
    """As it stands on a new machine."""
    (tmp_path / "new").mkdir()
    assert restore(backup(host, tmp_path / "one.tar"), tmp_path / "new").aside is None


def test_a_home_in_use_is_left_alone(host: Host, tmp_path: Path) -> None:
    """Whoever has it open would go on writing into the old one."""
    file = backup(host, tmp_path / "one.tar")
    with host.api() as spool:
        with pytest.raises(StoreBusy, match="in use"):
            restore(file, host.home, force=True)
        spool.send("carol", subject="goes on")


def test_a_newer_backup_is_refused(host: Host, tmp_path: Path) -> None:
    """This spool would not know what its tables mean."""
    connection = sqlite.connect(host.home / "spool.db", synchronous="FULL")
    inside = entries(backup(host, tmp_path / "one.tar"))
    connection.close()
    (tmp_path / "spool.db").write_bytes(inside["spool.db"])
    connection = sqlite.connect(tmp_path / "spool.db", synchronous="FULL")
    connection.execute(f"PRAGMA user_version={sqlite.SCHEMA + 1}")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    inside["spool.db"] = (tmp_path / "spool.db").read_bytes()
    told = msgspec.json.decode(inside[manifest.NAME], type=manifest.Manifest)
    files = [
        packing._packed(packing.Source(name, raw=inside[name])) for name in inside if name != manifest.NAME
    ]
    inside[manifest.NAME] = msgspec.json.encode(msgspec.structs.replace(told, files=files))
    with pytest.raises(StoreNewer):
        restore(forge(tmp_path / "newer.tar", inside), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_disk_without_room_is_told_before_anything_is_written(host: Host, tmp_path: Path) -> None:
    """And leaves nothing."""
    inside = entries(backup(host, tmp_path / "one.tar"))
    told = msgspec.json.decode(inside[manifest.NAME])
    told["files"][0]["bytes"] = 1 << 60
    inside[manifest.NAME] = msgspec.json.encode(told)
    place = tmp_path / "new"
    place.mkdir()
    with pytest.raises(FileTrouble, match="bytes free"):
        restore(forge(tmp_path / "big.tar", inside), place / "home")
    assert not list(place.iterdir())


@pytest.mark.parametrize("step", ["homes.init", "afresh.begin", "_sync", "_move"])
def test_a_killed_restore_leaves_no_half_home(host: Host, tmp_path: Path, step: str) -> None:
    """Killed before each of its steps: the old home is whole, here or aside, and the next one works."""
    file = backup(host, tmp_path / "one.tar")
    code = (
        "import os, signal, sys; from spool.backup import restoring\n"
        f"restoring.{step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from spool.cli.root import Root; Root().main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, "restore", "--force", "--home", str(host.home), str(file)]
    assert subprocess.run(words, env=ENV, capture_output=True).returncode == -signal.SIGKILL
    whole = [path for path in tmp_path.iterdir() if path.name.startswith("laptop")]
    assert len(whole) == 1 and (whole[0] / "spool.toml").exists()
    assert (whole[0] == host.home) == (step != "_move")
    restore(file, host.home, force=True)
    assert not list(tmp_path.glob(".laptop*"))
    with Spool(host.home) as spool:
        assert spool.config.host.name == "laptop"


# -- what it must not believe ------------------------------------------------------------------


def test_no_number_is_given_twice(host: Host, tmp_path: Path) -> None:
    """A peer, or a process of before, may still remember what was given after the backup."""
    with host.api() as spool:
        spool.send("carol", subject="x")
        with spool.store.write(sync=True) as tx:
            tx.peers.raise_generation("cloud")
    file = backup(host, tmp_path / "one.tar")
    with host.api() as spool:
        spool.send("carol", subject="y")
        with spool.store.write(sync=True) as tx:
            generation = tx.peers.raise_generation("cloud")
    seq = one(host.home, "SELECT max(seq) FROM outbox")
    restore(file, host.home, force=True)
    with host.api() as spool:
        again = spool.send("carol", subject="z")
        spool.send("alice", subject="here")
    assert one(host.home, "SELECT seq FROM outbox WHERE id = ?", again) > seq + afresh.JUMP / 2
    assert one(host.home, "SELECT seq FROM inbox") > afresh.JUMP
    assert one(host.home, "SELECT generation FROM peers WHERE name = 'cloud'") > generation


def test_nobody_holds_anything_in_a_restored_home(host: Host, tmp_path: Path) -> None:
    """Who leased it did so in another life of it."""
    with host.api() as spool:
        spool.send("carol", subject="x")
        spool.send("alice", subject="y")
        next(iter(spool.receive()))
        with spool.store.write(sync=True) as tx:
            generation = tx.peers.raise_generation("cloud")
            tx.peers.update("cloud", state="linked", holder="consumer-1-x", holder_until=NOW + 60)
            tx.outbox.lease("cloud", generation=generation, now=NOW, until=NOW + 60, limit=9)
        made = restore(backup(host, tmp_path / "one.tar"), tmp_path / "new")
    assert rows(made.home, "SELECT 1 FROM outbox WHERE lease_until > 0") == []
    assert rows(made.home, "SELECT 1 FROM inbox WHERE lease_until > 0") == []
    assert rows(made.home, "SELECT state, holder FROM peers") == [("waiting", None)]


def test_a_restore_is_told(host: Host, tmp_path: Path) -> None:
    """In the history of what is live, in the log, and to whoever typed it."""
    with host.api() as spool:
        id = spool.send("carol", subject="x")
    file = backup(host, tmp_path / "one.tar")
    (view,) = host.json("restore", "--force", str(file))
    assert (view["queued"], view["new_key"]) == (1, False)
    assert any("before they do it twice" in note for note in view["notes"])
    (event,) = host.log("store.restored")
    assert event["aside"] == view["aside"]
    (trace,) = host.json("trace", id)
    assert [each["state"] for each in trace["events"] if "restored" in (each["detail"] or "")] == ["queued"]


# -- and its peers ----------------------------------------------------------------------------


def test_exactly_once_after_all(tmp_path: Path) -> None:
    """One host of two is put back: all mail of before and after is there once, on both sides.

    Before the backup: received, and queued. After it: the queued one is delivered, mail comes and is
    read, and its own is done at the peer. Then all of that is forgotten here.
    """
    with hosts(tmp_path, near=["alice"], far=["carol"]) as (near, far):
        dials_by_exec(near, far, near_agents=["alice"], far_agents=["carol"])
        with near.api() as spool:
            first = spool.send("carol", subject="first")
        consumer = near.start()
        assert soon(lambda: state(near, first) == "received", within_s=30)
        consumer.stop()
        with near.api() as spool:
            queued = spool.send("carol", subject="queued in the backup")
        file = backup(near, tmp_path / "one.tar")

        with far.api() as spool:
            came = spool.send("alice", subject="came after the backup")
            seen = spool.send("alice", subject="read after the backup")
        consumer = near.start()
        assert soon(lambda: {state(far, came), state(far, seen)} == {"received"}, within_s=30)
        assert soon(lambda: state(near, queued) == "received", within_s=30)
        far.cli("done", first)
        near.cli("read", seen)
        assert soon(lambda: state(near, first) == "done" and state(far, seen) == "read", within_s=30)
        consumer.stop()

        restore(file, near.home, force=True)
        assert (state(near, first), state(near, queued)) == ("received", "queued")
        near.start()
        assert soon(lambda: state(near, first) == "done", within_s=30)
        assert soon(lambda: state(near, queued) == "received", within_s=30)
        assert soon(lambda: len(subjects(near)) == 2, within_s=30)
        assert soon(lambda: one(far.home, "SELECT count(*) FROM outbox WHERE due IS NOT NULL") == 0, 30)
        assert sorted(subjects(near)) == ["came after the backup", "read after the backup"]
        assert sorted(subjects(far)) == ["first", "queued in the backup"]
        # Neither took back what had been so.
        assert (state(far, came), state(far, seen)) == ("received", "read")


def state(host: Host, id: str) -> str:
    """How far a message got, as its sender's host knows it."""
    return str(one(host.home, "SELECT state FROM outbox WHERE id = ?", id))


def subjects(host: Host) -> list[str]:
    """What is in the inbox, done or not."""
    return [msgspec.json.decode(raw)["subject"] for (raw,) in rows(host.home, "SELECT raw FROM inbox")]

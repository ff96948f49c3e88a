"""The home's folder of attachments: what is kept, what comes in, the room for both, what goes again."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import attachments
from spool.api import Spool
from spool.attachments import MB, PART_S, WHOLE_S
from spool.config import Host
from spool.errors import BadInput, FileTrouble, StoreFull, TooLarge
from spool.folder import Folder, Here, Part
from spool.message import Attachment
from spool.transports.base import Deferred, Refused
from tests.desk import Turned, clocked, make_home
from tests.hosts import ENV, until

QUOTA_MB = 4


@pytest.fixture
def now() -> Turned:
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with one agent, two peers and room for 4 MB of files."""
    home = make_home(tmp_path, "me", host=f"attachments_mb = {QUOTA_MB}")
    with clocked(home, now) as made:
        yield made


@pytest.fixture
def host(spool: Spool) -> Host:
    return spool.config.host


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """How large a file may become for this process; -1 is as before. A disk that is full, for any user."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size < 0 else size, before[1]))

    yield limit
    limit(-1)


def a_file(folder: Path, content: bytes, name: str = "report.pdf") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def named(content: bytes) -> Attachment:
    return Attachment("x", len(content), hashlib.sha256(content).hexdigest())


def kept(spool: Spool) -> dict[str, int]:
    return Folder(spool.home).found()


def used(spool: Spool) -> int:
    with spool.store.read() as tx:
        return tx.attachments.used()


def keep(spool: Spool, path: Path, **more: Any) -> Attachment:
    return attachments.keep(spool.store, spool.home, spool.config.host, path, now=spool._clock.now(), **more)


def receive(spool: Spool, file: Attachment, peer: str = "cloud") -> Part | Here | Deferred | Refused:
    return attachments.receive(spool.store, spool.home, spool.config.host, peer, file, now=spool._clock.now())


def coming(spool: Spool, file: Attachment, peer: str = "cloud") -> Part:
    part = receive(spool, file, peer)
    assert isinstance(part, Part), part
    return part


def bring(spool: Spool, content: bytes, peer: str = "cloud") -> Attachment:
    """A file that came from a peer, whole."""
    part = coming(spool, named(content), peer)
    part.append(content)
    assert part.seal()
    attachments.landed(spool.store, part, now=spool._clock.now())
    part.close()
    return part.file


# -- kept -------------------------------------------------------------------------------------


def test_a_kept_file_is_a_copy_under_its_sha256(spool: Spool, tmp_path: Path) -> None:
    """What becomes of the original does not matter any more; nobody else may read the copy."""
    content = os.urandom(2 * MB + 1)
    path = a_file(tmp_path, content)
    told: list[tuple[int, int]] = []
    file = keep(spool, path, told=lambda done, whole: told.append((done, whole)))
    path.write_bytes(b"another")

    copy = Folder(spool.home).path(file.sha256)
    assert file == Attachment("report.pdf", len(content), hashlib.sha256(content).hexdigest())
    assert copy.read_bytes() == content
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert told[-1] == (len(content), len(content)) and len(told) == 3
    assert (kept(spool), used(spool)) == ({file.sha256: len(content)}, len(content))


def test_a_file_that_is_there_is_not_copied_again(spool: Spool, tmp_path: Path) -> None:
    """By content, whatever it is called; and it needs no more room."""
    content = os.urandom(3 * MB)
    first = keep(spool, a_file(tmp_path, content))
    copy = Folder(spool.home).path(first.sha256)
    before = copy.stat().st_ino
    second = keep(spool, a_file(tmp_path, content, "other name"))

    assert (second.sha256, second.name) == (first.sha256, "other name")
    assert copy.stat().st_ino == before
    assert used(spool) == 3 * MB


def test_an_empty_file_is_a_file(spool: Spool, tmp_path: Path) -> None:
    """It is kept and comes in like any other."""
    file = keep(spool, a_file(tmp_path, b""))
    assert Folder(spool.home).has(file)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "device", "unreadable"])
def test_what_is_no_file_is_refused(spool: Spool, tmp_path: Path, kind: str) -> None:
    """With its path, and without waiting for a pipe that nobody writes to."""
    path = tmp_path / "thing"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "unreadable":
            path.symlink_to(path)
    with pytest.raises(BadInput, match=str(path)):
        keep(spool, path)
    assert (kept(spool), used(spool)) == ({}, 0)


@pytest.mark.parametrize("change", [b"longer" * MB, b"x", b"y" * 2 * MB])
def test_a_file_that_changes_while_it_is_read_is_refused(spool: Spool, tmp_path: Path, change: bytes) -> None:
    """A half of one and a half of another is neither; nothing of it stays."""
    path = a_file(tmp_path, b"x" * 2 * MB)
    os.utime(path, (1.0, 1.0))

    def meanwhile(done: int, _: int) -> None:
        if done == MB:
            path.write_bytes(change)

    with pytest.raises(BadInput, match="changed while it was read"):
        keep(spool, path, told=meanwhile)
    assert (kept(spool), used(spool)) == ({}, 0)


def test_a_name_is_never_a_path(spool: Spool, tmp_path: Path) -> None:
    """Only what stands behind the last slash is told, and one that is not UTF-8 is made so."""
    name = os.fsdecode(b"caf\xe9.txt")
    assert keep(spool, a_file(tmp_path, b"1", name)).name == "caf\ufffd.txt"
    for sha256 in ("../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="not a SHA-256"):
            Folder(spool.home).path(sha256)


def test_a_copy_that_is_broken_off_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    """Ctrl-C in the middle of it."""

    def interrupt(done: int, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep(spool, a_file(tmp_path, b"x" * 2 * MB), told=interrupt)
    assert (kept(spool), used(spool)) == ({}, 0)


# -- room -------------------------------------------------------------------------------------


def test_what_can_never_fit_is_too_large(spool: Spool, tmp_path: Path) -> None:
    """It says how much would fit and what to change."""
    with pytest.raises(TooLarge, match=r"4,194,304 bytes are the most on here.*attachments_mb"):
        keep(spool, a_file(tmp_path, b"x" * (QUOTA_MB * MB + 1)))
    assert (kept(spool), used(spool)) == ({}, 0)


def test_what_does_not_fit_now_finds_the_store_full(spool: Spool, tmp_path: Path) -> None:
    """Nothing that is kept gives way to it."""
    first = keep(spool, a_file(tmp_path, os.urandom(3 * MB)))
    with pytest.raises(StoreFull, match="no room for an attachment"):
        keep(spool, a_file(tmp_path, os.urandom(2 * MB)))
    assert kept(spool).keys() == {first.sha256}


def test_what_nobody_needs_makes_room(spool: Spool, tmp_path: Path, now: Turned) -> None:
    """At once where it is wanted, not only at the next round."""
    first = keep(spool, a_file(tmp_path, os.urandom(3 * MB)))
    now.at += WHOLE_S + 1
    second = keep(spool, a_file(tmp_path, os.urandom(2 * MB)))
    assert kept(spool).keys() == {second.sha256} != {first.sha256}


def test_no_file_is_kept_below_the_low_water_mark(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the disk is for mail."""
    low = spool.config.host.low_water_mb * MB
    monkeypatch.setattr(spool.store, "free_bytes", lambda: low + MB)
    with pytest.raises(StoreFull, match="would fill the disk"):
        keep(spool, a_file(tmp_path, b"x" * (MB + 1)))
    keep(spool, a_file(tmp_path, b"x" * MB))
    assert isinstance(receive(spool, Attachment("x", 2 * MB, "a" * 64)), Deferred)


def test_the_room_holds_for_many_at_once(spool: Spool, tmp_path: Path) -> None:
    """What one has begun to write is counted whole for all others: the room is never passed."""
    outcomes: list[object] = []

    def one(n: int) -> None:
        with Spool(spool.home) as own:
            found = receive(own, Attachment("x", MB, f"{n:064x}"), peer=("cloud", "desk")[n % 2])
            outcomes.append(type(found))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Part) == QUOTA_MB
    assert outcomes.count(Deferred) == 12 - QUOTA_MB
    assert used(spool) == QUOTA_MB * MB


def test_small_files_count_as_what_they_take_on_the_disk(spool: Spool) -> None:
    """A peer with a million names of one byte each would fill the folder else."""
    found = [receive(spool, Attachment("x", 1, f"{n:064x}")) for n in range(900)]
    parts = [part for part in found if isinstance(part, Part)]
    for part in parts:
        part.close()
    assert len(parts) == QUOTA_MB * MB * 3 // 4 // 4096
    assert isinstance(found[-1], Deferred)


def test_one_peer_leaves_room_for_the_others(spool: Spool) -> None:
    """Three quarters of it at most, and no single file above that."""
    coming(spool, Attachment("x", 2 * MB, "a" * 64)).close()
    assert isinstance(receive(spool, Attachment("x", 2 * MB, "b" * 64)), Deferred)
    assert isinstance(receive(spool, Attachment("x", 3 * MB + 1, "c" * 64), "desk"), Refused)
    coming(spool, Attachment("x", 2 * MB, "b" * 64), "desk").close()


def test_a_host_may_take_none(tmp_path: Path) -> None:
    """`attachments_mb = 0`."""
    with Spool(make_home(tmp_path, "me", host="attachments_mb = 0")) as spool:
        assert isinstance(receive(spool, Attachment("x", 1, "a" * 64)), Refused)


# -- coming in --------------------------------------------------------------------------------


def test_what_came_before_a_cut_is_not_brought_again(spool: Spool) -> None:
    """However often it is cut, another process goes on where the last one stood."""
    content = os.urandom(3 * MB)
    for start in range(0, 3 * MB, MB):
        part = coming(spool, named(content))
        assert part.size == start
        part.append(content[start : start + MB])
        part.close()

    part = coming(spool, named(content))
    assert part.size == part.file.bytes and part.seal()
    attachments.landed(spool.store, part, now=1.0)
    assert Folder(spool.home).path(part.file.sha256).read_bytes() == content
    assert (kept(spool), used(spool)) == ({part.file.sha256: 3 * MB}, 3 * MB)


def test_a_file_that_is_here_is_not_brought_again(spool: Spool) -> None:
    """Whoever brought it; a part that another peer had begun is gone."""
    content = os.urandom(MB)
    part = coming(spool, named(content), "desk")
    part.append(content[:100])
    part.close()
    bring(spool, content, "cloud")

    assert receive(spool, named(content), "desk") == Here(MB)
    assert (kept(spool), used(spool)) == ({named(content).sha256: MB}, MB)


def test_what_is_not_what_it_should_be_is_thrown_away(spool: Spool) -> None:
    """It never gets the name, and the next byte is the first again."""
    content = os.urandom(MB)
    part = coming(spool, named(content))
    part.append(content[:-1] + b"!")
    assert not part.seal()
    assert part.size == 0 and not Folder(spool.home).has(part.file)

    part.append(content)
    assert part.seal() and Folder(spool.home).has(part.file)


def test_two_links_of_a_peer_may_write_the_same_file(spool: Spool) -> None:
    """An old one that has not noticed its end, beside the new one."""
    content = os.urandom(MB)
    old, new = coming(spool, named(content)), coming(spool, named(content))
    old.append(content[:1000])
    new.append(content[:2000])
    old.append(content[1000:])
    new.append(content[2000:])
    assert old.seal()
    assert new.seal(), "it is there, whoever was first"
    assert Folder(spool.home).path(old.file.sha256).read_bytes() == content


def test_a_file_that_changes_its_size_is_begun_anew(spool: Spool) -> None:
    """What is counted is what is written: an older link goes on with a file that is none any more."""
    old = coming(spool, Attachment("x", 2 * MB, "a" * 64))
    new = coming(spool, Attachment("x", 10, "a" * 64))
    old.append(b"x" * MB)
    assert new.size == 0 and sum(kept(spool).values()) == 0
    assert used(spool) == 10
    assert not old.seal()


def test_a_disk_that_is_full_keeps_what_came(spool: Spool, file_limit: Callable[[int], None]) -> None:
    """It is said so with the path, and goes on from there when there is room."""
    content = os.urandom(2 * MB)
    part = coming(spool, named(content))
    file_limit(MB)
    with pytest.raises(FileTrouble, match=rf"{part.file.sha256}\.cloud\.part: File too large"):
        part.append(content)
    part.close()
    file_limit(-1)
    part = coming(spool, named(content))
    assert part.size == MB
    part.append(content[MB:])
    assert part.seal()


def test_a_disk_that_is_full_keeps_nothing_of_a_copy(
    spool: Spool, tmp_path: Path, file_limit: Callable[[int], None]
) -> None:
    """The message is not sent, and the room is free again."""
    path = a_file(tmp_path, os.urandom(2 * MB))
    file_limit(MB)
    with pytest.raises(StoreFull, match="could not be copied into"):
        spool.send("cloud-1", subject="Look", attach=[path])
    assert (kept(spool), used(spool), spool.outbox()) == ({}, 0, [])


def test_two_peers_do_not_write_into_each_others_part(spool: Spool) -> None:
    """One that brings rubbish must not spoil what another brings."""
    content = os.urandom(MB)
    good, bad = coming(spool, named(content), "cloud"), coming(spool, named(content), "desk")
    bad.append(b"!" * MB)
    good.append(content)
    assert not bad.seal()
    assert good.seal()


def test_a_check_that_is_broken_off_settles_nothing(spool: Spool) -> None:
    """The link ended meanwhile; all that came is there for the next one."""
    content = os.urandom(MB)
    part = coming(spool, named(content))
    part.append(content)
    assert not part.seal(alive=lambda: False)
    part.close()
    assert coming(spool, named(content)).size == MB


def test_a_file_of_another_size_is_not_the_file(spool: Spool) -> None:
    """Somebody cut it short on this disk: it is brought again and put in its place."""
    file = bring(spool, b"x" * 1000)
    Folder(spool.home).path(file.sha256).write_bytes(b"x")
    part = coming(spool, file)
    part.append(b"x" * 1000)
    assert part.seal() and Folder(spool.home).has(file)


def test_a_link_in_the_place_of_a_file_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    """What stands in the folder is read only where it is a file."""
    file = bring(spool, b"x" * 1000)
    path = Folder(spool.home).path(file.sha256)
    path.unlink()
    path.symlink_to(a_file(tmp_path, b"y" * 1000))
    assert not Folder(spool.home).has(file)
    with pytest.raises(FileTrouble, match="symbolic links"):
        Folder(spool.home).read(file.sha256, 0, 10)


# -- forgotten --------------------------------------------------------------------------------


def test_what_nobody_needs_goes_after_a_while(spool: Spool, now: Turned) -> None:
    """A file after an hour, a part after a day; not sooner, since a message may be on its way."""
    file = bring(spool, os.urandom(MB))
    part = coming(spool, Attachment("x", MB, "a" * 64))
    part.append(b"half")
    part.close()

    now.at += WHOLE_S - 1
    assert attachments.forget(spool.store, spool.home, now=now.at) == 0
    now.at += 2
    assert attachments.forget(spool.store, spool.home, now=now.at) == 1
    assert file.sha256 not in kept(spool)
    now.at += PART_S
    assert attachments.forget(spool.store, spool.home, now=now.at) == 1
    assert (kept(spool), used(spool)) == ({}, 0)


def test_a_file_in_use_stays_until_its_message_is_archived(spool: Spool, tmp_path: Path, now: Turned) -> None:
    """Sent to an agent here: read or not, it is there as long as the message is live."""
    id = spool.send("me", subject="Look", attach=[a_file(tmp_path, b"content")])
    (sha256,) = kept(spool)
    now.at += 40 * 86_400.0
    spool.archive(older_than_s=0.0)
    assert kept(spool).keys() == {sha256}

    spool.done([id])
    now.at += 1
    spool.archive(older_than_s=0.0)
    assert kept(spool) == {}


def test_what_a_killed_send_leaves_goes_after_a_day(spool: Spool, tmp_path: Path, now: Turned) -> None:
    """kill -9 in the middle of the copy: nothing was sent, and no room is lost for good."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(1_500_000_000)
    config = spool.home / "spool.toml"
    config.write_text(config.read_text().replace("attachments_mb = 4", "attachments_mb = 2000"))
    command = [sys.executable, "-m", "spool.cli", "--home", str(spool.home)]
    command += ["send", "cloud-1", "-s", "Look", "--attach", str(path)]
    sending = subprocess.Popen(command, env=ENV)
    until(lambda: sum(kept(spool).values()) > MB)
    sending.send_signal(signal.SIGKILL)
    sending.wait()

    assert spool.outbox() == [] and used(spool) == 1_500_000_000
    assert [name.endswith(".new") for name in kept(spool)] == [True]
    later = time.time() + PART_S
    attachments.forget(spool.store, spool.home, now=later - 60)
    assert len(kept(spool)) == 1
    attachments.forget(spool.store, spool.home, now=later + 60)
    assert (kept(spool), used(spool)) == ({}, 0)


def test_a_file_that_cannot_be_removed_does_not_keep_the_others(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, now: Turned
) -> None:
    """It is logged and tried again the next time; a folder that somebody made there is left alone."""
    stuck, other = bring(spool, b"one"), bring(spool, b"two")
    (Folder(spool.home).root / "folder").mkdir()
    real = Folder.remove

    def remove(self: Folder, name: str) -> None:
        if name == stuck.sha256:
            raise PermissionError(13, "Permission denied")
        real(self, name)

    monkeypatch.setattr(Folder, "remove", remove)
    assert attachments.forget(spool.store, spool.home, now=now.at + WHOLE_S + 1) == 1
    assert kept(spool).keys() == {stuck.sha256} != {other.sha256}
    assert used(spool) == 3


def test_what_lies_there_uncounted_is_counted(spool: Spool, now: Turned) -> None:
    """A process was killed between the rename and its word, or a backup was put back: it takes room
    too, and goes like any other."""
    Folder(spool.home).make()
    (Folder(spool.home).root / ("d" * 64)).write_bytes(b"x" * 100)
    (Folder(spool.home).root / ".stray.new").write_bytes(b"x" * 50)
    attachments.forget(spool.store, spool.home, now=now.at)
    assert used(spool) == 150

    attachments.forget(spool.store, spool.home, now=now.at + PART_S + 1)
    assert (kept(spool), used(spool)) == ({}, 0)

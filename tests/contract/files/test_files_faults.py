"""Full disks, limits, missing rights, giants, and lines that break in the middle of a file."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spool.errors import LinkError, LinkLost, TimedOut
from spool.transports import renaming
from spool.transports.base import Entry, Failure, Files
from tests.folders import Reach, forced, sftp_server, sshd_of
from tests.proxy import FaultProxy
from tests.sshd import Sshd
from tests.waiting import Background, soon

FAR = ["sftp", "scp"]


def needs_root() -> None:
    """Skip, loudly (conftest.py prints it at the end)."""
    if os.geteuid() != 0:
        pytest.skip("mounts and devices need root: run the tests once as root")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A disk of its own in the place of a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def behind_proxy(reach: Reach) -> Iterator[FaultProxy]:
    """The same sshd, with bad weather in between."""
    with FaultProxy(reach.port) as proxy:
        reach.port = proxy.port
        yield proxy
        for files in reach.opened:
            files.close()


@contextmanager
def another_sshd(reach: Reach, folder: Path, key: tuple[Path, str], config: str) -> Iterator[Sshd]:
    """An sshd with a config of its own, for this test only."""
    folder.mkdir(exist_ok=True)
    with sshd_of(reach.kind, folder, config=config) as sshd:
        sshd.authorize(key[1])
        reach.port, reach.host_key = sshd.port, sshd.host_key
        yield sshd
        for files in reach.opened:
            files.close()


def refused(found: object) -> str:
    """The reason of a failure; it must be one that is known to be one."""
    assert isinstance(found, Failure) and not found.unknown, found
    return found.reason


@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_as_root_a_full_disk_is_a_failure_that_says_so(what: str, reach: Reach) -> None:
    """Nothing of the file stays, and what was there is whole."""
    needs_root()
    options = "size=256k,mode=0700" if what == "blocks" else "nr_inodes=3,mode=0700"
    with small_disk(reach.folder, options):
        files = reach.open()
        _, *more = files.put([(reach.at(f"{n}"), os.urandom(100_000)) for n in range(2)])
        more += files.put([(reach.at("third"), os.urandom(200_000)), (reach.at("fourth"), b"x" * 200_000)])
        files.close()

        failed = [refused(found) for found in more if found is not None]
        assert failed and all("space" in text.lower() and str(reach.folder) in text for text in failed)
        assert {(reach.folder / name).stat().st_size for name in reach.names()} <= {100_000}


def test_a_file_over_the_servers_limit_fails(reach: Reach, key: tuple[Path, str], tmp_path: Path) -> None:
    """The size limit of a process makes write fail in the middle, as a quota does."""
    big = [(reach.at("big"), os.urandom(200_000))]
    if reach.is_local:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        files = reach.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            [failed] = files.put(big)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    else:
        limit = forced(tmp_path / "limit", "trap '' XFSZ; ulimit -f 200;")
        if reach.kind == "sftp":
            limit = _wrapped_sftp(tmp_path, "trap '' XFSZ; ulimit -f 200; exec")
        reach.kind = "scp" if reach.kind.startswith("scp") else reach.kind
        with another_sshd(reach, tmp_path / "limited", key, limit):
            [failed] = reach.open().put(big)

    assert reach.at("big") in refused(failed)
    assert reach.names() == []


@pytest.mark.parametrize("kind", ["sftp"])
@pytest.mark.parametrize("call", ["write:error=ENOSPC:when=2", "write:retval=7:when=2"])
def test_as_root_one_write_that_fails_in_the_middle_is_found(
    call: str, reach: Reach, key: tuple[Path, str], tmp_path: Path
) -> None:
    """The size is right then, with a hole of zeros in it, and everything after it went well."""
    needs_root()  # sftp-server hides from other users which of its writes go to a file
    path = reach.at("target")
    trace = _traced(f"-P {path} -e inject={call}")
    with another_sshd(reach, tmp_path / "failing", key, _wrapped_sftp(tmp_path, trace)):
        [failed] = reach.open().put([(path, os.urandom(100_000))])

    assert path in refused(failed)
    assert reach.names() == []


@pytest.mark.parametrize("kind", ["sftp"])
def test_a_sync_that_fails_is_found(reach: Reach, key: tuple[Path, str], tmp_path: Path) -> None:
    """Linux forgets the pages after that, and lets the file be renamed all the same."""
    trace = _traced("-e inject=fsync:error=EIO")
    with another_sshd(reach, tmp_path / "failing", key, _wrapped_sftp(tmp_path, trace)):
        files = reach.open()
        [failed] = files.put([(reach.at("target"), b"x")])
        with pytest.raises(LinkError, match="sync"):
            files.sync(str(reach.folder))

    assert reach.at("target") in refused(failed)
    assert reach.names() == []


@pytest.mark.parametrize("kind", ["directory"])
def test_a_local_sync_that_fails_is_found(
    reach: Reach, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux forgets the pages after that: a second sync would say yes."""

    def fails(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)

    assert "Input/output error" in refused(files.put([(reach.at("target"), b"x")])[0])
    assert reach.names() == []


@pytest.mark.parametrize("kind", ["directory"])
@pytest.mark.parametrize("without", ["links", "links and renameat2"])
def test_without_hard_links_a_move_still_goes_over_nothing(
    without: str, reach: Reach, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT."""

    def fails(*args: object, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fails)
    if "renameat2" in without:
        monkeypatch.setattr(renaming, "_renameat2", lambda: None)
    (reach.folder / "old").write_bytes(b"mine")
    (reach.folder / "taken").write_bytes(b"theirs")

    assert files.move([(reach.at("old"), reach.at("taken")), (reach.at("old"), reach.at("new"))]) == [
        False,
        True,
    ]
    assert (reach.folder / "taken").read_bytes() == b"theirs"
    assert (reach.folder / "new").read_bytes() == b"mine" and reach.names() == ["new", "taken"]


def test_as_a_user_missing_rights_are_failures_that_name_the_path(reach: Reach, files: Files) -> None:
    """Each on its own; nothing there is no answer to what may not be seen."""
    if os.geteuid() == 0:
        pytest.skip("root may do anything: run the tests once as an ordinary user")
    (reach.folder / "secret").write_bytes(b"x")
    (reach.folder / "secret").chmod(0)
    assert reach.at("secret") in refused(files.fetch([reach.at("secret")], max_bytes=9)[0])
    reach.folder.chmod(0o500)
    try:
        assert reach.at("new") in refused(files.put([(reach.at("new"), b"x")])[0])
        assert reach.at("secret") in refused(files.move([(reach.at("secret"), reach.at("new"))])[0])
        assert reach.at("secret") in refused(files.remove([reach.at("secret")])[0])
        reach.folder.chmod(0)
        assert reach.at("secret") in refused(files.look([reach.at("secret")])[0])
        assert reach.at("secret") in refused(files.fetch([reach.at("secret")], max_bytes=9)[0])
        assert reach.at("secret") in refused(files.remove([reach.at("secret")])[0])
    finally:
        reach.folder.chmod(0o700)
    assert reach.names() == ["secret"]


def test_as_root_a_device_is_never_read(reach: Reach, files: Files) -> None:
    """A tape would wind, a terminal would wait."""
    needs_root()
    os.mknod(reach.folder / "null", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero

    assert "other" in refused(files.fetch([reach.at("null")], max_bytes=100)[0])
    [found] = files.look([reach.at("null")])
    assert isinstance(found, Entry) and found.kind == "other"


def test_a_giant_costs_no_more_than_the_limit(reach: Reach, files: Files) -> None:
    """Ten gigabytes of nothing, which a bad neighbour can make in no time."""
    with (reach.folder / "giant").open("wb") as giant:
        giant.truncate(10 * 1024**3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert files.fetch([reach.at("giant")], max_bytes=100_000) == [bytes(100_000)]

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KB


@pytest.mark.parametrize("kind", FAR)
def test_a_rename_whose_status_is_lost_was_done(reach: Reach) -> None:
    """The whole exchange failed: the caller looks before it sends again."""
    with behind_proxy(reach) as proxy:
        files = reach.open()
        (reach.folder / "try").touch()
        # Behind the first one nothing of the login is on its way any more.
        assert files.move([(reach.at("try"), reach.at("try2"))]) == [True]
        before = proxy.so_far("down")
        assert files.move([(reach.at("try2"), reach.at("try3"))]) == [True]
        took = proxy.so_far("down") - before
        (reach.folder / "one").write_bytes(b"x")

        if reach.kind == "sftp":
            proxy.cut_after(took - 1, "down")
        else:
            proxy.stall_after(1, "down")
        moving = Background(lambda: files.move([(reach.at("one"), reach.at("two"))]))
        assert soon((reach.folder / "two").exists)
        proxy.reset()

        assert isinstance(moving.raised(), LinkLost)
        assert (reach.folder / "two").read_bytes() == b"x"


@pytest.mark.parametrize("kind", FAR)
def test_a_line_cut_in_an_upload_leaves_no_message(reach: Reach) -> None:
    """A hidden name at most; with scp not even that of the message."""
    with behind_proxy(reach) as proxy:
        files = reach.open()
        proxy.cut_after(100_000, "up")

        with pytest.raises(LinkLost):
            files.put([(reach.at(".message.part"), os.urandom(500_000))])

        assert all(name.startswith(".") and name.endswith(".part") for name in reach.names())
        assert reach.kind == "sftp" or ".message.part" not in reach.names()
        with pytest.raises(LinkLost):
            files.look([reach.at("x")])


def calls(reach: Reach, files: Files) -> dict[str, Callable[[], object]]:
    """Every call that waits for the far side."""
    return {
        "entries": lambda: files.entries(str(reach.folder)),
        "fetch": lambda: files.fetch([reach.at("x")], max_bytes=1),
        "put": lambda: files.put([(reach.at("x"), os.urandom(250_000))]),
        "sync": lambda: files.sync(str(reach.folder)),
    }


@pytest.mark.parametrize("kind", FAR)
@pytest.mark.parametrize("name", ["entries", "put"])
def test_a_far_side_that_falls_silent_is_given_up(name: str, reach: Reach) -> None:
    """After the time without progress that the config allows, however much was done before."""
    with behind_proxy(reach) as proxy:
        files = reach.open(connect_timeout_s=1.0)
        proxy.stall_after(100_000 if name == "put" else 100, "up")

        with pytest.raises(TimedOut):
            calls(reach, files)[name]()


@pytest.mark.parametrize("kind", FAR)
@pytest.mark.parametrize("name", ["fetch", "put", "sync"])
def test_closing_ends_a_wait(name: str, reach: Reach) -> None:
    """From another thread, as a consumer does that is told to stop."""
    with behind_proxy(reach) as proxy:
        files = reach.open(connect_timeout_s=30.0)
        proxy.stall()
        waiting = Background(calls(reach, files)[name])

        files.close()

        assert isinstance(waiting.raised(within_s=3.0), LinkLost)


@pytest.mark.parametrize("kind", FAR)
def test_a_slow_line_is_no_silent_one(reach: Reach) -> None:
    """The limit is on waiting without progress, not on the whole."""
    with behind_proxy(reach) as proxy:
        files = reach.open(connect_timeout_s=1.0)
        proxy.bandwidth_bps = 200_000
        data = os.urandom(400_000)

        assert files.put([(reach.at("x"), data)]) == [None]

        assert (reach.folder / "x").read_bytes() == data


@pytest.mark.parametrize("kind", FAR)
def test_a_host_that_goes_away_is_lost(reach: Reach, key: tuple[Path, str], tmp_path: Path) -> None:
    """And every call after that says so at once."""
    with another_sshd(reach, tmp_path / "dying", key, "") as sshd:
        files = reach.open()
        sshd.kill_sessions()

        for _ in range(2):
            with pytest.raises(LinkLost):
                files.look([reach.at("x")])


def _traced(what: str) -> str:
    """The command that makes system calls of another one fail."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    return f"exec strace -f -o /dev/null {what}"


def _wrapped_sftp(folder: Path, before: str) -> str:
    """The config that starts the sftp server behind some other command."""
    script = folder / "sftp-wrapper"
    script.write_text(f"#!/bin/sh\n{before} {sftp_server()}\n")
    script.chmod(0o755)
    return f"ForceCommand {script}"

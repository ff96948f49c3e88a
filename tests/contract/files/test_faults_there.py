"""Publishing and taking while the far disk, its rights, its clock or its server fail."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from spool.errors import FolderMissing, LinkError, LinkLost, TimedOut
from spool.transports import publish
from spool.transports.base import Deferred, Files, Left
from spool.transports.publish import ABANDONED_S
from tests.contract.files.test_files_faults import another_sshd, behind_proxy, needs_root, small_disk
from tests.contract.files.test_publishing import BODY, Faulty, draft, hidden, publisher, visible
from tests.contract.files.test_taking import PATIENCE_S, WHOLE, Bench
from tests.folders import Reach, sftp_server
from tests.sshd import Sshd
from tests.waiting import Background, soon

SFTP = pytest.mark.parametrize("kind", ["sftp"])
YEAR_S = 365 * 86_400.0


@contextmanager
def server_behind(command: str, reach: Reach, folder: Path, key: tuple[Path, str]) -> Iterator[Sshd]:
    """A far sftp server that some command starts."""
    script = folder / "server"
    script.write_text(f"#!/bin/sh\n{command} {sftp_server()}\n")
    script.chmod(0o755)
    with another_sshd(reach, folder / "failing", key, f"ForceCommand {script}") as sshd:
        yield sshd


def patient(reach: Reach) -> Files:
    """The folders, reached by who does not mind a slow machine."""
    return reach.open(connect_timeout_s=30.0)


class Trace:
    """Makes system calls of a server fail, and tells whether it did."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("strace") is None:
            pytest.skip("no strace here: apt-get install strace")
        self._written = folder / "trace"

    def command(self, what: str) -> str:
        """What starts the server."""
        return f"exec strace -f -o {self._written} {what}"

    def injected(self) -> bool:
        """Whether a call has failed, or was its last; who traces says so a moment after we have noticed."""
        return soon(self._says_so, within_s=20.0)

    def _says_so(self) -> bool:
        found = self._written.read_text()
        return "(INJECTED)" in found or "killed by SIGKILL" in found


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """For the far server."""
    return Trace(tmp_path)


@SFTP
def test_a_server_killed_between_link_and_unlink_has_published(
    reach: Reach, key: tuple[Path, str], tmp_path: Path, trace: Trace
) -> None:
    """Its rename is those two, so both names stand: the next try finds the file and makes no second."""
    with (
        server_behind(trace.command("-e inject=unlink:signal=KILL"), reach, tmp_path, key),
        pytest.raises(LinkError),
    ):
        publisher(reach, patient(reach)).publish([draft()], now=5.0)
    assert trace.injected()
    [part] = hidden(reach)
    assert visible(reach) == {"m1.json": BODY} and (reach.folder / part).samefile(reach.folder / "m1.json")

    with another_sshd(reach, tmp_path / "whole", key, ""):
        again = publisher(reach, patient(reach))
        assert again.publish([draft(again=True)], now=6.0) == [Left(6.0)]
        assert again.sweep(now=(reach.folder / part).stat().st_mtime + ABANDONED_S + 60) == 1

    assert visible(reach) == {"m1.json": BODY} and hidden(reach) == []


@SFTP
def test_one_write_that_fails_defers_and_the_next_try_is_whole(
    reach: Reach, key: tuple[Path, str], tmp_path: Path, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on after it, and the size is right: only the answers tell, and they are all read."""
    needs_root()  # sftp-server hides from other users which of its writes go to a file
    tries = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(publish.secrets, "token_hex", lambda n_bytes: next(tries))
    nth = f"-P {reach.folder}/.m1.json.{'0' * 16}.part -e inject=write:error=ENOSPC:when=2"
    raw = b'{"body":"' + b"x" * 90_000 + b'"}'
    with server_behind(trace.command(nth), reach, tmp_path, key):
        mine = publisher(reach, patient(reach))
        [first] = mine.publish([draft(raw=raw)], now=5.0)
        assert (visible(reach), hidden(reach)) == ({}, [])
        [second] = mine.publish([draft(raw=raw, again=True)], now=6.0)

    assert trace.injected()
    assert isinstance(first, Deferred) and str(reach.folder) in first.reason
    assert second == Left(6.0)
    assert visible(reach) == {"m1.json": raw} and hidden(reach) == []


@pytest.mark.parametrize("kind", ["directory", "sftp"])
@pytest.mark.parametrize("what", ["blocks", "inodes"])
def test_as_root_a_full_disk_there_defers_until_there_is_room(what: str, reach: Reach) -> None:
    """With the reason; what stands there stays whole, nothing hidden is left, and the next try goes."""
    needs_root()
    options = "size=256k,mode=0700" if what == "blocks" else "nr_inodes=3,mode=0700"
    with small_disk(reach.folder, options):
        ballast = [reach.folder / "ballast"] if what == "blocks" else [reach.folder / n for n in "ab"]
        for path in ballast:
            path.write_bytes(bytes(250_000 // len(ballast)) if what == "blocks" else b"")
        mine = publisher(reach, files := patient(reach))
        [full] = mine.publish([draft(raw=b"x" * 60_000)], now=5.0)
        assert isinstance(full, Deferred) and "space" in full.reason.lower(), full
        assert (visible(reach), hidden(reach)) == ({}, [])

        for path in ballast:
            path.unlink()
        assert mine.publish([draft(raw=b"x" * 60_000, again=True)], now=6.0) == [Left(6.0)]
        assert visible(reach) == {"m1.json": b"x" * 60_000}
        files.close()


@SFTP
def test_a_server_without_hard_links_still_writes_over_nothing(
    reach: Reach, key: tuple[Path, str], tmp_path: Path, trace: Trace
) -> None:
    """As on FAT there: the server looks and then renames, and says no where a file stands."""
    (reach.folder / "taken.json").write_bytes(b"theirs")
    with server_behind(trace.command("-e inject=link,linkat:error=EPERM"), reach, tmp_path, key):
        outcomes = publisher(reach, patient(reach)).publish(
            [draft("taken.json"), draft("free.json")], now=5.0
        )

    assert trace.injected()
    assert isinstance(outcomes[0], Deferred) and outcomes[1] == Left(5.0)
    assert visible(reach) == {"taken.json": b"theirs", "free.json": BODY} and hidden(reach) == []


@pytest.fixture
def of_nobody(
    reach: Reach, key: tuple[Path, str], tmp_path: Path
) -> Iterator[tuple[Path, Callable[[], Files]]]:
    """Folders on a far side that is not root, and how to reach them."""
    needs_root()
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv here: apt-get install util-linux")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        reach.folder = place / "inbox"
        reach.folder.mkdir(mode=0o755)
        drop = "exec setpriv --reuid=65534 --regid=65534 --clear-groups"
        with server_behind(drop, reach, tmp_path, key):
            yield place, lambda: patient(reach)


@SFTP
def test_a_folder_there_that_may_not_be_written_defers_with_its_path(
    reach: Reach, of_nobody: tuple[Path, Callable[[], Files]]
) -> None:
    """Somebody mends the rights, and the mail goes."""
    _, open_files = of_nobody
    mine = publisher(reach, open_files())
    [denied] = mine.publish([draft()], now=5.0)
    assert isinstance(denied, Deferred)
    assert str(reach.folder) in denied.reason and "permission" in denied.reason.lower()

    reach.folder.chmod(0o777)
    assert mine.publish([draft(again=True)], now=6.0) == [Left(6.0)]
    assert visible(reach) == {"m1.json": BODY}


@SFTP
def test_a_folder_there_that_may_not_be_listed_is_named(
    reach: Reach, of_nobody: tuple[Path, Callable[[], Files]]
) -> None:
    """Taking stops with the path, and goes on where the rights are mended; no file is touched meanwhile."""
    _, open_files = of_nobody
    bench = Bench(reach, open_files())
    bench.put("m.json").chmod(0o644)
    reach.folder.chmod(0o711)
    with pytest.raises(FolderMissing, match=str(reach.folder)):
        bench.taker.take()
    assert bench.left() == ["m.json"]

    reach.folder.chmod(0o777)
    assert bench.taker.take() == 1 and bench.left() == []


@SFTP
def test_a_file_there_that_may_not_be_renamed_is_taken_once_and_stays(
    reach: Reach, of_nobody: tuple[Path, Callable[[], Files]]
) -> None:
    """It cannot be claimed, nor removed: so it is known again until it changes."""
    _, open_files = of_nobody
    bench = Bench(reach, open_files())
    bench.put("m.json").chmod(0o644)
    assert [bench.taker.take() for _ in range(3)] == [1, 0, 0]
    assert bench.left() == ["m.json"]


@pytest.mark.parametrize("ahead_s", [YEAR_S, -YEAR_S])
def test_a_clock_that_is_wrong_there_does_not_change_what_is_whole(bench: Bench, ahead_s: float) -> None:
    """Whether a file stands still is told by our clock and by whether its time changed, not by what it is."""
    at = 1_700_000_000 + ahead_s
    os.utime(bench.put("half.json", WHOLE[:9]), (at, at))
    os.utime(bench.put("good.json"), (at, at))
    assert bench.taker.take() == 1
    bench.now += PATIENCE_S - 1
    assert bench.taker.take() == 0
    bench.put("half.json", WHOLE)
    os.utime(bench.folder / "half.json", (at + 1, at + 1))
    assert bench.taker.take() == 1
    assert [name for name, _ in bench.tray.got] == ["good.json", "half.json"]


@SFTP
def test_a_hidden_file_that_was_swept_under_its_writer_is_written_again(reach: Reach, files: Files) -> None:
    """Where a clock is wrong by days, another host may take it for what a broken try left."""
    other = publisher(reach, files)

    def swept_first(move: object, pairs: Sequence[tuple[str, str]]) -> object:
        assert other.sweep(now=(reach.folder / hidden(reach)[0]).stat().st_mtime + YEAR_S) == 1
        return move(pairs)  # type: ignore[operator]

    mine = publisher(reach, Faulty(files, move=swept_first))
    [first] = mine.publish([draft()], now=5.0)
    assert isinstance(first, Deferred) and visible(reach) == {}
    assert mine.publish([draft(again=True)], now=6.0) == [Left(6.0)]
    assert visible(reach) == {"m1.json": BODY} and hidden(reach) == []


@SFTP
def test_a_server_that_stands_still_is_given_up(reach: Reach, key: tuple[Path, str], tmp_path: Path) -> None:
    """SIGSTOP: the connection lives, and nothing moves any more."""
    with another_sshd(reach, tmp_path / "frozen", key, "") as sshd:
        files = reach.open(connect_timeout_s=3.0)
        frozen = sshd.sessions()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimedOut):
                publisher(reach, files).publish([draft()], now=5.0)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)

        again = publisher(reach, patient(reach))
        assert again.publish([draft(again=True)], now=6.0) == [Left(6.0)]
    assert visible(reach) == {"m1.json": BODY}


@pytest.mark.parametrize("kind", ["sftp", "scp"])
def test_a_reset_within_a_file_leaves_no_message_and_the_next_try_is_whole(reach: Reach) -> None:
    """RST, as `ss -K` or a router makes one: hidden names at most are left."""
    raw = b'{"body":"' + os.urandom(200_000).hex().encode() + b'"}'
    with behind_proxy(reach) as proxy:
        mine = publisher(reach, patient(reach))
        stalls_at = proxy.passed["up"] + 100_000
        proxy.stall_after(100_000, "up")
        putting = Background(lambda: mine.publish([draft(raw=raw)], now=5.0))
        assert soon(lambda: proxy.passed["up"] >= stalls_at, 30.0)
        proxy.reset()
        assert isinstance(putting.raised(within_s=30.0), LinkLost)
        assert visible(reach) == {}
        proxy.resume()

        again = publisher(reach, patient(reach))
        assert again.publish([draft(raw=raw, again=True)], now=6.0) == [Left(6.0)]
    assert visible(reach) == {"m1.json": raw}


def test_a_hard_link_is_taken_as_the_file_it_is(bench: Bench) -> None:
    """A rename makes one for a moment. The other name stays as it is, and is not written to."""
    elsewhere = bench.folder.parent / "elsewhere"
    elsewhere.write_bytes(WHOLE)
    os.link(elsewhere, bench.folder / "m.json")

    assert bench.taker.take() == 1
    assert bench.left() == [] and elsewhere.read_bytes() == WHOLE


@pytest.fixture
def bench(reach: Reach, files: Files) -> Bench:
    """A folder and its taker."""
    return Bench(reach, files)


@pytest.mark.parametrize("kind", ["directory", "sftp"])
def test_a_folder_that_became_a_link_gives_and_takes_nothing(
    reach: Reach, files: Files, tmp_path: Path
) -> None:
    """While we hold the connection: the folder is moved away, and a link to another one in its place."""
    bench = Bench(reach, files)
    other = tmp_path / "other"
    other.mkdir()
    (other / "m.json").write_bytes(WHOLE)
    reach.folder.rename(tmp_path / "moved")
    reach.folder.symlink_to(other)

    with pytest.raises(LinkError, match=str(reach.folder)):
        bench.taker.take()
    assert [type(each) for each in publisher(reach, files).publish([draft()], now=5.0)] == [Deferred]
    assert sorted(path.name for path in other.iterdir()) == ["m.json"]

"""Folders whose owner means harm, with a real consumer and a real sshd: good mail goes on both ways."""

from __future__ import annotations

import collections
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.states import State
from tests.hosts import Host, hosts, until
from tests.sshd import Sshd

COUNT = 40
PUT_ONLY = (
    "ForceCommand internal-sftp -p open,close,write,fsync,rename,stat,lstat,fstat,fsetstat,limits,statvfs,"
    "remove\n"
)


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Host]:
    """A host with one agent."""
    with hosts(tmp_path, near=["al"]) as (host,):
        yield host


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The folders of the peer who means harm."""
    return folders(tmp_path / "far")


def folders(where: Path) -> Path:
    """Make an inbox and an outbox."""
    for name in ("inbox", "outbox"):
        (where / name).mkdir(parents=True)
    return where


def reach(near: Host, name: str, far: Path, agent: str, sshd: Sshd | None = None, **more: object) -> None:
    """Make the folders a peer, local or by sftp."""
    given: dict[str, object] = {"agents": [agent], "poll_s": 1.0, "url": "dir:"}
    given |= {"inbox": str(far / "inbox"), "outbox": str(far / "outbox")}
    if sshd is not None:
        sshd.authorize(near.made.public_key)
        given |= {"url": f"sftp://{sshd.user}@127.0.0.1:{sshd.port}", "host_key": sshd.host_key}
    near.peer(name, **{**given, **more})


def leave(far: Path, name: str, sender: str = "bo") -> None:
    """Put a whole message there."""
    hidden = far / "outbox" / f".{name}"
    hidden.write_text(json.dumps({"from": sender, "to": "al", "subject": name}))
    hidden.rename(far / "outbox" / f"{name}.json")


def litter(far: Path) -> None:
    """Everything in the outbox that is no mail."""
    outbox = far / "outbox"
    claim = ".spool-near~{:016x}~{}.json"
    Path(os.fsdecode(bytes(outbox) + b"/no\xfftext\n.json")).write_text('{"x": 1}')
    for n, name in enumerate(("plain.json", claim.format(1, "claimed"))):
        os.mkfifo(outbox / f"{n}{name}" if n == 0 else outbox / name)
    for name in ("link.json", claim.format(2, "link")):
        (outbox / name).symlink_to("/etc/hostname")
    for name in ("folder.json", claim.format(3, "folder")):
        (outbox / name).mkdir()
    for name in ("giant.json", claim.format(4, "giant")):
        with (outbox / name).open("wb") as file:
            file.truncate(10 * 1024**3)
    for n in range(400):
        (outbox / f"bad{n}.json").write_text(f'{{"bad": {n}}}')
    year_ahead = time.time() + 365 * 86_400
    os.utime(outbox / "bad0.json", (year_ahead, year_ahead))


def flap(far: Path, stop: threading.Event, *, with_pipes: bool) -> None:
    """Let names stand for something else each time one looks."""
    while not stop.wait(0.005):
        for n in range(10):
            path = far / "outbox" / f"flap{n}.json"
            path.unlink(missing_ok=True)
            match (n + time.monotonic_ns()) % 3:
                case 0:
                    path.symlink_to("/etc/hostname")
                case 1:
                    path.write_text('{"a":')
                case 2 if with_pipes:
                    os.mkfifo(path)


@pytest.mark.parametrize("way", ["dir", "sftp"])
def test_good_mail_goes_on_beside_everything_else(way: str, near: Host, far: Path, tmp_path: Path) -> None:
    """No file there ends the exchange, holds it up, or is followed anywhere."""
    quiet = folders(tmp_path / "quiet")
    with Sshd(tmp_path / "sshd") as sshd:
        reach(near, "far", far, "bo", sshd if way == "sftp" else None)
        reach(near, "quiet", quiet, "di")
        litter(far)
        consumer = near.start()
        stop = threading.Event()
        # An SFTP server waits in front of a pipe that came after we looked; that costs a connection.
        pipes = {"with_pipes": way == "dir"}
        flapping = threading.Thread(target=flap, args=(far, stop), kwargs=pipes)
        flapping.start()
        try:
            with near.api() as spool:
                ids = [spool.send("bo", subject=f"{n}") for n in range(COUNT)]
            for n in range(COUNT):
                leave(far, f"good{n}")
            leave(quiet, "quiet", sender="di")
            until(lambda: taken(near)["quiet"] == 1)
            until(lambda: all(taken(near)[f"good{n}"] == 1 for n in range(COUNT)), 30)
            until(lambda: all((far / "inbox" / f"{id}.json").exists() for id in ids), 30)
        finally:
            stop.set()
            flapping.join()
        assert consumer.process.poll() is None
        assert near.log("link.failed") == near.log("link.defect") == []
        assert set(taken(near).values()) == {1}
        standing = {path.name for path in (far / "outbox").iterdir()}
        assert {"0plain.json", "link.json", "folder.json"} <= standing
        assert len([name for name in standing if name.startswith(".spool-refused~")]) == 2


def test_a_second_consumer_takes_nothing_twice(near: Host, far: Path) -> None:
    """One carries for the peer; where it is killed the other one goes on with what it claimed."""
    reach(near, "far", far, "bo")
    first, _ = near.start(), near.start()
    until(lambda: near.peer_state("far") == "linked")
    for n in range(300):
        leave(far, f"m{n}")
        if n == 150:
            first.kill()
    until(lambda: len(taken(near)) == 300 and not list((far / "outbox").iterdir()), 30)
    assert set(taken(near).values()) == {1}


def test_a_key_that_may_only_put_files_is_enough_to_send(near: Host, far: Path, tmp_path: Path) -> None:
    """The one in docs/files.md may neither list a folder nor read a file."""
    with Sshd(tmp_path / "sshd", config=PUT_ONLY) as sshd:
        reach(near, "far", far, "bo", sshd, outbox="")
        near.start()
        with near.api() as spool:
            id = spool.send("bo", subject="put")
            until(lambda: (sent := spool.sent(id)) is not None and sent.state is State.SENT)
        assert json.loads((far / "inbox" / f"{id}.json").read_bytes())["subject"] == "put"
        time.sleep(2.5)
        assert near.peer_state("far") == "linked" and not near.log("link.failed")


def taken(near: Host) -> collections.Counter[str]:
    """How often each subject came in."""
    with near.api() as spool, spool.store.read() as tx:
        return collections.Counter(json.loads(row.raw)["subject"] for row in tx.inbox.open("al"))

"""Attachments of files peers: put there under their SHA-256, resumed after cuts, fetched from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attaching import MB, kept, noise, sha256_of
from tests.hosts import Host, hosts, until
from tests.proxy import FaultProxy
from tests.sshd import Sshd


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[FaultProxy, Sshd]]:
    """An sshd, and what stands in front of it."""
    with Sshd(tmp_path / "sshd") as sshd, FaultProxy(sshd.port) as proxy:
        yield proxy, sshd


@pytest.fixture
def pair(tmp_path: Path, proxy: tuple[FaultProxy, Sshd]) -> Iterator[tuple[Host, Host]]:
    """Two spools that meet in folders: near by sftp, far by the folders themselves; both write acks."""
    weather, sshd = proxy
    inbox, outbox = tmp_path / "to-far", tmp_path / "to-near"
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        sshd.authorize(near.made.public_key)
        near.peer(
            "far",
            url=f"sftp://{sshd.user}@127.0.0.1:{weather.port}",
            host_key=sshd.host_key,
            agents=["fay"],
            inbox=str(inbox),
            outbox=str(outbox),
            acks=True,
            poll_s=1.0,
        )
        for folder in (inbox, outbox):
            folder.mkdir()
        far.peer(
            "near", url="dir:", agents=["nia"], inbox=str(outbox), outbox=str(inbox), acks=True, poll_s=1.0
        )
        near.start()
        until(lambda: near.peer_state("far") == "linked")
        yield near, far


def state(host: Host, id: str) -> str:
    """How far a message got."""
    told: str = host.json("trace", id)[0]["state"]
    return told


def test_a_file_cut_on_its_way_is_resumed_and_the_message_comes_after_it(
    pair: tuple[Host, Host], proxy: tuple[FaultProxy, Sshd], tmp_path: Path
) -> None:
    """What came is not sent again; mail does not wait for it; done there, it is removed from the folder."""
    near, far = pair
    weather, _ = proxy
    file = tmp_path / "big.bin"
    size = 48 * MB
    sha256 = noise(file, size)
    weather.bandwidth_bps = 24 * MB
    part = tmp_path / "to-far" / "attachments" / f"{sha256}.part"
    start = weather.passed["up"]
    with near.api() as spool:
        id = spool.send("fay", subject="A big one", attach=[file])
        for cut in (1, 2, 3):
            until(lambda: part.exists() and part.stat().st_size >= cut * 10 * MB, 60, "nothing moves")  # noqa: B023
            weather.reset()
        beside = spool.send("fay", subject="A small one")
    until(lambda: (tmp_path / "to-far" / f"{beside}.json").exists(), what="mail waits for the file")
    assert not (tmp_path / "to-far" / f"{id}.json").exists()
    until(lambda: (tmp_path / "to-far" / f"{id}.json").exists(), 60, "the message does not follow its file")
    assert sha256_of(part.with_suffix("")) == sha256 and not part.exists()
    assert weather.passed["up"] - start < 1.05 * size + 3 * 6 * MB
    far.start()
    until(lambda: state(near, id) == "received", 30, "no ack came back")
    (told,) = [each for each in far.json("inbox", "--full") if each["id"] == id]
    assert sha256_of(Path(told["attachments"][0]["path"])) == sha256
    until(lambda: not list((tmp_path / "to-far" / "attachments").iterdir()), what="it is left in the folder")


def test_a_file_comes_back_by_sftp(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """The other way round: put into a local folder, fetched over the wire."""
    near, far = pair
    far.start()
    file = tmp_path / "report.bin"
    sha256 = noise(file, 9 * MB)
    with far.api() as spool:
        id = spool.send("nia", subject="The report", attach=[file])
    until(lambda: state(far, id) == "received", 40, "it did not come")
    (told,) = near.json("inbox", "--full")
    assert told["attachments"][0]["name"] == "report.bin"
    assert sha256_of(Path(told["attachments"][0]["path"])) == sha256


def test_a_message_that_only_names_files_comes_without_them(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """A script may have a field of that name, and nothing beside it."""
    near, _ = pair
    named = [{"name": "x", "bytes": 5, "sha256": "0" * 64}]
    said = {"from": "fay", "to": "nia", "subject": "see there", "attachments": named}
    (tmp_path / "to-near" / "m.json").write_text(json.dumps(said))
    until(lambda: near.json("inbox"), 20, "it did not come")
    (told,) = near.json("inbox", "--full")
    assert told["message"]["attachments"] == named
    assert kept(near) == 0


def test_what_is_not_what_it_is_named_for_is_refused_with_its_message(
    pair: tuple[Host, Host], tmp_path: Path
) -> None:
    """A name that is a SHA-256 proves nothing; the bytes do."""
    near, _ = pair
    (tmp_path / "to-near" / "attachments").mkdir()
    (tmp_path / "to-near" / "attachments" / ("0" * 64)).write_bytes(b"other")
    named = [{"name": "x", "bytes": 5, "sha256": "0" * 64}]
    said = {"from": "fay", "to": "nia", "subject": "see there", "attachments": named}
    (tmp_path / "to-near" / "m.json").write_text(json.dumps(said))
    until(lambda: near.json("quarantine", "list"), 30, "it was not refused")
    assert "is not what it is named for" in near.json("quarantine", "list")[0]["reason"]
    assert near.json("inbox") == [] and kept(near) == 0

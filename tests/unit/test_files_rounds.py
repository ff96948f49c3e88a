"""The rounds of a files peer: what cannot be done now is tried again, and not in a loop."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.clock import Clock
from spool.files_gate import FilesGate
from spool.settings import Settings
from spool.transports import directory
from spool.transports.files import Rounds
from tests.desk import make_home
from tests.waiting import soon


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """The host `here` with the agent `me`, and a peer that writes acks as we do."""
    peers = f"""
[peers.cloud]
url = "dir:"
inbox = "{tmp_path}/in"
outbox = "{tmp_path}/out"
agents = ["cloud-*"]
acks = true
"""
    with Spool(make_home(tmp_path, "me", peers=peers), agent="me") as made:
        yield made


@pytest.fixture
def rounds(spool: Spool) -> Iterator[Rounds]:
    """Its rounds, being made."""
    clock = Clock(time.time, time.monotonic)
    settings = Settings(spool.home, spool.store, clock)
    gate = FilesGate(spool.store, settings, "cloud", clock=clock, token="t", version="0")
    made = Rounds(directory.open_files(settings.config.peer("cloud"), spool.home), gate)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    assert made.up.wait(5)
    yield made
    made.end()
    thread.join(5)
    assert not thread.is_alive()


def leave(tmp_path: Path, name: str, **said: object) -> None:
    """A script there writes a file, whole at once."""
    (tmp_path / "hidden").write_text(json.dumps({"from": "cloud-1", "to": "me", "subject": "x", **said}))
    (tmp_path / "hidden").rename(tmp_path / "out" / name)


def enclose(tmp_path: Path, file: bytes) -> dict[str, object]:
    """A script there puts a file beside its messages; what a message says of it."""
    sha256 = hashlib.sha256(file).hexdigest()
    (tmp_path / "out" / "attachments").mkdir(exist_ok=True)
    (tmp_path / "out" / "attachments" / sha256).write_bytes(file)
    return {"name": "f", "bytes": len(file), "sha256": sha256}


def test_a_file_that_is_here_already_does_not_stay_there(
    spool: Spool, rounds: Rounds, tmp_path: Path
) -> None:
    """As after a crash that came when it was stored here and not yet removed there."""
    (tmp_path / "same").write_bytes(b"the same bytes")
    spool.send("cloud-1", subject="x", attach=[tmp_path / "same"])
    leave(tmp_path, "m.json", id="m1", attachments=[enclose(tmp_path, b"the same bytes")])
    assert soon(lambda: not any(path.is_file() for path in (tmp_path / "out").rglob("*")), 20.0)
    with spool.store.read() as tx:
        assert [row.id for row in tx.inbox.open("me")] == ["m1"]


def test_a_file_goes_with_its_message_when_that_was_taken_before(
    spool: Spool, rounds: Rounds, tmp_path: Path
) -> None:
    """As after a crash that came when the message was stored here and both still lay there."""
    for name in ("m.json", "again.json"):
        leave(tmp_path, name, id="m1", attachments=[enclose(tmp_path, b"bytes")])
        assert soon(lambda: not any(path.is_file() for path in (tmp_path / "out").rglob("*")), 20.0)
    with spool.store.read() as tx:
        assert [row.id for row in tx.inbox.open("me")] == ["m1"]


@pytest.mark.parametrize("length", [9, 16])
def test_what_stands_of_a_file_there_is_believed_only_where_it_is_the_same(
    spool: Spool, rounds: Rounds, tmp_path: Path, length: int
) -> None:
    """A power cut there leaves the size of what came, and zeros in it; nobody there looks at the hash."""
    whole = b"sixteen bytes...\n"[:16]
    (tmp_path / "f").write_bytes(whole)
    sha256 = hashlib.sha256(whole).hexdigest()
    folder = tmp_path / "in" / "attachments"
    folder.mkdir()
    (folder / f"{sha256}.part").write_bytes(bytes(length))
    spool.send("cloud-1", subject="x", attach=[tmp_path / "f"])
    assert soon(lambda: (folder / sha256).exists(), 20.0)
    assert (folder / sha256).read_bytes() == whole


def test_what_comes_is_acknowledged_in_a_file_of_its_own(
    spool: Spool, rounds: Rounds, tmp_path: Path
) -> None:
    """At once where the folder is watched."""
    leave(tmp_path, "m.json", id="m1")
    assert soon(lambda: list((tmp_path / "in").glob("ack-m1-received-*.json")) != [], 8.0)
    (ack,) = (tmp_path / "in").glob("ack-*.json")
    said = json.loads(ack.read_bytes())
    assert (said["re"], said["status"], said["to"]) == ("m1", "received", "cloud-1")


def test_an_ack_whose_name_is_taken_waits(spool: Spool, rounds: Rounds, tmp_path: Path) -> None:
    """A second at least from try to try; mail goes past it."""
    tries = []
    publish = rounds._publisher.publish  # type: ignore[union-attr]  # it is up
    rounds._publisher.publish = lambda drafts, now: tries.extend(drafts) or publish(drafts, now=now)  # type: ignore[method-assign, union-attr, func-returns-value]
    (tmp_path / "in" / "ack-m1-received-1.json").write_text("somebody else's")
    leave(tmp_path, "m.json", id="m1")
    assert soon(lambda: len(tries) > 0, 8.0)
    time.sleep(2.5)
    assert 1 <= len(tries) <= 8
    with spool.store.read() as tx:
        assert tx.acks.waiting() == {"cloud": 1}
    id = spool.send("cloud-1", subject="past it")
    rounds.poke()
    assert soon(lambda: (tmp_path / "in" / f"{id}.json").exists())
    (tmp_path / "in" / "ack-m1-received-1.json").unlink()
    assert soon(lambda: (tmp_path / "in" / "ack-m1-received-1.json").exists(), 5.0)

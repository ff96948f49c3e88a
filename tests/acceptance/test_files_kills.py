"""A files peer through many crashes: each message one whole file there, each file one message here."""

from __future__ import annotations

import collections
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import one
from tests.hosts import Consumer, Host, hosts, until
from tests.sshd import Sshd

COUNT = 400
KILLS = 12


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """The only thing that runs there."""
    with Sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The folders there."""
    for name in ("inbox", "outbox"):
        (tmp_path / "far" / name).mkdir(parents=True)
    return tmp_path / "far"


@pytest.fixture
def near(tmp_path: Path, sshd: Sshd, far: Path) -> Iterator[Host]:
    """A host that reaches them by sftp."""
    with hosts(tmp_path, near=["al"]) as (host,):
        sshd.authorize(host.made.public_key)
        host.peer(
            "far",
            url=f"sftp://{sshd.user}@127.0.0.1:{sshd.port}",
            host_key=sshd.host_key,
            agents=["bo"],
            inbox=str(far / "inbox"),
            outbox=str(far / "outbox"),
            poll_s=1.0,
        )
        yield host


def write_files(outbox: Path, stop: threading.Event) -> None:
    """A script there, that writes whole files at a pace."""
    for n in range(COUNT):
        said = {"from": "bo", "to": "al", "subject": f"file {n}", "body": "x" * 500}
        hidden = outbox / f".{n}"
        hidden.write_text(json.dumps(said))
        hidden.rename(outbox / f"m{n}.json")
        stop.wait(0.02)


def send_messages(near: Host, ids: list[str], stop: threading.Event) -> None:
    """An agent here."""
    with near.api() as spool:
        for n in range(COUNT):
            ids.append(spool.send("bo", subject=f"message {n}", body="y" * 500))
            stop.wait(0.02)


def test_nothing_is_lost_or_doubled_by_kills(near: Host, far: Path, sshd: Sshd) -> None:
    """The consumer is killed, or its connection there, again and again while mail goes both ways."""
    seed = time.time_ns() % 100_000
    rng, stop, ids = random.Random(seed), threading.Event(), list[str]()
    work = [
        threading.Thread(target=write_files, args=(far / "outbox", stop)),
        threading.Thread(target=send_messages, args=(near, ids, stop)),
    ]
    consumer: Consumer = near.start()
    until(lambda: near.peer_state("far") == "linked")
    for thread in work:
        thread.start()
    for n in range(KILLS):
        time.sleep(rng.uniform(0.2, 1.2))
        if n % 3 == 2:
            sshd.kill_sessions()
        else:
            consumer.kill()
            consumer = near.start()
    for thread in work:
        thread.join()
    until(lambda: not [p for p in (far / "outbox").iterdir()], 60, f"files are left, seed {seed}")
    until(lambda: not waiting(near), 60, f"messages wait, seed {seed}")
    published = {
        path.stem: json.loads(path.read_bytes())["body"] for path in (far / "inbox").glob("[!.]*.json")
    }
    assert published == dict.fromkeys(ids, "y" * 500), f"seed {seed}"
    with near.api() as spool, spool.store.read() as tx:
        subjects = collections.Counter(json.loads(row.raw)["subject"] for row in tx.inbox.open("al"))
        assert subjects == {f"file {n}": 1 for n in range(COUNT)}, f"seed {seed}"
        assert tx.ledger.count_quarantined() == 0
    assert one(near.home, "PRAGMA integrity_check") == "ok"


def waiting(near: Host) -> int:
    """How many messages are still to be published."""
    with near.api() as spool, spool.store.read() as tx:
        return tx.outbox.waiting().get("far", 0)

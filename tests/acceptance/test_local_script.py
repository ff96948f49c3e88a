"""Spool as the cloud side, the local script on the other as people run it: what can be saved is saved."""

from __future__ import annotations

import collections
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import protocol_scripts as scripts
from tests.hosts import Host, hosts, until
from tests.sshd import Sshd

MESSAGES = 100
PER_SECOND = 15


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Where the script has its to-cloud and from-cloud."""
    folder = tmp_path / "local"
    for name in ("to-cloud", "from-cloud"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Host]:
    """A host with spool, whose folders a script elsewhere pushes to and pulls from."""
    with hosts(tmp_path, cloud=["claude-cloud-agent-1"]) as (host,):
        # Named from the script's side: it takes from claude-outbox, and writes into claude-inbox.
        home = str(tmp_path)
        host.cli(
            *("peer", "add", "local", "dir:", "--agents", "claude-local", "--poll", "1", "--yes"),
            *("--inbox", f"{home}/claude-outbox", "--outbox", f"{home}/claude-inbox"),
        )
        host.start()
        until(lambda: host.peer_state("local") == "linked", what="the folders were not reached")
        yield host


def write_steadily(folder: Path, count: int) -> None:
    """What an agent with a shell does, at a steady pace."""
    began = time.monotonic()
    for n in range(count):
        said = {
            "from": "claude-local",
            "to": "claude-cloud-agent-1",
            "subject": f"number {n}",
            "body": "x" * 2000,
        }
        (folder / f"msg-{n}.json").write_text(json.dumps(said))
        time.sleep(max(0.0, began + (n + 1) / PER_SECOND - time.monotonic()))


def arrived(host: Host) -> list[dict[str, Any]]:
    """Every message that came in, whole."""
    with host.api() as spool, spool.store.read() as tx:
        return [json.loads(row.raw) for row in tx.inbox.open(None)]


@pytest.mark.parametrize(
    ("script", "pause_s"),
    [(scripts.LOCAL_STEP_1, None), (scripts.LOCAL_OPTION_1, 0.5)],
    ids=["step 1", "option 1"],
)
def test_its_messages_come_once_and_our_replies_all_reach_it(
    tmp_path: Path,
    local: Path,
    cloud: Host,
    script: str,
    pause_s: float | None,
    record_property: Any,
) -> None:
    """It removes unread what we publish between its two commands, and spool sees that nobody had read it.

    What it removes on its own side before it was sent, nobody can save.
    """
    with Sshd(tmp_path / "sshd") as sshd:
        env = scripts.environment(scripts.tools(tmp_path / "tools", sshd, tmp_path, pause_s=pause_s))
        with scripts.running(scripts.start_local_script(local, env, script)):
            writer = threading.Thread(target=write_steadily, args=(local / "to-cloud", MESSAGES))
            writer.start()
            ids = []
            with cloud.api("claude-cloud-agent-1") as spool:
                for n in range(MESSAGES):
                    ids.append(spool.send("claude-local", subject=f"reply {n}", body="y" * 2000))
                    time.sleep(1 / PER_SECOND)
                writer.join()
                until(lambda: not list((local / "to-cloud").glob("*.json")), 20, "the script does not push")
                until(lambda: all_received(cloud, ids), 60, "a reply was not taken")
    got = [message["subject"] for message in arrived(cloud)]
    assert max(collections.Counter(got).values()) == 1
    assert {len(message["body"]) for message in arrived(cloud)} == {2000}
    assert set(got) <= {f"number {n}" for n in range(MESSAGES)}
    replies = {path.stem: json.loads(path.read_bytes()) for path in (local / "from-cloud").glob("*.json")}
    assert sorted(replies) == sorted(ids)
    assert {len(reply["body"]) for reply in replies.values()} == {2000}
    saved = {each["id"] for each in cloud.log("message.lost_there")}
    record_property("lost by the script before it sent them", MESSAGES - len(got))
    record_property("replies it removed unread, published again", len(saved))
    print(f"\nlost by the script: {MESSAGES - len(got)}; saved replies: {len(saved)}")


def all_received(host: Host, ids: list[str]) -> bool:
    """Whether every reply is known to have been taken."""
    with host.api() as spool, spool.store.read() as tx:
        rows = [tx.outbox.exact(id, "claude-cloud-agent-1") for id in ids]
    return all(row is not None and row.received_at is not None for row in rows)

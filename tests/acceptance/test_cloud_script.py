"""Spool here, the cloud script there as people run it: nothing is lost, every message accounted for."""

from __future__ import annotations

import collections
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import protocol_scripts as scripts
from tests.hosts import Host, hosts, until
from tests.sshd import Sshd

MESSAGES = {"sftp": 200, "scp": 80}
PER_SECOND = 20


@pytest.fixture(params=["sftp", "scp"])
def sshd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sshd]:
    """An sshd; under scp it has no sftp subsystem."""
    with Sshd(tmp_path / "sshd", sftp=request.param == "sftp") as running:
        yield running


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many messages; the slower road has fewer to carry."""
    return MESSAGES[request.node.callspec.params["sshd"]]


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    """The far home with the folders of the protocol."""
    home = tmp_path / "cloud"
    scripts.make_cloud_folders(home)
    return home


@pytest.fixture
def laptop(tmp_path: Path, sshd: Sshd, cloud: Path) -> Iterator[Host]:
    """A host whose peer has only sshd and scripts."""
    with hosts(tmp_path, laptop=["claude-local"]) as (host,):
        sshd.authorize(scripts.far_line(tmp_path / "far", host.made.public_key, cloud))
        host.cli(
            *("peer", "add", "stackcp", f"sftp://{sshd.user}@127.0.0.1:{sshd.port}"),
            *("--identity", "spool", "--agents", "claude-cloud*", "--poll", "1", "--yes"),
            *("--fingerprint", fingerprint(sshd)),
        )
        host.start()
        until(lambda: host.peer_state("stackcp") == "linked", what="the folders were not reached")
        yield host


def fingerprint(sshd: Sshd) -> str:
    """SHA256:… of its host key."""
    import base64
    import hashlib

    told = hashlib.sha256(base64.b64decode(sshd.host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(told).decode().rstrip("=")


def states(host: Host) -> collections.Counter[str]:
    """How many messages stand where."""
    with host.api() as spool, spool.store.read() as tx:
        return collections.Counter(tx.outbox.counts())


def test_a_steady_flow_arrives_once_and_all_of_it_is_received(laptop: Host, cloud: Path, count: int) -> None:
    """The script writes over its own acks; what went to processed/ tells the rest."""
    ids = []
    with (
        scripts.running(scripts.start_cloud_script(cloud, scripts.environment())),
        laptop.api("claude-local") as spool,
    ):
        began = time.monotonic()
        for n in range(count):
            ids.append(spool.send("claude-cloud-agent-1", subject=f"number {n}", body="x" * 1000))
            time.sleep(max(0.0, began + (n + 1) / PER_SECOND - time.monotonic()))
        until(lambda: states(laptop)["received"] == count, 40, f"{states(laptop)}")
    processed = [path.stem for path in (cloud / "claude-inbox" / "processed").iterdir()]
    assert sorted(processed) == sorted(ids)
    received = (cloud / "claude-chat.log").read_text().splitlines()
    assert collections.Counter(line.rpartition(" ")[2] for line in received) == {
        f"{id}.json": 1 for id in ids
    }
    assert not list((cloud / "claude-inbox").glob("*.json"))
    # It is logged once it is committed.
    until(lambda: len(laptop.log("message.received")) >= count, what="the log lacks some")
    logged = laptop.log("message.received")
    assert len(logged) == count
    inferred = [each for each in logged if each.get("inferred")]
    # The script gives one ack a second at most.
    assert 0 < len(inferred) < count


@pytest.mark.parametrize("sshd", ["sftp"], indirect=True)
def test_a_question_is_answered_by_the_recipe(laptop: Host, cloud: Path) -> None:
    """The answer has no `re`; its subject says what it answers, and the question is not overdue."""
    with laptop.api("claude-local") as spool:
        deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=8)
        question = spool.send(
            "claude-cloud-agent-1", subject="Is it ready?", body="Please test.", deadline=deadline.isoformat()
        )
        until(lambda: list((cloud / "claude-inbox").glob("*.json")), what="it did not arrive")
        done = scripts.run_recipe(scripts.CLOUD_REPLY, env=scripts.environment(), home=cloud)
        assert done.returncode == 0, done.stderr
        waited = laptop.json("wait", question, "--timeout", "20")
        assert [each["subject"] for each in waited] == ["Re: Is it ready?"]
        assert waited[0]["re"] == question and waited[0]["re_inferred"] is True
        time.sleep(max(0.0, deadline.timestamp() - time.time() + 2.5))
        sent = spool.store.read()
        with sent as tx:
            row = tx.outbox.exact(question, "claude-local")
        assert row is not None and row.answered and not row.overdue
    assert not laptop.log("message.overdue")
    assert laptop.json("trace", question)[0]["state"] == "received"

"""Files between real hosts over a real sshd: cut, killed, slow, through a relay; whole in the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spool.folder import Folder
from tests.attaching import MB, Pair, journey, kept, noise, pair, sha256_of
from tests.hosts import Host, dials_by_exec, hosts, until
from tests.mail import await_known, await_stored, holder, latencies, linked, rows, serves

pytestmark = pytest.mark.timeout(90)


def arrived(host: Host, sha256: str) -> bool:
    """Whether a host has the file, checked by its content."""
    path = host.home / "attachments" / sha256
    return path.exists() and sha256_of(path) == sha256


def attach(host: Host, file: Path, *, to: str = "fay", **more: Any) -> str:
    """Send a message with a file; its id."""
    with host.api() as spool:
        return spool.send(to, subject="A big one", attach=[file], **more)


def test_a_file_that_is_cut_five_times_arrives_whole(tmp_path: Path) -> None:
    """Each time it goes on where it stood: what is sent twice is at most what was on its way. Neither
    side holds it in memory, and its reader gets a path to the very same bytes."""
    sha256 = noise(tmp_path / "noise", 64 * MB)
    with pair(tmp_path) as two:
        found = journey(two, tmp_path / "noise", cuts=5, within_s=60.0)
        print(found)
        (view,) = (each for each in two.far.json("read", "--all") if "attachments" in each)

        assert found.cuts == 5
        assert found.wire <= 1.05 * 64 * MB + 5 * MB
        assert found.most_kept <= 64 * MB
        assert 0 < found.dialler_peak_mb <= 120 and 0 < found.server_peak_mb <= 120
        assert sha256_of(Path(view["attachments"][0]["path"])) == sha256
        assert kept(two.far) == 64 * MB


def await_kept(host: Host, size: int) -> None:
    """Wait until so much of a file is there."""
    until(lambda: kept(host) >= size)


def _kill_dialler(two: Pair) -> None:
    near = two.near
    os.kill(holder(near, "far"), signal.SIGKILL)
    near.start()


def _kill_server(two: Pair) -> None:
    for pid in serves(two.far):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [_kill_dialler, _kill_server])
def test_what_was_brought_survives_a_kill(tmp_path: Path, kill: Callable[[Pair], None]) -> None:
    """kill -9 of either side in the middle of it, three times: it goes on where it stood."""
    size = 48 * MB
    sha256 = noise(tmp_path / "noise", size)
    with pair(tmp_path) as two:
        near, far, proxy = two
        near.start()
        until(lambda: linked(far, "near"))
        start = proxy.passed["up"]
        id = attach(near, tmp_path / "noise")
        for n in range(1, 4):
            await_kept(far, n * size // 4)
            kill(two)
        await_stored(far, [id], within_s=40.0)

        assert arrived(far, sha256)
        assert proxy.passed["up"] - start <= 1.05 * size + 3 * MB
        assert kept(far) == size


def test_a_kill_while_it_is_checked_costs_no_byte(tmp_path: Path) -> None:
    """What it leaves: all of the bytes, under no name yet. Only the check is done again."""
    size = 24 * MB
    sha256 = noise(tmp_path / "noise", size)
    with pair(tmp_path) as two:
        near, far, proxy = two
        part = f"{sha256}.near.part"
        Folder(far.home).make()
        (Folder(far.home).root / part).write_bytes((tmp_path / "noise").read_bytes())
        near.start()
        await_stored(far, [attach(near, tmp_path / "noise")])

        assert arrived(far, sha256)
        assert proxy.passed["up"] < 1 * MB
        assert Folder(far.home).found() == {sha256: size}


def test_mail_goes_beside_a_file_on_a_slow_line(tmp_path: Path) -> None:
    """At 2 MB a second with 50 ms each way, nobody's word waits for somebody's file."""
    noise(tmp_path / "noise", 12 * MB)
    with pair(tmp_path, latency_s=0.05) as two:
        near, far, proxy = two
        near.start()
        until(lambda: linked(far, "near"))
        proxy.bandwidth_bps = 2 * MB
        big = attach(near, tmp_path / "noise", priority="P0")
        until(lambda: kept(far) > 2 * MB)
        with near.api() as spool:
            ids = []
            for n in range(40):
                ids.append(spool.send("fay", subject=str(n), priority="P3"))
                time.sleep(0.05)
        await_stored(far, ids)
        assert not rows(far, "SELECT 1 FROM inbox WHERE id = ?", big), "the file is still on its way"
        await_known(near, ids)
        took = sorted(latencies(near, ids))
        print(f"beside a file: p50 {took[20] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")
        await_stored(far, [big], within_s=30.0)


def test_a_file_goes_through_a_relay_both_ways(tmp_path: Path) -> None:
    """Hop by hop, and an answer brings another one back; each host keeps one copy."""
    there, back = noise(tmp_path / "there", 3 * MB), noise(tmp_path / "back", 2 * MB)
    with hosts(tmp_path, near=["nia"], mid=["mo"], far=["fay"]) as (near, mid, far):
        dials_by_exec(near, mid, near_agents=["nia"], far_agents=["mo", "fay"])
        dials_by_exec(far, mid, near_agents=["fay"], far_agents=["mo", "nia"])
        near.start()
        far.start()
        id = attach(near, tmp_path / "there")
        await_stored(far, [id])
        assert arrived(mid, there) and arrived(far, there)

        with far.api() as spool:
            answer = spool.reply(id, "Here is mine", attach=[tmp_path / "back"])
        await_stored(near, [answer])
        assert arrived(near, back)
        assert near.json("show", answer)[0]["attachments"][0]["bytes"] == 2 * MB


def test_a_file_that_is_there_is_not_sent_again(tmp_path: Path) -> None:
    """Ten messages with the same file: it goes once."""
    noise(tmp_path / "noise", 4 * MB)
    with pair(tmp_path) as two:
        near, far, proxy = two
        near.start()
        ids = [attach(near, tmp_path / "noise") for _ in range(10)]
        await_stored(far, ids)
        assert proxy.passed["up"] <= 1.05 * 4 * MB + MB
        assert kept(far) == kept(near) == 4 * MB


def test_a_file_that_does_not_fit_there_ends_its_message(tmp_path: Path) -> None:
    """Its sender reads why, and what to do."""
    noise(tmp_path / "noise", 4 * MB)
    with pair(tmp_path) as (near, far, proxy):
        config = far.home / "spool.toml"
        config.write_text(config.read_text().replace("[host]", "[host]\nattachments_mb = 2"))
        near.start()
        id = attach(near, tmp_path / "noise")
        with near.api() as spool:
            until(lambda: spool.state(id) == "dead")
            assert "does not fit: 1,572,864 bytes are the most" in str(spool.sent(id).reason)
        assert proxy.passed["up"] < MB and kept(far) == 0


def test_once_carries_a_file_to_its_end(tmp_path: Path) -> None:
    """A host that runs from cron has no consumer to go on with it."""
    sha256 = noise(tmp_path / "noise", 20 * MB)
    with pair(tmp_path) as (near, far, proxy):
        proxy.bandwidth_bps = 8 * MB
        id = attach(near, tmp_path / "noise")
        near.cli("up", "--once")
        assert arrived(far, sha256)
        assert rows(near, "SELECT state FROM outbox WHERE id = ?", id) == [("received",)]


def test_the_sender_sees_how_far_it_got(tmp_path: Path) -> None:
    """`spool outbox`, while it goes; `--wait-for received` ends when it is there."""
    noise(tmp_path / "noise", 30 * MB)
    with pair(tmp_path) as (near, far, proxy):
        near.start()
        until(lambda: linked(far, "near"))
        proxy.bandwidth_bps = 10 * MB
        id = attach(near, tmp_path / "noise")
        until(lambda: near.json("outbox")[0].get("attached", {}).get("there", 0) > 0)
        assert "of 31 MB: A big one" in near.cli("outbox").stdout
        sent = near.cli(
            "send", "fay", "-s", "again", "--attach", str(tmp_path / "noise"), "--wait-for", "received"
        )
        assert "is received" in sent.stderr
        await_stored(far, [id])

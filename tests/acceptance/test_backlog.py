"""A hundred thousand messages for a host that does not answer wait on the disk, in nobody's way."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

import apsw
import pytest

from tests.hosts import Consumer, Host, dials_by_exec, hosts, until
from tests.mail import assert_once, await_known, linked, rows
from tests.sshd import free_port

pytestmark = pytest.mark.timeout(110)

COUNT: Final = 100_000
BODY: Final = "x" * 400
MB: Final = 1024 * 1024
# Half of what the bodies alone take that wait.
GROWTH: Final = 20 * MB
PATIENT_S: Final = 45.0

COPIES: Final = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
INSERT INTO outbox ({columns}) SELECT {values} FROM outbox, n WHERE id = 'first'
"""


def fill(host: Host) -> None:
    """Let copies of a message that waits wait beside it, as so many calls of send would leave them."""
    with contextlib.closing(apsw.Connection(str(host.home / "spool.db"))) as db:
        db.set_busy_timeout(30_000)
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(outbox)") if name != "seq"]
        values = ["'copy-' || n" if name == "id" else name for name in columns]
        sql = COPIES.format(columns=", ".join(columns), values=", ".join(values))
        db.execute("BEGIN IMMEDIATE")
        db.execute(sql, (COUNT - 1,))
        db.execute("COMMIT")


def resident(consumer: Consumer) -> int:
    """The most memory that a process has had so far, in bytes."""
    for line in Path(f"/proc/{consumer.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM: not a Linux?")


def swept_at(host: Host) -> float:
    """When the last sweep was."""
    return float(rows(host, "SELECT value FROM facts WHERE name = 'swept_at'")[0][0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_backlog_for_a_dead_peer_costs_no_memory_and_holds_nobody_up(tmp_path: Path) -> None:
    """Dials fail, sweeps go on, and the mail of another peer is not behind it."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay"])
        near.peer("dead", url=f"ssh://nobody@127.0.0.1:{free_port()}", agents=["gone"])
        with near.api() as spool:
            spool.send("gone", id="first", subject="x", body=BODY)
        consumer = near.start()
        until(lambda: linked(near, "far"), PATIENT_S)
        before = resident(consumer)
        fill(near)
        assert rows(near, "SELECT count(*), sum(length(raw)) > ? FROM outbox", COUNT * 400) == [(COUNT, 1)]

        since = time.time()
        until(lambda: swept_at(near) > since, PATIENT_S, "it does not sweep")
        with near.api() as spool:
            ids = [spool.send("fay", subject=f"{n}") for n in range(20)]
        await_known(near, ids, PATIENT_S)

        grown = resident(consumer) - before
        print(f"{COUNT} messages wait: {grown / MB:.1f} MB more than before")
        assert grown < GROWTH
        assert_once(far, ids)
        assert rows(near, "SELECT count(*) FROM outbox WHERE state = 'queued'") == [(COUNT,)]
        assert {event["kind"] for event in near.log("link.failed")} == {"unreachable"}

"""Mail that is sent on one host wakes an idle session on another, which reads it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.hosts import dials_by_exec, hosts, until
from tests.listening import TOKEN, Inbox

pytestmark = pytest.mark.timeout(60)


def test_mail_from_another_host_wakes_an_idle_session(tmp_path: Path) -> None:
    """Once, though the far end of the link and a consumer both look; its sender learns of it by the read."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far), Inbox(tmp_path / "s") as inbox:
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay"])
        near.start()
        far.start()
        until(lambda: near.peer_state("far") == "linked")
        with far.api("fay") as spool, near.api("nia") as sender:
            spool.attend("s1", pid=os.getpid(), wake=inbox.kept)
            with spool.store.write(sync=False) as tx:
                tx.sessions.update("s1", seen_at=time.time() - 60)

            id = sender.send("fay", subject="Wake up")

            assert f"{id[-6:]} P2 nia" in inbox.next().text
            until(lambda: bool(far.log("session.woken")))
            spool.read(spool.inbox())
            until(lambda: str(sender.state(id)) == "read")
        far.close()
        near.close()
        (said,) = far.log("session.woken")
        assert (said["ids"], said["role"] in ("serve", "consumer")) == ([id], True)
        assert inbox.is_silent()
        for host in (near, far):
            assert TOKEN not in (host.home / "log" / "spool.jsonl").read_text()

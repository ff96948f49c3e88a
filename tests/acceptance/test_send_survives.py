"""A message is safe from the moment send() has returned, whatever becomes of its sender then."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.databases import rows
from tests.hosts import ENV, Host, dials_by_ssh, hosts, until
from tests.sshd import Sshd

AT_ONCE: Final = 4
ROUNDS: Final = 4

# What a program that uses the Python API looks like, and what an out-of-memory killer does to it.
SEND: Final = """
import os, signal, sys
from spool import Spool
print(Spool(sys.argv[1]).send("bob", subject="x", body=sys.argv[2]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
SEND_MANY: Final = """
import os, signal, sys
from spool import Spool
messages = [{"to": "bob", "body": f"{sys.argv[2]} {n}"} for n in range(50)]
print(*Spool(sys.argv[1]).send_many(messages), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def send_and_die(host: Host, program: str, name: str) -> list[str]:
    """Run the program in several processes at once; the ids they printed before they died."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(host.home), f"{name} {n}"],
            env=ENV,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(AT_ONCE)
    ]
    printed = [each.communicate(timeout=30)[0].split() for each in started]
    assert {each.returncode for each in started} == {-signal.SIGKILL}
    return [id for ids in printed for id in ids]


@pytest.mark.timeout(90)
def test_a_sender_killed_as_send_returns_has_sent(tmp_path: Path) -> None:
    """Half of them while nothing of spool runs: the disk is all there is to it."""
    with (
        Sshd(tmp_path / "sshd") as sshd,
        hosts(tmp_path, near=["alice"], far=["bob"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["alice"], far_agents=["bob"])
        ids = [id for n in range(ROUNDS) for id in send_and_die(near, SEND, f"early {n}")]
        ids += send_and_die(near, SEND_MANY, "early")
        for host in (near, far):
            host.start()
        until(lambda: near.peer_state("far") == "linked")
        ids += [id for n in range(ROUNDS) for id in send_and_die(near, SEND, f"late {n}")]
        ids += send_and_die(near, SEND_MANY, "late")

        def unknown() -> list[object]:
            return rows(near.home, "SELECT id FROM outbox WHERE state <> 'received'")

        until(lambda: not unknown(), 20, "some are still on their way")

        assert len(set(ids)) == 2 * AT_ONCE * (ROUNDS + 50)
        assert Counter(id for (id,) in rows(far.home, "SELECT id FROM inbox")) == Counter(ids)
        assert rows(far.home, "SELECT reason FROM quarantine") == []

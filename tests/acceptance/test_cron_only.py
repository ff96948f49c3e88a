"""An account whose every process is killed again and again, and that has nothing but cron.

Cron is played by a thread that runs the very line `spool service install --once` writes, a killer is
another that ends all of the account's processes with SIGKILL, in the middle of whatever they do. A
minute of a real host is a second or two here. The other host runs a consumer and an sshd, and
cannot dial this one.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from spool.api import Spool
from spool.service import cron
from spool.service.base import Job
from tests.databases import one
from tests.hosts import ENV, Host, dials_by_ssh, hosts, until
from tests.sshd import Sshd

EACH_WAY: Final = 200
CRON_S: Final = 1.5
KILL_S: Final = (1.0, 4.5)
WITHIN_S: Final = 90.0


class Account:
    """Cron and the killer of one account."""

    def __init__(self, home: Path, host: str, rng: random.Random) -> None:
        (line,) = cron.lines(Job(home, host, sys.executable, ENV["PYTHONPATH"], once=True))
        self._command = line.removeprefix(f"{cron.EVERY} ")
        self._folder = home.parent
        self._rng = rng
        self._end = threading.Event()
        self._started: list[subprocess.Popen[bytes]] = []
        self._threads = [threading.Thread(target=each) for each in (self._cron, self._killer)]
        self.killed = 0
        self.whole = 0

    def __enter__(self) -> Account:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._kill_all()

    def _cron(self) -> None:
        while not self._end.wait(CRON_S):
            self._started.append(
                subprocess.Popen(
                    ["/bin/sh", "-c", self._command],
                    env={"HOME": str(self._folder), "PATH": "/usr/bin:/bin"},
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )

    def _killer(self) -> None:
        while not self._end.wait(self._rng.uniform(*KILL_S)):
            self._kill_all()

    def _kill_all(self) -> None:
        for job in list(self._started):
            # Also what the shell of a line left behind, which is in its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
            status = job.wait()
            self.killed += status == -signal.SIGKILL
            self.whole += status >= 0
            self._started.remove(job)


def send(spool: Spool, to: str, ids: list[str]) -> None:
    """Ten more, up to the number."""
    for _ in range(min(10, EACH_WAY - len(ids))):
        ids.append(spool.send(to, subject=str(len(ids)), body="x" * 2000))


def read(spool: Spool, ids: list[str]) -> None:
    """Whatever is there, as an agent that looks now and then."""
    for message in spool.receive():
        with message:
            ids.append(message.id)


def archived(host: Host, table: str) -> list[str]:
    """The ids in an archive table."""
    return str(one(host.home, f"SELECT coalesce(group_concat(id), '') FROM {table}")).split(",")


def live(host: Host) -> int:
    """What is in none."""
    return int(one(host.home, "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM inbox)"))


def short_memory(host: Host) -> None:
    """What ended goes to the archive a second later."""
    config = host.home / "spool.toml"
    config.write_text(config.read_text().replace("[host]", "[host]\narchive_after_s = 1", 1))


@pytest.mark.timeout(150)
def test_mail_both_ways_through_an_account_that_has_only_cron(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must-show 3: 200 messages each way, read, acknowledged and archived, each once."""
    seed = int(os.environ.get("SPOOL_SEED") or random.randrange(2**32))
    with (
        Sshd(tmp_path / "sshd") as sshd,
        hosts(tmp_path, home=["hana"], shared=["sue"]) as (home, shared),
        home.api() as here,
        shared.api() as there,
    ):
        dials_by_ssh(shared, home, sshd, near_agents=["sue"], far_agents=["hana"])
        here._reload()
        there._reload()
        short_memory(home)
        short_memory(shared)
        home.start()
        sent: tuple[list[str], list[str]] = ([], [])
        came: tuple[list[str], list[str]] = ([], [])
        began = time.monotonic()
        with Account(shared.home, "shared", random.Random(seed)) as account:

            def settled() -> bool:
                send(here, "sue", sent[0])
                send(there, "hana", sent[1])
                read(there, came[0])
                read(here, came[1])
                time.sleep(0.5)
                return all(len(ids) == EACH_WAY for ids in (*sent, *came)) and live(shared) == 0

            until(settled, WITHIN_S, f"not all was archived within {WITHIN_S:.0f} s, SPOOL_SEED={seed}")
            # The runs go on: one more kill changes nothing.
            time.sleep(2.0)
        took = time.monotonic() - began
        until(lambda: home.cli("archive", "run") and live(home) == 0)
        for table in ("outbox_archive", "inbox_archive"):
            mine, theirs = (sent[0], sent[1]) if table == "outbox_archive" else (sent[1], sent[0])
            assert sorted(archived(home, table)) == sorted(mine)
            assert sorted(archived(shared, table)) == sorted(theirs)
        states = "SELECT count(*) FROM outbox_archive WHERE state = 'done'"
        assert [one(host.home, states) for host in (home, shared)] == [EACH_WAY, EACH_WAY]
        assert [sorted(each) for each in came] == [sorted(each) for each in sent]
        assert one(shared.home, "PRAGMA integrity_check") == "ok"
    with capsys.disabled():
        print(
            f"\ncron only: SPOOL_SEED={seed}: {account.killed} runs killed, {account.whole} ended by"
            f" themselves; {EACH_WAY} messages each way, done and archived, in {took:.1f} s"
        )
    assert account.killed >= 3

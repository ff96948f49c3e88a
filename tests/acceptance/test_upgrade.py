"""An old consumer beside a newer spool: it stops with one line, and the file is as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from spool.store.sqlite import SCHEMA
from tests.hosts import hosts, until

pytestmark = pytest.mark.timeout(60)


@contextlib.contextmanager
def migrated(home: Path) -> Iterator[apsw.Connection]:
    """The database as a newer spool would leave it."""
    with contextlib.closing(apsw.Connection(str(home / "spool.db"))) as database:
        database.set_busy_timeout(10_000)
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        yield database


def test_a_consumer_that_is_older_than_the_file_stops(tmp_path: Path) -> None:
    """The newer spool may have another idea of every row."""
    with hosts(tmp_path, near=["nia"]) as (near,):
        near.cli("send", "nia", "-s", "x")
        consumer = near.start()
        until(lambda: near.log("consumer.started") != [])
        with migrated(near.home) as database:
            assert consumer.process.wait(20) == 1

            said = [line for line in consumer.out.read_text().splitlines() if not line.startswith("{")]
            assert len(said) == 1 and "upgrade spool" in said[0]
            assert len(near.log("consumer.outdated")) == 1
            assert database.execute("PRAGMA integrity_check").get == "ok"
            assert database.execute("SELECT count(*) FROM inbox").get == 1
        done = near.cli("up", "--detach", check=1)
        assert "upgrade spool" in done.stderr and "Traceback" not in done.stderr


def test_down_works_beside_a_newer_file(tmp_path: Path) -> None:
    """Else nobody could end what must end before the upgrade goes on."""
    with hosts(tmp_path, near=["nia"]) as (near,):
        consumer = near.start()
        until(lambda: near.log("consumer.started") != [])
        with migrated(near.home):
            near.cli("down")

        assert consumer.process.wait(5) in (0, 1)


def test_up_says_so_where_one_runs_and_is_content(tmp_path: Path) -> None:
    """Cron calls it every five minutes: exit 0, in every form, and no second consumer."""
    with hosts(tmp_path, near=["nia"]) as (near,):
        (first,) = near.json("up", "--detach")
        try:
            for how in ([], ["--detach"], ["--once"]):
                assert near.json("up", *how) == [{"v": 1, "running": True, "pid": first["pid"]}]
            assert len(near.log("consumer.started")) == 1
        finally:
            near.cli("down")

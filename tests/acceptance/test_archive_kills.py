"""The archive while it is filled: its mover is killed, and mail goes on beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from spool.api import Spool
from spool.store.base import Asked
from spool.terms import parse
from tests import databases
from tests.desk import make_home
from tests.rows import new_incoming, new_outgoing

ROWS = 2000
MOVER = "import sys; from spool import Spool; print(Spool(sys.argv[1]).archive(older_than_s=0.0))"


def fill(home: Path) -> None:
    """Rows that ended, on both sides, each with a word of its own."""
    with Spool(home, agent="me") as spool, spool.store.write(sync=False) as tx:
        for n in range(ROWS):
            raw = b'{"subject":"common","body":"own%d"}' % n
            seq = tx.outbox.put(new_outgoing(f"out{n}", queued_at=float(n), raw=raw))
            tx.outbox.bury(seq, now=2.0, reason="why")
            seq = tx.inbox.put(new_incoming(f"in{n}", received_at=float(n), raw=raw))
            tx.inbox.finish(seq, now=2.0, outcome="done", note=None)


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MOVER, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def archived(home: Path) -> int:
    sides = "SELECT seq FROM outbox_archive UNION ALL SELECT seq FROM inbox_archive"
    return int(databases.one(home, f"SELECT count(*) FROM ({sides})"))


def check(home: Path, copy: Path) -> None:
    """Each row is in one place; what is archived has its words and what is not has none."""
    database = databases.copy(home, copy)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for side, name in (("outbox", "out"), ("inbox", "in")):
        both = f"SELECT id FROM {side} UNION ALL SELECT id FROM {side}_archive"
        assert {id for (id,) in database.execute(both)} == {f"{name}{n}" for n in range(ROWS)}
        assert database.execute(f"SELECT count(*) FROM ({both})").get == ROWS
        words = f"SELECT rowid FROM {side}_words WHERE {side}_words MATCH 'common'"
        seqs = database.execute(f"SELECT seq FROM {side}_archive ORDER BY seq").fetchall()
        assert database.execute(words).fetchall() == seqs
    database.close()


def test_a_mover_that_is_killed_leaves_each_row_in_one_place(tmp_path: Path) -> None:
    """Ten times, in the middle of its work; then the rest is moved, and everything is found."""
    home = make_home(tmp_path, "me")
    fill(home)
    midway = 0
    for n in range(10):
        before, mover = archived(home), start(home)
        while archived(home) == before and mover.poll() is None:
            time.sleep(0.002)
        time.sleep(0.003 * n)
        mover.send_signal(signal.SIGKILL)
        mover.communicate(timeout=20)
        midway += 0 < archived(home) < 2 * ROWS
        check(home, tmp_path / f"copy{n}")
    assert midway >= 5, "the mover was killed before or after its work"

    mover = start(home)
    said, _ = mover.communicate(timeout=60)
    assert mover.returncode == 0 and int(said) <= 2 * ROWS and archived(home) == 2 * ROWS
    check(home, tmp_path / "last")
    with Spool(home, agent="me") as spool:
        assert [row.id for row in spool.search("own1234")] == ["out1234", "in1234"]


def test_mail_is_sent_while_the_archive_is_filled(tmp_path: Path) -> None:
    """Whoever writes comes in between two of its transactions, again and again."""
    home = make_home(tmp_path, "me")
    fill(home)
    mover = start(home)
    sent = 0
    with Spool(home, agent="me") as spool:
        while mover.poll() is None:
            before = archived(home)
            spool.send("cloud-1", subject="x")
            sent += 0 < before < 2 * ROWS and archived(home) < 2 * ROWS
        with spool.store.read() as tx:
            assert len(tx.history.search(Asked(parse("common")), limit=3 * ROWS)) == 2 * ROWS
    mover.communicate(timeout=20)
    assert sent >= 5
    assert databases.one(home, "SELECT count(*) FROM outbox WHERE state = 'queued'") >= sent

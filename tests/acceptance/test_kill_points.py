"""kill -9 at some of the writes and syncs of each real process; `python -m tests.kills` tries them all."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

import pytest

from tests.kills import tracer
from tests.kills.folders import sftp_server
from tests.kills.stories import STORIES

# About so many calls each victim makes.
CALLS: Final = {
    "send-file": 75,
    "send-two": 20,
    "consumer": 340,
    "serve": 320,
    "sftp-push": 150,
    "sftp-pull": 150,
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CALLS)
def test_a_kill_at_any_write_loses_and_doubles_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was promised is there once, what was not is there whole or not at all, and nothing is stuck."""
    if reason := tracer.why_not(tmp_path / "tried"):
        pytest.skip(reason)
    if name.startswith("sftp") and sftp_server() is None:
        pytest.fail("no sftp-server here: install openssh-sftp-server", pytrace=False)
    seed = int(os.environ.get("SPOOL_SEED") or random.randrange(2**32))
    kill_at = random.Random(seed).randint(1, CALLS[name])
    with STORIES[name](tmp_path / "story") as stage:
        verdict = stage.point(kill_at)
        while not verdict.at and not verdict.wrong:
            # How many calls there are depends on how the threads take turns.
            verdict = stage.point(verdict.met // 2)
    again = f"python -m tests.kills {name} --at {verdict.kill_at}"
    with capsys.disabled():
        print(f"\nkill points: SPOOL_SEED={seed}, {again}: {verdict.at}", flush=True)
    assert (verdict.wrong, verdict.lost, verdict.doubled) == ((), 0, 0), again

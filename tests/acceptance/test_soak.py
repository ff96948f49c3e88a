"""The soak in miniature: what keeps `python -m tests.soak` working between the long runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.soak.__main__ import soak
from tests.soak.report import table


@pytest.mark.timeout(400)
def test_a_soak_of_seconds_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four hosts, a real sshd, real consumers, a few faults: every id is accounted for."""
    asked = argparse.Namespace(minutes=0.2, messages=150, faults=6, crew=1, keep=False)

    report = soak(tmp_path, asked, seed=292)

    with capsys.disabled():
        print(f"\n{table(report)}")
    assert not report.failed
    assert sum(report.faults.values()) == asked.faults
    assert report.counts["ids told to a sender"] >= asked.messages
    assert report.counts["done as their senders know"] > 0 < report.counts["at the files peer"]

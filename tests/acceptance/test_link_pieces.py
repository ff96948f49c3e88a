"""A frame that comes in very small pieces."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, Host, hosts

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Host]:
    """A host that the peers `near` and `zed` dial."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        far.peer("zed", agents=["zoe"])
        yield far


def test_a_line_in_many_pieces_costs_no_time(far: Host) -> None:
    """A long line that never ends is looked at once, not again with each byte of it."""
    with Dialogue(far.serve_command("near"), env=ENV) as line:
        line.say(f="hello", host="near")
        line.expect("hello")
        line.write(b'{"f":"x","p":"' + b"a" * 16_000_000)
        before = _cpu_s(line.process.pid)
        for _ in range(200):
            line.write(b"a")
            time.sleep(0.005)
        assert _cpu_s(line.process.pid) - before < 0.7


def _cpu_s(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")

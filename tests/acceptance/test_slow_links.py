"""A line that carries little at a time: everything comes whole, once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.hosts import ROOT, hosts, until
from tests.mail import assert_once, await_known, generation, linked

pytestmark = pytest.mark.timeout(110)

COUNT = 20
PATIENT_S = 45.0


def test_a_line_of_single_bytes_carries_whole_messages(tmp_path: Path) -> None:
    """Frames are put together however they come; nothing is parsed before its end is there."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        sliced = [sys.executable, "-m", "tests.one_byte", *far.serve_command("near")]
        near.peer("far", url="exec:" + shlex.join(["env", f"PYTHONPATH={ROOT}", *sliced]), agents=["fay"])
        far.peer("near", agents=["nia"])
        near.start()
        until(lambda: linked(near, "far"), PATIENT_S)
        with near.api() as spool, far.api() as there:
            ids = spool.send_many(
                [{"to": "fay", "subject": f"Grüße {n}", "body": "ü" * 300} for n in range(COUNT)]
            )
            back = there.send_many(
                [{"to": "nia", "subject": f"{n}", "body": "y" * 300} for n in range(COUNT)]
            )
        await_known(near, ids, PATIENT_S)
        await_known(far, back, PATIENT_S)
        assert_once(far, ids)
        assert_once(near, back)
        assert generation(near, "far") == 1

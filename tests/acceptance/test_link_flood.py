"""A dialler that asks and asks and reads no answer."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, hosts

pytestmark = pytest.mark.timeout(60)


def test_who_reads_no_answers_is_asked_to_leave(tmp_path: Path) -> None:
    """Its answers would fill the memory here, for as long as it goes on asking."""
    with hosts(tmp_path, far=["fay"]) as (far,):
        far.peer("near", agents=["nia"])
        with Dialogue(far.serve_command("near"), env=ENV) as line:
            line.say(f="hello", host="near")
            line.expect("hello")
            asked = b'{"f":"ping","n":1,"clock":1,"echo":true}\n' * 5000
            until = time.monotonic() + 40
            with contextlib.suppress(BrokenPipeError):
                while time.monotonic() < until:
                    line.write(asked)
            line.ends()

        assert "does not read" in far.log("link.down")[-1]["error"]

"""Many programs that send at once, and what all of them found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.sender import Said
from tests.hosts import ENV

END_S: Final = 120.0


class Sent(NamedTuple):
    """When each message was begun, seconds of each `send`, of the whole, of CPU; the most memory of one."""

    began: dict[str, float]
    took: list[float]
    seconds: float
    cpu_s: float
    peak_mb: float


def many(home: Path, programs: int, each: int) -> Sent:
    """Let so many programs begin at the same moment and send so many each."""
    command = [sys.executable, "-m", "bench.sender", str(home), str(each)]
    made = [
        subprocess.Popen(command, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(programs)
    ]
    try:
        _ready(made)
        said = _said(made)
    finally:
        for one in made:
            if one.poll() is None:
                one.kill()
                one.communicate()
    began = {id: at for one in said for id, at in zip(one.ids, one.began, strict=True)}
    return Sent(
        began,
        [seconds for one in said for seconds in one.took],
        max(one.ended for one in said) - min(began.values()),
        sum(one.cpu_s for one in said),
        max(one.peak_mb for one in said),
    )


def _ready(made: list[subprocess.Popen[bytes]]) -> None:
    for one in made:
        assert one.stdout is not None
        if one.stdout.readline() != b"ready\n":
            raise RuntimeError(f"a sender ended with {one.wait(END_S)}")


def _said(made: list[subprocess.Popen[bytes]]) -> list[Said]:
    for one in made:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    return [msgspec.json.decode(one.communicate(timeout=END_S)[0], type=Said) for one in made]

"""The scripts that are in use today, as they are written: two loops that copy and sleep five seconds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from bench import mail, spread
from bench.frame import Figure, Found, Row
from bench.ground import Ground
from tests import protocol_scripts as protocol
from tests.waiting import soon

MESSAGES: Final = 12
# No whole part of their five seconds, so that each comes at another moment of the loops.
APART_S: Final = 2.3
BURST: Final = 500
WITHIN_S: Final = 25.0


def measure(ground: Ground) -> Found:
    """From the file in ~/to-cloud to the far script having taken it; what is lost on the way is counted."""
    folder = ground.place("scripts")
    home = folder / "cloud"
    env = protocol.environment(protocol.tools(folder / "ssh", ground.sshd, home))
    with (
        protocol.running(protocol.start_cloud_script(home, env)),
        protocol.running(protocol.start_local_script(folder, env)),
    ):
        taken = home / "claude-inbox" / "processed"
        single = _singles(folder / "to-cloud", taken, ground.scaled(MESSAGES, least=4))
        began = time.time()
        burst = [_write(folder / "to-cloud", f"burst-{n}") for n in range(ground.scaled(BURST))]
        soon(lambda: all((taken / name).exists() for name in burst), WITHIN_S)
        there = [(taken / name).stat().st_ctime for name in burst if (taken / name).exists()]
    assert single, "the scripts delivered nothing"
    assert there, "the scripts delivered nothing of the burst"
    found = spread.of(list(single.values()))
    wanted = ground.scaled(MESSAGES, least=4)
    return Found(
        figures=[
            Figure(
                what="scripts: a message at a time",
                unit="ms",
                median=found.median,
                tail=found.tail,
                count=len(single),
                note=f"{wanted - len(single)} of {wanted} lost",
            ),
            Figure(
                what=f"scripts: a burst of {len(burst)}",
                unit="a second",
                median=len(there) / (max(there) - began),
                note=f"{len(burst) - len(there)} lost",
            ),
        ]
    )


def _singles(to: Path, taken: Path, count: int) -> dict[str, float]:
    """Seconds by name of those that arrived. A move changes a file's ctime, and that is when it was taken."""
    began: dict[str, float] = {}
    for n in range(count):
        at = time.time()
        began[_write(to, f"single-{n}")] = at
        time.sleep(APART_S)
    soon(lambda: all((taken / name).exists() for name in began), WITHIN_S)
    there = [name for name in began if (taken / name).exists()]
    return {name: (taken / name).stat().st_ctime - began[name] for name in there}


def _write(to: Path, name: str) -> str:
    said = {"id": name, "from": "al", "to": "bo", "subject": "bench", "body": mail.BODY}
    (to / f"{name}.json").write_text(json.dumps(said))
    return f"{name}.json"


ROWS: Final = (Row("scripts", "Beside it: the scripts in use, loops of five seconds", measure),)

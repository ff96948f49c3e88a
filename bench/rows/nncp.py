"""NNCP, which is durable too: its daemon, its caller, both tossing by themselves, through an SSH tunnel."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import mail, spread, tunnel
from bench.frame import Figure, Found, Row
from bench.ground import Ground
from tests.hosts import until
from tests.sshd import free_port

SENDS: Final = 20
APART_S: Final = 0.37
BURST: Final = 200
WITHIN_S: Final = 60.0
PROGRAMS: Final = ("nncp-cfgnew", "nncp-file", "nncp-daemon", "nncp-caller")
_KEY: Final = re.compile(r"^\s+(id|exchpub|exchprv|signpub|signprv|noiseprv|noisepub): (\w+)$", re.M)


def measure(ground: Ground) -> Found:
    """From before `nncp-file` to the file in the far folder for incoming ones."""
    if absent := tunnel.missing("nncp", *PROGRAMS):
        return Found(absent=absent)
    folder = ground.place("nncp")
    with _two(ground, folder) as (config, incoming):
        # The first call has to be made.
        _sent(config, incoming, ["first"], 0.0)
        count, many = ground.scaled(SENDS, least=8), ground.scaled(BURST)
        took = _sent(config, incoming, [f"single-{n}" for n in range(count)], APART_S)
        began = time.time()
        burst = _sent(config, incoming, [f"burst-{n}" for n in range(many)], 0.0)
    found = spread.of([there - at for at, there in took])
    return Found(
        figures=[
            Figure(
                what="NNCP: a message at a time",
                unit="ms",
                median=found.median,
                tail=found.tail,
                count=count,
            ),
            Figure(
                what=f"NNCP: a burst of {many}",
                unit="a second",
                median=many / (max(there for _, there in burst) - began),
                note="a program started for each",
            ),
        ]
    )


def _sent(config: Path, incoming: Path, names: list[str], apart_s: float) -> list[tuple[float, float]]:
    """Hand each to NNCP and wait for all: when each was begun, and when it had its name over there."""
    began = {}
    for name in names:
        began[name] = time.time()
        command = ["nncp-file", "-cfg", str(config), "-quiet", "-", f"far:{name}"]
        subprocess.run(command, input=mail.BODY.encode(), check=True, timeout=WITHIN_S)
        time.sleep(apart_s)
    for name in names:
        there = incoming / name
        until(there.exists, within_s=WITHIN_S, what=f"{name} did not arrive")
    return [(at, (incoming / name).stat().st_ctime) for name, at in began.items()]


@contextlib.contextmanager
def _two(ground: Ground, folder: Path) -> Iterator[tuple[Path, Path]]:
    """The near host's config and the far host's folder, with both programs running."""
    port, keys = free_port(), {name: _keys() for name in ("near", "far")}
    incoming = folder / "incoming"
    incoming.mkdir()
    far = _config(folder, keys, "far", "near", {"incoming": str(incoming)})
    daemon = ["nncp-daemon", "-cfg", str(far), "-quiet", "-autotoss", "-bind", f"127.0.0.1:{port}"]
    with tunnel.running(daemon, folder / "daemon.log"):
        tunnel.listening(port)
        with tunnel.tunnel(ground, folder, port) as through:
            call = {"cron": "*/1 * * * * * *", "onlinedeadline": 600, "autotoss": True}
            peer = {"addrs": {"tunnel": f"127.0.0.1:{through}"}, "calls": [call]}
            near = _config(folder, keys, "near", "far", peer)
            caller = ["nncp-caller", "-cfg", str(near), "-quiet", "-autotoss", "far"]
            with tunnel.running(caller, folder / "caller.log"):
                yield near, incoming


def _keys() -> dict[str, str]:
    made = subprocess.run(["nncp-cfgnew", "-nocomments"], capture_output=True, text=True, check=True)
    return dict(_KEY.findall(made.stdout.partition("neigh:")[0]))


def _config(folder: Path, keys: dict[str, dict[str, str]], own: str, other: str, more: Any) -> Path:
    public = ("id", "exchpub", "signpub", "noisepub")
    spool = folder / f"{own}-spool"
    spool.mkdir()
    made = folder / f"{own}.hjson"
    neighbours = {
        name: {key: keys[name][key] for key in public} | (more if name == other else {}) for name in keys
    }
    neighbours["self"] = neighbours.pop(own)
    config = {"spool": str(spool), "log": str(spool / "log"), "self": keys[own], "neigh": neighbours}
    made.write_text(json.dumps(config))
    return made


ROWS: Final = (Row("nncp", "Beside it: NNCP through an SSH tunnel", measure),)

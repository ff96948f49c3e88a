"""The demo: two homes on this machine, two real consumers, the protocol's messages both ways."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from spool import home as homes
from spool.api import Spool
from spool.config_edit import set_peer
from spool.message import Message, load
from spool.states import State
from spool.store.base import Outgoing

EXAMPLES: Final = Path(__file__).parent / "examples"
LAPTOP: Final = ("claude-local",)
CLOUD: Final = ("claude-cloud", "claude-cloud-agent-1", "claude-cloud-agent-2")
LIMIT_S: Final = 60.0


class Sent(NamedTuple):
    """An example on its way: the spool it was sent from, the one it is for, its id."""

    name: str
    here: Spool
    there: Spool
    id: str


def run() -> int:
    """Run it in a temporary folder; 0 only if every message ended `done`."""
    with tempfile.TemporaryDirectory(prefix="spool-demo-") as folder:
        laptop, cloud = _two_homes(Path(folder))
        print("Two hosts, joined by a pipe: laptop (claude-local) and cloud (claude-cloud*).")
        with _consumer(laptop), _consumer(cloud), Spool(laptop) as here, Spool(cloud) as there:
            print("Both run `huey_consumer workers.app.huey`; ", end="", flush=True)
            up = time.monotonic()
            while here.peer_row("cloud").state != "linked" and time.monotonic() - up < LIMIT_S:
                time.sleep(0.02)
            print(f"linked after {time.monotonic() - up:.2f} s.\n")
            started = time.monotonic()
            sent = [*_send(here, there, LAPTOP), *_send(there, here, CLOUD)]
            _agents_read(there, CLOUD, LIMIT_S)
            _agents_read(here, LAPTOP, LIMIT_S)
            ended = [(each, _final(each)) for each in sent]
            _print_table(ended)
            good = sum(row.state is State.DONE for _, row in ended)
            took = time.monotonic() - started
            print(f"\n{good} of {len(ended)} messages ended done, {took:.2f} s in all.")
            return 0 if ended and good == len(ended) else 1


def _two_homes(folder: Path) -> tuple[Path, Path]:
    laptop, cloud = folder / "laptop", folder / "cloud"
    homes.init(laptop, name="laptop", agents=list(LAPTOP))
    homes.init(cloud, name="cloud", agents=list(CLOUD))
    serve = [sys.executable, "-m", "spool.cli", "--home", str(cloud), "serve", "--peer", "laptop"]
    set_peer(laptop, "cloud", {"url": "exec:" + shlex.join(serve), "agents": ["claude-cloud*"]})
    set_peer(cloud, "laptop", {"agents": list(LAPTOP)})
    return laptop, cloud


@contextlib.contextmanager
def _consumer(home: Path) -> Iterator[None]:
    """`huey_consumer workers.app.huey` for one home, ended by SIGTERM."""
    command = [sys.executable, "-m", "huey.bin.huey_consumer", "workers.app.huey"]
    env = {**os.environ, "SPOOL_HOME": str(home)}
    with (home / "log" / "consumer.out").open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _send(here: Spool, there: Spool, agents: tuple[str, ...]) -> list[Sent]:
    sent = []
    for path in sorted(EXAMPLES.glob("*.json")):
        raw = path.read_bytes()
        if path.stem != "ack" and any(f'"from":"{agent}"'.encode() in raw for agent in agents):
            sent.append(Sent(path.stem, here, there, here.post([raw])[0].id))
    return sent


def _agents_read(spool: Spool, agents: tuple[str, ...], limit_s: float) -> None:
    """Each agent takes what there is for it and is done with it."""
    deadline = time.monotonic() + limit_s
    expected = {path.stem for path in EXAMPLES.glob("*.json")} - {"ack"}
    wanted = sum(_to(name) in agents for name in expected)
    while wanted > 0 and time.monotonic() < deadline:
        for agent in agents:
            for delivery in spool.receive(agent=agent, timeout=0.05):
                with delivery:
                    wanted -= 1


def _to(name: str) -> str:
    import msgspec

    return str(msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes())["to"])


def _final(sent: Sent) -> Outgoing:
    deadline = time.monotonic() + LIMIT_S
    row = sent.here.sent(sent.id)
    while row.state not in (State.DONE, State.DEAD) and time.monotonic() < deadline:
        time.sleep(0.02)
        row = sent.here.sent(sent.id)
    return row


def _print_table(ended: list[tuple[Sent, Outgoing]]) -> None:
    print(
        f"{'message':<17}{'from':<22}{'to':<22}{'state':<7}{'sent':>8}{'received':>10}{'read':>8}{'done':>8}"
    )
    for sent, row in ended:
        message: Message = load(row.raw, filled=row.filled, digest=row.digest)
        times = [_ms(row, at) for at in (row.sent_at, row.received_at, row.read_at, row.done_at)]
        print(
            f"{sent.name:<17}{message.sender:<22}{message.to:<22}{row.state:<7}"
            f"{times[0]:>8}{times[1]:>10}{times[2]:>8}{times[3]:>8}"
        )
    print("(milliseconds after send() returned its id, by the sender's clock)")


def _ms(row: Outgoing, at: float | None) -> str:
    return "-" if at is None else f"{(at - row.queued_at) * 1000:.0f}"

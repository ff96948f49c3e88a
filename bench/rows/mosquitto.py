"""Two Mosquittos, the near one bridged to the far one at QoS 1 through an SSH tunnel. Nothing is synced."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench import mail, spread, tunnel
from bench.cost import Meter
from bench.frame import Figure, Found, Row
from bench.ground import Ground
from tests.hosts import until
from tests.sshd import free_port

SENDS: Final = 500
PACE_S: Final = 0.01
BURST: Final = 20_000
WITHIN_S: Final = 60.0
TOPIC: Final = "bench"
_COMMON: Final = """
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence false
max_queued_messages 0
max_inflight_messages 0
log_type error
"""
_BRIDGE: Final = """
connection far
address 127.0.0.1:{tunnel}
topic {topic} out 1
cleansession false
restart_timeout 1
bridge_protocol_version mqttv311
"""


class Two(NamedTuple):
    """Both are up and the bridge stands: their ports and their programs' ids."""

    near: int
    far: int
    pids: dict[str, int]


def measure(ground: Ground) -> Found:
    """From the publisher's line to the subscriber's, by one clock."""
    if absent := tunnel.missing("mosquitto mosquitto-clients", "mosquitto", "mosquitto_pub", "mosquitto_sub"):
        return Found(absent=absent)
    folder = ground.place("mosquitto")
    with _two(ground, folder) as two, Meter(two.pids) as meter:
        count, many = ground.scaled(SENDS, least=100), ground.scaled(BURST)
        found = spread.of(_published(two, folder / "singles", count, PACE_S)[0])
        with Meter(two.pids) as meter:
            _, seconds = _published(two, folder / "burst", many, 0.0)
            cpu_us, peak_mb = meter.cpu_us(many), meter.peak_mb()
    return Found(
        figures=[
            Figure(
                what="Mosquitto: a message each 10 ms",
                unit="ms",
                median=found.median,
                tail=found.tail,
                count=count,
            ),
            Figure(
                what=f"Mosquitto: a burst of {many:,}",
                unit="a second",
                median=many / seconds,
                cpu_us=cpu_us,
                peak_mb=peak_mb,
            ),
        ]
    )


@contextlib.contextmanager
def _two(ground: Ground, folder: Path) -> Iterator[Two]:
    far, near = free_port(), free_port()
    with contextlib.ExitStack() as kept:
        pids = {"far": _started(kept, folder, "far", far, "")}
        through = kept.enter_context(tunnel.tunnel(ground, folder, far))
        bridge = _BRIDGE.format(tunnel=through, topic=TOPIC)
        pids["near"] = _started(kept, folder, "near", near, bridge)
        two = Two(near, far, pids)
        _bridged(two, folder)
        yield two


def _started(kept: contextlib.ExitStack, folder: Path, name: str, port: int, more: str) -> int:
    config = folder / f"{name}.conf"
    config.write_text(_COMMON.format(port=port) + more)
    command = [tunnel.program("mosquitto") or "", "-c", str(config)]
    made = kept.enter_context(tunnel.running(command, folder / f"{name}.log"))
    tunnel.listening(port)
    return made.pid


def _bridged(two: Two, folder: Path) -> None:
    """Publish until something comes out at the other end."""
    out = folder / "probe"
    with _subscriber(two, out, 1) as subscriber:

        def came() -> bool:
            publish = ["mosquitto_pub", "-p", str(two.near), "-t", TOPIC, "-q", "1", "-m", "0 probe"]
            subprocess.run(publish, check=True, timeout=WITHIN_S)
            return subscriber.poll() is not None

        until(came, within_s=WITHIN_S, what="the bridge does not stand")
    # What was published while it came up has passed before anything is counted.
    time.sleep(1.0)


@contextlib.contextmanager
def _subscriber(two: Two, out: Path, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Writes the time and the text of so many messages into a file, and ends."""
    command = ["mosquitto_sub", "-p", str(two.far), "-t", TOPIC, "-q", "1", "-C", str(count), "-F", "%U %p"]
    with tunnel.running(command, out) as made:
        yield made


def _published(two: Two, out: Path, count: int, pace_s: float) -> tuple[list[float], float]:
    """Seconds of each from its line to that of the subscriber, and of all of them together."""
    publish = ["mosquitto_pub", "-p", str(two.near), "-t", TOPIC, "-q", "1", "-l"]
    with (
        _subscriber(two, out, count) as subscriber,
        tunnel.running(publish, out.with_suffix(".log"), stdin=subprocess.PIPE) as publisher,
    ):
        # Neither says when it is ready.
        time.sleep(1.0)
        assert publisher.stdin is not None
        for _ in range(count):
            began = time.time()
            publisher.stdin.write(f"{began:.6f} {mail.BODY}\n".encode())
            if pace_s:
                publisher.stdin.flush()
                time.sleep(max(0.0, pace_s - (time.time() - began)))
        publisher.stdin.flush()
        subscriber.wait(WITHIN_S)
    said = [line.split(" ", 2) for line in out.read_text().splitlines()]
    times = [(float(sent), float(came)) for came, sent, _ in said]
    return [came - sent for sent, came in times], max(c for _, c in times) - min(s for s, _ in times)


ROWS: Final = (
    Row("mosquitto", "Beside it: two Mosquittos and a bridge through an SSH tunnel, nothing synced", measure),
)

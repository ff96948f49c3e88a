"""A thousand small messages to the folders of a files peer, and as many from there."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import mail, yardsticks
from bench.cost import Meter
from bench.delay import proxy
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import WITHIN_S, Ground
from spool import Spool
from tests import databases
from tests.hosts import Host, hosts, until

COUNT: Final = 1000
POLL_S: Final = 1.0
WAYS: Final = (("loopback", 0.0, 2.0), ("100 ms round trip", 0.05, 5.0))


def measure(ground: Ground) -> Found:
    """Over sftp, beside one tar of the same files through an exec channel of the same sshd."""
    count = ground.scaled(COUNT)
    figures: list[Figure] = []
    for what, latency_s, most_s in WAYS:
        with proxy(ground.sshd.port, latency_s) as port, _peer(ground, port) as (near, outbox):
            (near.home / "unpacked").mkdir()
            unpack = f"tar -x -C {near.home / 'unpacked'}"
            tar = Yardstick(
                what="one tar of them",
                median=yardsticks.through(ground.sshd, near, unpack, _tar(count), port=port),
            )
            limits = () if ground.quick else (Limit("median", most_s),)
            figures += _both_ways(near, outbox, count, tar, what, limits)
    return Found(figures=figures)


def _both_ways(
    near: Host, outbox: Path, count: int, tar: Yardstick, what: str, limits: tuple[Limit, ...]
) -> Iterator[Figure]:
    pid = near.start().pid
    until(lambda: near.peer_state("far") == "linked", within_s=WITHIN_S)
    with near.api() as spool:
        for verb, budget in (("published", limits), ("taken", ())):
            with Meter({"consumer": pid}) as meter:
                out = verb == "published"
                seconds = _push(spool, near.home, count) if out else _pull(near.home, outbox, count)
            yield Figure(
                what=f"{count:,} {verb}, {what}",
                unit="s",
                median=seconds,
                yardstick=tar,
                limits=budget,
                cpu_us=meter.cpu_us(count),
                peak_mb=meter.peak_mb(),
            )


@contextlib.contextmanager
def _peer(ground: Ground, port: int) -> Iterator[tuple[Host, Path]]:
    folder = ground.place("files")
    for name in ("inbox", "outbox"):
        (folder / name).mkdir()
    with hosts(folder, near=["al"]) as (near,):
        ground.sshd.authorize(near.made.public_key)
        near.peer(
            "far",
            url=f"sftp://{ground.sshd.user}@127.0.0.1:{port}",
            host_key=ground.sshd.host_key,
            agents=["bo"],
            inbox=str(folder / "inbox"),
            outbox=str(folder / "outbox"),
            poll_s=POLL_S,
        )
        yield near, folder / "outbox"


def _push(spool: Spool, home: Path, count: int) -> float:
    """From before the sends to the last one published."""
    began = time.perf_counter()
    spool.send_many(mail.batch(count))
    until(lambda: databases.waiting(home) == 0, within_s=WITHIN_S)
    return time.perf_counter() - began


def _pull(home: Path, outbox: Path, count: int) -> float:
    """From the moment the files are there to the last one in the inbox and removed; up to a second of
    waiting is in it."""
    said = json.dumps({"from": "bo", "to": "al", "subject": "bench", "body": mail.BODY})
    for n in range(count):
        (outbox / f".{n}").write_text(said)
    began = time.perf_counter()
    for n in range(count):
        (outbox / f".{n}").rename(outbox / f"m{n}.json")
    there = "SELECT count(*) FROM inbox"
    until(lambda: databases.one(home, there) == count and not any(outbox.iterdir()), within_s=WITHIN_S)
    return time.perf_counter() - began


def _tar(count: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for n in range(count):
            info = tarfile.TarInfo(f"m{n}.json")
            info.size = len(yardsticks.ROW)
            tar.addfile(info, io.BytesIO(yardsticks.ROW))
    return packed.getvalue()


ROWS: Final = (Row("files", "1,000 messages to a files peer, and from there", measure),)

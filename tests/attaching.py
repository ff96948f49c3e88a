"""A file on its way between two real hosts whose connection is cut again and again, measured."""

from __future__ import annotations

import hashlib
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from spool.folder import Folder
from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import latencies, linked, rows, serves
from tests.proxy import FaultProxy
from tests.sshd import Sshd

MB: Final = 1024 * 1024
QUIET_S: Final = 0.3


class Pair(NamedTuple):
    """`near` dials `far` through a proxy and a real sshd; nothing runs yet."""

    near: Host
    far: Host
    proxy: FaultProxy


class Figures(NamedTuple):
    """What one journey cost. Bytes are those that passed the proxy, both ways; memory in MB."""

    seconds: float
    wire: int
    cuts: int
    dialler_peak_mb: float
    server_peak_mb: float
    most_kept: int
    idle_p50_ms: float
    mail_p50_ms: float
    mail_p99_ms: float


@contextmanager
def pair(folder: Path, *, latency_s: float = 0.0) -> Iterator[Pair]:
    """Two hosts, `nia` at one, `fay` at the other."""
    with (
        Sshd(folder / "sshd") as sshd,
        FaultProxy(sshd.port, latency_s=latency_s) as proxy,
        hosts(folder, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"], port=proxy.port)
        yield Pair(near, far, proxy)


def noise(path: Path, size: int) -> str:
    """Write a file that nothing can compress; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, size, MB):
            chunk = os.urandom(min(MB, size - at))
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept(host: Host) -> int:
    """Bytes of everything in a host's folder of attachments."""
    return sum(Folder(host.home).found().values())


def peak_mb(pid: int) -> float:
    """The most memory a process ever had resident; 0 where it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


class Watch:
    """Looks at the far ends of a host's links, and at its folder, until the block ends."""

    def __init__(self, far: Host) -> None:
        self.server_mb = 0.0
        self.most_kept = 0
        self._far = far
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        self._thread.join(5)

    def _look(self) -> None:
        while not self._halt.wait(0.05):
            self.server_mb = max([self.server_mb, *map(peak_mb, serves(self._far))])
            self.most_kept = max(self.most_kept, kept(self._far))


def journey(two: Pair, file: Path, *, cuts: int, within_s: float) -> Figures:
    """Send a file, cut the connection `cuts` times on its way, mail going on beside it; what it cost."""
    near, far, proxy = two
    size = file.stat().st_size
    consumer = near.start()
    until(lambda: linked(far, "near"))
    with near.api() as spool, Watch(far) as watch:
        before = [spool.send("fay", subject=str(n), body="x" * 400) for n in _paced(50)]
        id = spool.send("fay", subject="A big one", attach=[file])
        start, began = proxy.passed["up"] + proxy.passed["down"], time.monotonic()
        mail: list[str] = []
        done = 0
        while not (state := rows(near, "SELECT received_at FROM outbox WHERE id = ?", id))[0][0]:
            assert time.monotonic() - began < within_s, f"after {within_s} s {kept(far):,} bytes of {size:,}"
            if done < cuts and kept(far) >= (done + 1) * size // (cuts + 1):
                done += 1
                proxy.reset()
            mail.append(spool.send("fay", subject="beside", body="x" * 400))
            time.sleep(0.02)
        seconds = time.monotonic() - began
        until(lambda: not rows(near, "SELECT 1 FROM outbox WHERE received_at IS NULL"))
        peak = peak_mb(consumer.pid)
    assert state
    # Those that waited for a link to be had again say nothing of what goes beside a file.
    beside = sorted(each * 1000 for each in latencies(near, mail))
    return Figures(
        seconds,
        proxy.passed["up"] + proxy.passed["down"] - start,
        done,
        peak,
        watch.server_mb,
        watch.most_kept,
        statistics.median(latencies(near, before)) * 1000,
        statistics.median(beside),
        beside[int(len(beside) * 0.99)],
    )


def _paced(count: int) -> Iterator[int]:
    for n in range(count):
        yield n
        time.sleep(0.01)

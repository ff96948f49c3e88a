"""A thousand small messages to a files peer and back: seconds, beside one tar of them through the same sshd.

Run it with `python -m bench.files`; it writes bench/files.json.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import yardsticks
from spool import Spool
from tests.hosts import Host, hosts, until
from tests.proxy import FaultProxy
from tests.sshd import Sshd

COUNT = 1000
BODY = "x" * 800
DELAY_S = 0.05  # each way


def main() -> int:
    """Run it; 0 when every message arrived."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="spool-bench-") as name,
        Sshd(Path(name) / "sshd") as sshd,
        FaultProxy(sshd.port) as proxy,
    ):
        for what, delay_s in (("loopback", 0.0), ("100 ms", DELAY_S)):
            proxy.latency_s = delay_s
            figures |= _one_way(Path(name) / what.replace(" ", ""), what, sshd, proxy.port)
    for what, value in figures.items():
        print(f"{what:<48}{value:>10,.2f}")
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _one_way(folder: Path, what: str, sshd: Sshd, port: int) -> dict[str, float]:
    folder.mkdir()
    with _peer(folder, sshd, port) as near, near.api() as spool:
        tar_s = yardsticks.through_a_channel(sshd, near, _tar(), port=port)
        out_s = _push(spool)
        in_s = _pull(spool, folder / "outbox")
    return {
        f"{what}: 1,000 messages published, s": out_s,
        f"{what}: 1,000 files taken, s": in_s,
        f"{what}: one tar of them through exec, s": tar_s,
        f"{what}: published / tar": out_s / tar_s,
    }


@contextlib.contextmanager
def _peer(folder: Path, sshd: Sshd, port: int) -> Iterator[Host]:
    for name in ("inbox", "outbox"):
        (folder / name).mkdir()
    with hosts(folder, near=["al"]) as (near,):
        sshd.authorize(near.made.public_key)
        near.peer(
            "far",
            url=f"sftp://{sshd.user}@127.0.0.1:{port}",
            host_key=sshd.host_key,
            agents=["bo"],
            inbox=str(folder / "inbox"),
            outbox=str(folder / "outbox"),
            poll_s=1.0,
        )
        near.start()
        until(lambda: near.peer_state("far") == "linked")
        yield near


def _push(spool: Spool) -> float:
    """From before the sends to the last one published."""
    started = time.perf_counter()
    spool.send_many([{"to": "bo", "subject": "bench", "body": BODY}] * COUNT)
    _until(lambda: _count(spool, "outbox", "queued") == 0)
    return time.perf_counter() - started


def _pull(spool: Spool, outbox: Path) -> float:
    """From the moment the files are there to the last one in the inbox; a second of waiting is in it."""
    for n in range(COUNT):
        said = {"from": "bo", "to": "al", "subject": "bench", "body": BODY}
        (outbox / f".{n}").write_text(json.dumps(said))
    started = time.perf_counter()
    for n in range(COUNT):
        (outbox / f".{n}").rename(outbox / f"m{n}.json")
    _until(lambda: _count(spool, "inbox", "unread") == COUNT)
    _until(lambda: not list(outbox.iterdir()))
    return time.perf_counter() - started


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for n in range(COUNT):
            info = tarfile.TarInfo(f"m{n}.json")
            info.size = 1024
            tar.addfile(info, io.BytesIO(b"x" * 1024))
    return packed.getvalue()


def _count(spool: Spool, table: str, state: str) -> int:
    with spool.store.read() as tx:
        return (tx.outbox if table == "outbox" else tx.inbox).counts().get(state, 0)


def _until(is_so: object) -> None:
    until(is_so, within_s=120)


if __name__ == "__main__":
    sys.exit(main())

"""What the disk and the wire do by themselves, at the same pace as what is measured against them."""

from __future__ import annotations

import time
from pathlib import Path

import apsw

from spool.config import Peer
from spool.transports import ssh
from tests.hosts import Host
from tests.sshd import Sshd, new_key

ROW = b"x" * 1024


def _table(folder: Path, name: str) -> apsw.Connection:
    connection = apsw.Connection(str(folder / name))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, key TEXT UNIQUE, value BLOB)")
    return connection


def commits(folder: Path, count: int, pace_s: float) -> list[float]:
    """Seconds of each of `count` synced commits of one 1 KB row, one every `pace_s`."""
    connection = _table(folder, "commits.db")
    took = []
    for n in range(count):
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO row (key, value) VALUES (?, ?)", (f"key-{n}", ROW))
        connection.execute("COMMIT")
        took.append(time.perf_counter() - started)
        time.sleep(max(0.0, pace_s - took[-1]))
    connection.close()
    return took


def rows_per_second(folder: Path, count: int, batch: int) -> float:
    """1 KB rows with one index, a synced commit for each batch."""
    connection = _table(folder, "rows.db")
    started = time.perf_counter()
    for start in range(0, count, batch):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO row (key, value) VALUES (?, ?)",
            [(f"key-{n}", ROW) for n in range(start, start + batch)],
        )
        connection.execute("COMMIT")
    took = time.perf_counter() - started
    connection.close()
    return count / took


def round_trips(sshd: Sshd, host: Host, count: int) -> list[float]:
    """Seconds of 1 KB there and back through `cat` on one exec channel."""
    sshd.authorize(new_key(host.home / "bench" / "keys" / "id_ed25519"))
    peer = Peer(name="bare", url=sshd.url, host_key=sshd.host_key, remote_command="cat")
    pipe = ssh.dial(peer, host.home / "bench", as_name=host.name)
    took = []
    try:
        for _ in range(count):
            started = time.perf_counter()
            pipe.send(ROW)
            got = 0
            while got < len(ROW):
                got += len(pipe.receive(65536))
            took.append(time.perf_counter() - started)
    finally:
        pipe.close()
    return took


def through_a_channel(sshd: Sshd, host: Host, data: bytes, *, port: int) -> float:
    """Seconds until `tar` at the far end of one exec channel has unpacked what was sent."""
    sshd.authorize(new_key(host.home / "bench" / "keys" / "id_ed25519"))
    (host.home / "unpacked").mkdir()
    url = f"ssh://{sshd.user}@127.0.0.1:{port}"
    command = f"tar -x -C {host.home / 'unpacked'} && echo done"
    peer = Peer(name="bare", url=url, host_key=sshd.host_key, remote_command=command)
    pipe = ssh.dial(peer, host.home / "bench", as_name=host.name)
    try:
        started = time.perf_counter()
        pipe.send(data)
        if pipe.receive(100) != b"done\n":
            raise RuntimeError(pipe.last_words())
        return time.perf_counter() - started
    finally:
        pipe.close()

"""What the disk and the wire do by themselves, at the same pace as what is measured against them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import apsw

from spool.config import Peer
from spool.transports import ssh
from spool.transports.base import Pipe
from tests.hosts import Host
from tests.sshd import Sshd, new_key

ROW: Final = b"x" * 1024
PIECE_BYTES: Final = 64 * 1024
_INSERT: Final = "INSERT INTO row (key, value) VALUES (?, ?)"


class Disk:
    """A database of 1 KB rows with one index, synced at each commit: `with Disk(folder) as disk`."""

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / "yardstick.db"))
        self._connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, key TEXT UNIQUE, value BLOB)")
        self._keys = (f"key-{n:012}" for n in itertools.count())

    def __enter__(self) -> Disk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def commit(self, rows: int = 1) -> float:
        """Seconds of one synced commit of so many rows."""
        values = [(next(self._keys), ROW) for _ in range(rows)]
        began = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_INSERT, values)
        self._connection.execute("COMMIT")
        return time.perf_counter() - began

    def rate(self, rows: int, *, batch: int) -> float:
        """Rows a second, a synced commit for each batch."""
        return rows / sum(self.commit(batch) for _ in range(rows // batch))


class Echo:
    """One exec channel whose far end is `cat`."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def trip(self) -> float:
        """Seconds of 1 KB there and back."""
        began = time.perf_counter()
        self._pipe.send(ROW)
        got = 0
        while got < len(ROW):
            got += len(self._pipe.receive(65536))
        return time.perf_counter() - began


@contextlib.contextmanager
def channel(sshd: Sshd, host: Host, command: str, *, port: int | None = None) -> Iterator[Pipe]:
    """A bare exec channel with a key of its own; `port` is that of a proxy in between."""
    home = host.home / "bench"
    if not (home / "keys" / "id_ed25519").exists():
        sshd.authorize(new_key(home / "keys" / "id_ed25519"))
    url = f"ssh://{sshd.user}@127.0.0.1:{port or sshd.port}"
    peer = Peer(name="bare", url=url, host_key=sshd.host_key, remote_command=command)
    pipe = ssh.dial(peer, home, as_name=host.name)
    try:
        yield pipe
    finally:
        pipe.close()


@contextlib.contextmanager
def echo(sshd: Sshd, host: Host, *, port: int | None = None) -> Iterator[Echo]:
    """A bare channel that answers with what it was sent."""
    with channel(sshd, host, "cat", port=port) as pipe:
        yield Echo(pipe)


def through(sshd: Sshd, host: Host, command: str, sent: bytes, *, port: int | None = None) -> float:
    """Seconds until a far command has taken what was sent, and ended well."""
    with channel(sshd, host, f"{command} && echo done", port=port) as pipe:
        began = time.perf_counter()
        # A piece at a time, as a link does: paramiko copies all that is left for each packet.
        for at in range(0, len(sent), PIECE_BYTES):
            pipe.send(sent[at : at + PIECE_BYTES])
        if pipe.receive(100) != b"done\n":
            raise RuntimeError(f"{command}: {pipe.last_words()}")
        return time.perf_counter() - began

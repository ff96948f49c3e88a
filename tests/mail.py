"""Mail on its way between test hosts: streams of it, who carries it, and whether it came once."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final

import apsw

from spool import presence
from spool.store.base import PeerRow
from tests.hosts import Host, until

BODY: Final = "x" * 400


def rows(host: Host, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement finds in a host's database, opened for reading only."""
    with contextlib.closing(
        apsw.Connection(str(host.home / "spool.db"), flags=apsw.SQLITE_OPEN_READONLY)
    ) as db:
        db.set_busy_timeout(5000)
        return db.execute(sql, values).fetchall()


def peer_row(host: Host, peer: str) -> PeerRow:
    """What a host knows of a peer."""
    with host.api() as spool:
        return spool.peer_row(peer)


def linked(host: Host, peer: str) -> bool:
    """Whether a host has a link to a peer."""
    return rows(host, "SELECT 1 FROM peers WHERE name = ? AND state = 'linked'", peer) != []


def generation(host: Host, peer: str) -> int:
    """How many links to a peer there were so far."""
    return int(peer_row(host, peer).generation)


def holder(host: Host, peer: str) -> int:
    """The id of the process that holds the link to a peer; 0 for none."""
    token = peer_row(host, peer).holder
    return int(token.split("-")[1]) if token else 0


def serves(host: Host) -> list[int]:
    """The ids of the living far ends on a host."""
    return [process.pid for process in presence.living(host.home / "run", "serve")]


def stored(host: Host) -> set[str]:
    """The ids of all messages that came for the agents of a host."""
    return {id for (id,) in rows(host, "SELECT id FROM inbox")}


def await_stored(host: Host, ids: Iterable[str], within_s: float = 20.0) -> None:
    """Wait until all of them are on the disk of the host they are for."""
    wanted = set(ids)
    until(lambda: wanted <= stored(host), within_s, f"some of {len(wanted)} never came to {host.name}")


def await_known(host: Host, ids: Iterable[str], within_s: float = 20.0) -> None:
    """Wait until the host that sent them knows of each that it was received."""
    wanted = set(ids)

    def unknown() -> set[str]:
        return wanted & {id for (id,) in rows(host, "SELECT id FROM outbox WHERE received_at IS NULL")}

    until(lambda: not unknown(), within_s, f"{host.name} does not know of some of {len(wanted)}")


def assert_once(host: Host, ids: Iterable[str]) -> None:
    """Each was stored once, nothing else was, and nothing is in quarantine."""
    wanted = Counter(ids)
    assert Counter(id for (id,) in rows(host, "SELECT id FROM inbox")) == wanted
    # A process that is killed after its commit does not come to write this line.
    logged = Counter(event["id"] for event in host.log("message.stored"))
    assert logged <= wanted
    assert rows(host, "SELECT reason FROM quarantine") == []


def latencies(host: Host, ids: Iterable[str]) -> list[float]:
    """Seconds from commit 1 to the commit on the far disk, for each of the messages."""
    took = dict(rows(host, "SELECT id, received_there - queued_at FROM outbox"))
    return [took[id] for id in ids]


def say(what: str, seconds: Iterable[float]) -> float:
    """Print the middle and the tail of some latencies; return the middle."""
    every = sorted(seconds)
    middle = statistics.median(every)
    print(f"{what}: p50 {middle * 1000:.1f} ms, p99 {every[int(len(every) * 0.99)] * 1000:.1f} ms")
    return middle


@contextlib.contextmanager
def stopped(host: Host, pid: int) -> Iterator[None]:
    """A process of a host that stands still for the length of the block, and goes on after it.

    Not within a transaction: the whole host could not write then, for as long as it stands
    still (docs/decisions/0001), and that is not what the tests are about.
    """
    try:
        os.kill(pid, signal.SIGSTOP)
        while not _can_write(host):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _can_write(host: Host) -> bool:
    with contextlib.closing(
        apsw.Connection(str(host.home / "spool.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    ) as db:
        db.set_busy_timeout(1000)
        with contextlib.suppress(apsw.BusyError):
            db.execute("BEGIN IMMEDIATE; ROLLBACK")
            return True
    return False


class Stream:
    """An agent of a host that sends one message after the other: `with Stream(…) as stream`.

    Attributes:
        ids: what was sent so far.
    """

    def __init__(self, host: Host, to: str, *, every_s: float = 0.03, agent: str | None = None) -> None:
        self.ids: list[str] = []
        self._host = host
        self._to = to
        self._every_s = every_s
        self._agent = agent
        self._halt = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more; as often as one likes."""
        self._halt.set()
        self._thread.join(30)
        assert self._error is None, self._error

    def _run(self) -> None:
        try:
            with self._host.api(self._agent) as spool:
                while not self._halt.wait(self._every_s):
                    self.ids.append(spool.send(self._to, subject=str(len(self.ids)), body=BODY))
        except BaseException as exc:
            self._error = exc

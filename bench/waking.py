"""From `send` on one host to the wake-up of an idle session on another, and what waiting costs.

Run it with `python -m bench.waking`; it writes bench/waking.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool import Spool
from tests.hosts import ENV, Host, dials_by_ssh, hosts, until
from tests.listening import Inbox
from tests.sshd import Sshd

COUNT: Final = 20
IDLE_S: Final = 60.0
SESSION: Final = "bench"
UNREAD: Final = 1000


def main() -> int:
    """Run it; 0 when every session was woken."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="spool-bench-") as name,
        _pair(Path(name)) as (near, far),
        near.api() as sender,
        far.api() as reader,
    ):
        figures |= _figures("socket", _by_socket(Path(name), sender, reader))
        figures |= _figures("rewake", _by_rewake(far, sender, reader))
        figures |= _idling(far, reader, "no unread mail")
        sender.send_many([{"to": "fay", "subject": f"n{n}", "body": "x" * 800} for n in range(UNREAD)])
        until(lambda: reader.unread() == UNREAD, within_s=60)
        figures |= _idling(far, reader, f"{UNREAD} unread")
    for what, value in figures.items():
        print(f"{what:<64}{value:>10,.2f}")
    Path(__file__).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0


@contextlib.contextmanager
def _pair(folder: Path) -> Iterator[tuple[Host, Host]]:
    with (
        Sshd(folder / "sshd") as sshd,
        hosts(folder, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"])
        near.start()
        until(lambda: near.peer_state("far") == "linked")
        yield near, far


def _figures(how: str, took_s: list[float]) -> dict[str, float]:
    ms = sorted(each * 1000 for each in took_s)
    return {
        f"{how}: p50 of {len(ms)}, send to wake, ms": statistics.median(ms),
        f"{how}: worst, ms": ms[-1],
    }


def _rest(reader: Spool) -> None:
    """As if the session had been idle for a minute, and all its mail read."""
    reader.read(reader.inbox(unread_only=True, limit=1000))
    with reader.store.write(sync=False) as tx:
        tx.sessions.update(SESSION, seen_at=time.time() - 60, woken_at=None, busy=False)


def _by_socket(folder: Path, sender: Spool, reader: Spool) -> list[float]:
    took = []
    with Inbox(folder / "inbox.sock") as inbox:
        reader.attend(SESSION, pid=os.getpid(), wake=inbox.kept)
        for n in range(COUNT):
            _rest(reader)
            # What came before is behind it.
            time.sleep(0.37)
            began = time.time()
            sender.send("fay", subject=f"Wake up {n}")
            took.append(inbox.next().at - began)
        reader.leave(SESSION)
    return took


def _by_rewake(far: Host, sender: Spool, reader: Spool) -> list[float]:
    took = []
    reader.attend(SESSION, pid=os.getpid())
    for n in range(COUNT):
        _rest(reader)
        waiter = _waiter(far)
        began = time.time()
        sender.send("fay", subject=f"Wake up {n}")
        assert waiter.wait(30) == 2
        took.append(time.time() - began)
    _rest(reader)
    return took


def _waiter(far: Host, *words: str) -> subprocess.Popen[bytes]:
    made = subprocess.Popen(
        [sys.executable, "-m", "spool", "hook", "wait", *words],
        env={**ENV, "SPOOL_HOME": str(far.home), "CLAUDE_CODE_ENTRYPOINT": "cli"},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert made.stdin is not None
    made.stdin.write(json.dumps({"session_id": SESSION}).encode())
    made.stdin.close()
    until(lambda: bool(list((far.home / "run").glob(f"{made.pid}-*.bell"))))
    return made


def _idling(far: Host, reader: Spool, what: str) -> dict[str, float]:
    """A waiter of a session that was told of all there is, for a minute."""
    reader.announce(SESSION, reader.news(SESSION, limit=10_000), "told")
    waiter = _waiter(far)
    time.sleep(2)
    before, switches = _cpu_s(waiter.pid), _switches(waiter.pid)
    time.sleep(IDLE_S)
    figures = {
        f"hook wait, {what}: CPU in {IDLE_S:.0f} s, ms": (_cpu_s(waiter.pid) - before) * 1000,
        f"hook wait, {what}: times it slept": _switches(waiter.pid) - switches,
        f"hook wait, {what}: resident, MB": _kib(waiter.pid, "VmRSS") / 1024,
        f"hook wait, {what}: of that its own, MB": _kib(waiter.pid, "RssAnon") / 1024,
    }
    waiter.kill()
    waiter.wait()
    return figures


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _switches(pid: int) -> float:
    return _kib(pid, "voluntary_ctxt_switches")


def _kib(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.exit(main())

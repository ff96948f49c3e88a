"""Latency and throughput over a real sshd on loopback, beside the disk and the wire themselves.

Prints a table and writes bench/results.json. Figures of one run on a shared machine: read the ratios.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import yardsticks
from bench.text import Writer
from spool import Spool, State, secret_rules
from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.sshd import Sshd

BODY = "x" * 800
PACE_S = 0.01
SENDS = 500
BATCH = 500
MANY = 20_000


def main() -> int:
    """Run it; 0 when every message arrived."""
    figures: dict[str, float] = _looking_for_secrets()
    with tempfile.TemporaryDirectory(prefix="spool-bench-") as name:
        folder = Path(name)
        figures |= _timed("synced commit of one 1 KB row", yardsticks.commits(folder, SENDS, PACE_S))
        figures["rows a second, batches of 500"] = yardsticks.rows_per_second(folder, MANY, BATCH)
        with Sshd(folder / "sshd") as sshd, hosts(folder, near=["al"], far=["bo"]) as (near, far):
            dials_by_ssh(near, far, sshd, near_agents=["al"], far_agents=["bo"])
            figures |= _timed("round trip of an exec channel", yardsticks.round_trips(sshd, near, SENDS))
            near.start()
            until(lambda: near.peer_state("far") == "linked")
            figures |= _latency(near, far)
            figures |= _throughput(near)
            figures |= _backlog(near)
    _report(figures)
    return 0


def _timed(what: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        f"{what}, p50 ms": statistics.median(ordered) * 1e3,
        f"{what}, p99 ms": ordered[int(len(ordered) * 0.99)] * 1e3,
    }


def _looking_for_secrets() -> dict[str, float]:
    """What the check for credentials costs each message that is sent."""
    letters = Writer(1)
    words = "\n".join(str(letters.letter()["body"]) for _ in range(200))
    costs = {}
    for name, size in (("1 KB", 1_000), ("10 KB", 10_000), ("100 KB", 100_000)):
        text, took = words[:size], []
        for _ in range(200):
            started = time.perf_counter()
            secret_rules.find(text)
            took.append(time.perf_counter() - started)
        costs[f"{name} looked through for secrets, p50 us"] = statistics.median(took) * 1e6
    return costs


def _paced(count: int, once: Callable[[], str]) -> Iterator[tuple[str, float]]:
    for _ in range(count):
        started = time.perf_counter()
        id = once()
        took = time.perf_counter() - started
        yield id, took
        time.sleep(max(0.0, PACE_S - took))


def _latency(near: Host, far: Host) -> dict[str, float]:
    """From before `send()` to the far commit; both hosts are this machine, so one clock."""
    with near.api() as spool:
        _send(spool)
        began: dict[str, float] = {}
        took: list[float] = []

        def once() -> str:
            at = time.time()
            id = _send(spool)
            began[id] = at
            return id

        for _, seconds in _paced(SENDS, once):
            took.append(seconds)
        last = list(began)[-1]
        spool.wait_for_state(last, State.RECEIVED, timeout=30)
        arrived = [spool.sent(id).received_there for id in began]
        ends = [there - at for there, at in zip(arrived, began.values(), strict=True) if there]
    if len(ends) != SENDS:
        sys.exit(f"bench: {SENDS - len(ends)} messages did not arrive")
    return {**_timed("send() returns", took), **_timed("send to stored on the far disk", ends)}


def _send(spool: Spool) -> str:
    return spool.send("bo", subject="bench", body=BODY)


def _throughput(near: Host) -> dict[str, float]:
    with near.api() as spool:
        started = time.perf_counter()
        ids: list[str] = []
        for _ in range(MANY // BATCH):
            ids += spool.send_many([{"to": "bo", "subject": "bench", "body": BODY}] * BATCH)
        sent = time.perf_counter() - started
        spool.wait_for_state(ids[-1], State.RECEIVED, timeout=120)
        until(lambda: not _open(spool), within_s=60)
        took = time.perf_counter() - started
    return {
        "send_many of 500, queued a second": MANY / sent,
        "send_many of 500, acknowledged a second": MANY / took,
    }


def _backlog(near: Host) -> dict[str, float]:
    near.close()
    with near.api() as spool:
        for _ in range(MANY // BATCH):
            spool.send_many([{"to": "bo", "subject": "bench", "body": BODY}] * BATCH)
        near.start()
        until(lambda: _open(spool) < MANY, within_s=30)
        first, up = _open(spool), time.perf_counter()
        until(lambda: not _open(spool), within_s=120)
        took = time.perf_counter() - up
    return {"a backlog of 20,000 drained a second": first / took}


def _open(spool: Spool) -> int:
    with spool.store.read() as tx:
        return tx.outbox.counts().get("queued", 0)


def _report(figures: dict[str, float]) -> None:
    for what, value in figures.items():
        print(f"{what:<48}{value:>12,.2f}")
    floor = (
        2 * figures["synced commit of one 1 KB row, p50 ms"]
        + figures["round trip of an exec channel, p50 ms"]
    )
    ratios = {
        "send() / one synced commit, p50": figures["send() returns, p50 ms"]
        / figures["synced commit of one 1 KB row, p50 ms"],
        "far disk / (two commits + a round trip), p50": figures["send to stored on the far disk, p50 ms"]
        / floor,
        "acknowledged / rows a second": figures["send_many of 500, acknowledged a second"]
        / figures["rows a second, batches of 500"],
        "backlog / rows a second": figures["a backlog of 20,000 drained a second"]
        / figures["rows a second, batches of 500"],
    }
    print()
    for what, value in ratios.items():
        print(f"{what:<48}{value:>12,.2f}")
    out = Path(__file__).with_name("results.json")
    out.write_text(json.dumps({"figures": figures, "ratios": ratios}, indent=1) + "\n")
    print(f"\nwritten to {out.name}")


if __name__ == "__main__":
    sys.exit(main())

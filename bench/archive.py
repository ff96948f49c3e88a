"""A large archive: what it costs daily work, how fast it is searched, and how long a move blocks others.

`python -m bench.archive` fills a home the way messages come to be there: each is put, ended and moved by
the store's own code. Prints a table and writes bench/archive.json. An empty home is measured beside the
full one, in turns. Figures of one run on a shared machine: read the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.text import Writer
from spool import Spool, State, history_views, inbox, outbox, sweep, terms, views
from spool import home as homes
from spool.message import Message, seal
from spool.store.base import Asked, Side, Tx
from spool.store.sqlite import SqliteStore
from tests import databases

YEAR_S = 365 * 86_400.0
BATCH = 400
PEER = '\n[peers.far]\nurl = "exec:false"\nagents = ["bo-*"]\n'
UNREAD = 20
MOVED = 100_000
OLD = 2000
SIDES: tuple[Side, ...] = ("outbox", "inbox")
Figures = dict[str, float]


def main() -> int:
    """Fill, measure, tell."""
    parser = argparse.ArgumentParser(prog="python -m bench.archive", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many are archived")
    parser.add_argument("--rounds", type=int, default=400, help="how often each thing is measured")
    parser.add_argument("--folder", type=Path, help="where the homes are made, and kept")
    parser.add_argument("--move", type=Path, help="only move what ended in this home: the bench calls itself")
    given = parser.parse_args()
    if given.move is not None:
        return _move(given.move)
    with tempfile.TemporaryDirectory(prefix="spool-bench-") as name:
        folder = given.folder or Path(name)
        empty, full = _home(folder / "empty"), _home(folder / "full")
        figures = _filled(full, given.messages)
        with Spool(empty, agent="al") as small, Spool(full, agent="al") as large:
            old = _old_ids(large)
            figures |= _daily(small, large, old, given.rounds)
            figures |= _searches(large, old, given.rounds)
        figures |= _by_command(full, old, max(1, given.rounds // 10))
        figures |= _moving(full)
    _report(figures)
    return 0


def _home(place: Path) -> Path:
    if not (place / "spool.toml").exists():
        homes.init(place, name="here", agents=["al"])
        with (place / "spool.toml").open("a") as file:
            file.write(PEER)
        with Spool(place, agent="al") as spool:
            for n in range(UNREAD):
                spool.send("al", subject=f"unread {n}", body="a note to self")
    return place


# -- filling ----------------------------------------------------------------------------------


def _filled(home: Path, count: int) -> Figures:
    """Messages over the last year, every other one sent, and done; moved as the archive moves them."""
    store, writer = SqliteStore(home), Writer(1)
    before = store.path.stat().st_size
    began, start, text = time.perf_counter(), time.time() - YEAR_S, 0
    for first in range(_archived(home), count, BATCH):
        with store.write(sync=False) as tx:
            for n in range(first, min(first + BATCH, count)):
                text += _ended(tx, writer, n, start + n * (YEAR_S - 172_800) / count)
        while _moved(store):
            _tidied(store)
    while _tidied(store):
        pass
    took = time.perf_counter() - began
    store.close()
    size = sum(path.stat().st_size for path in home.glob("spool.db*")) - before
    return {
        "messages in the archive": float(count),
        "seconds to put, end and move them": took,
        "bytes of a message": text / count,
        "bytes on the disk for each": size / count,
        **_sizes(home, count),
    }


def _moved(store: SqliteStore) -> int:
    with store.write(sync=False) as tx:
        return tx.sweepings.archive(before=time.time(), stale_before=0.0, limit=sweep.MOVE).rows


def _tidied(store: SqliteStore) -> bool:
    with store.write(sync=False) as tx:
        return tx.sweepings.tidy()


def _archived(home: Path) -> int:
    sides = "SELECT seq FROM outbox_archive UNION ALL SELECT seq FROM inbox_archive"
    return int(databases.one(home, f"SELECT count(*) FROM ({sides})"))


def _ended(tx: Tx, writer: Writer, n: int, at: float) -> int:
    id = _id(writer, at)
    if n % 2:
        message = _sealed(writer, id, "al", f"bo-{n % 40}")
        seq = tx.outbox.put(outbox.row_of(message, peer="far", origin=None, now=at))
        tx.outbox.advance(seq, id, State.RECEIVED, now=at + 1, there=at + 1, host="far")
        tx.outbox.advance(seq, id, State.DONE, now=at + 60, there=at + 60, host="far")
        tx.outbox.finish(id, "al", outcome="done", note=None)
    else:
        message = _sealed(writer, id, f"bo-{n % 40}", "al")
        seq = tx.inbox.put(inbox.row_of(message, agent="al", peer="far", now=at, hops=["far"]))
        tx.inbox.mark_read(seq, now=at + 30)
        tx.inbox.finish(seq, now=at + 60, outcome="done", note=None)
    return len(message.raw)


def _id(writer: Writer, at: float) -> str:
    """As spool makes one at that time: a UUID of version 7 (RFC 9562)."""
    chance = writer.random.getrandbits(74)
    low = 0b10 << 62 | chance & (1 << 62) - 1
    return f"msg-{uuid.UUID(int=int(at * 1e3) << 80 | 7 << 76 | chance >> 62 << 64 | low)}"


def _sealed(writer: Writer, id: str, sender: str, to: str) -> Message:
    return seal({**writer.letter(), "to": to}, id=id, timestamp="2025-11-13T10:30:45Z", sender=sender)


def _sizes(home: Path, count: int) -> Figures:
    """Bytes by what takes them."""
    rows = databases.rows(home, "SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
    parts = {
        "rows": lambda name: name in ("outbox_archive", "inbox_archive"),
        "their indexes": lambda name: "_archive_" in name,
        "their words": lambda name: "_words" in name,
    }
    return {
        f"bytes on the disk for each, {what}": sum(size for name, size in rows if fits(name)) / count
        for what, fits in parts.items()
    }


# -- daily work -------------------------------------------------------------------------------


def _old_ids(spool: Spool) -> list[str]:
    """Ids from the older half of the archive, some thousand of them."""
    dice, ids = Writer(2).random, []
    half = {side: databases.one(spool.home, f"SELECT max(seq) / 2 FROM {side}_archive") for side in SIDES}
    with spool.store.read() as tx:
        for n in range(OLD):
            side = SIDES[n % 2]
            (row,) = tx.history.page(side, Asked(), after=dice.randrange(half[side]), limit=1)
            ids.append(row.id)
    return ids


def _daily(small: Spool, large: Spool, old: list[str], rounds: int) -> Figures:
    """The same work in both homes, in turns."""
    took: dict[str, list[float]] = {}
    for n in range(rounds):
        sent = {}
        for name, spool in _turns(n, small, large):
            sent[name] = _timed(took, f"send, {name}", partial(_send, spool))
        for name, spool in _turns(n, small, large):
            _timed(took, f"inbox, {name}", partial(spool.inbox, limit=21))
        for name, spool in _turns(n, small, large):
            _timed(took, f"trace, {name}", partial(views.trace, spool, sent[name]))
        _timed(took, "trace of an old one, full", partial(views.trace, large, old[n % len(old)]))
    return {k: v for what, seconds in took.items() for k, v in _spread(what, seconds).items()}


def _send(spool: Spool) -> str:
    return spool.send("bo-1", subject="b", body="x" * 800)


def _turns(n: int, small: Spool, large: Spool) -> list[tuple[str, Spool]]:
    both = [("empty", small), ("full", large)]
    return both if n % 2 else both[::-1]


def _timed(took: dict[str, list[float]], what: str, once: Callable[[], object]) -> str:
    began = time.perf_counter()
    found = once()
    took.setdefault(what, []).append(time.perf_counter() - began)
    return str(found)


def _spread(what: str, seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    return {
        f"{what}, p50 ms": statistics.median(ordered) * 1e3,
        f"{what}, p95 ms": ordered[int(len(ordered) * 0.95)] * 1e3,
        f"{what}, worst ms": ordered[-1] * 1e3,
    }


# -- searching --------------------------------------------------------------------------------


def _searches(spool: Spool, old: list[str], rounds: int) -> Figures:
    """Words from the older half, the way a person has them in mind; with excerpts, as they are shown."""
    took: dict[str, list[float]] = {}
    for n, (what, words, more) in zip(range(rounds * 2), _asked(spool, old), strict=False):
        began = time.perf_counter()
        found = spool.search(words, limit=21, **more)
        for row in found[:20]:
            history_views.found(row, terms.parse(words), now=began)
        seconds = time.perf_counter() - began
        took.setdefault(f"search, {what}", []).append(seconds)
        took.setdefault("search, all kinds", []).append(seconds)
        if not found:
            sys.exit(f"bench: search {n} for {words!r} found nothing")
    return {k: v for what, seconds in took.items() for k, v in _spread(what, seconds).items()}


def _by_command(home: Path, old: list[str], rounds: int) -> Figures:
    """`spool search` as a process, for a word of an old message; beside one that does nothing."""
    python = [sys.executable, "-m", "spool", "--home", str(home)]
    took: dict[str, list[float]] = {}
    with Spool(home, agent="al") as spool:
        words = [
            words for what, words, _ in itertools.islice(_asked(spool, old), 8 * rounds) if "rare" in what
        ]
    for word in words:
        _timed(took, "spool search, as a process", partial(_run, [*python, "search", word]))
        _timed(took, "spool --version, as a process", partial(_run, [*python, "--version"]))
    return {k: v for what, seconds in took.items() for k, v in _spread(what, seconds).items()}


def _run(words: list[str]) -> bytes:
    return subprocess.check_output(words, stderr=subprocess.DEVNULL)


def _asked(spool: Spool, old: list[str]) -> Iterator[tuple[str, str, dict[str, str | float]]]:
    writer = Writer(1)
    rank = {word: n for n, word in enumerate(writer.words)}
    while True:
        for id in old:
            out, came = spool.find(id)
            row = out or came
            assert row is not None
            words = str(json.loads(row.raw)["body"]).split()
            rare, common = max(words, key=rank.__getitem__), min(words, key=rank.__getitem__)
            some, other = words[10], words[60]
            yield "a rare word", rare, {}
            yield "the commonest word", common, {}
            yield "two common words", f"{common} {writer.words[1]}", {}
            yield "two words of one message", f"{some} {other}", {}
            yield "a phrase of one message", f'"{words[20]} {words[21]}"', {}
            long = next(word for word in words if len(word) >= 5)
            yield "the beginning of a word", f"{long[:4]}*", {}
            yield "a common word, from one agent", common, {"sender": row.sender}
            at = spool.store.path.stat().st_mtime - YEAR_S * 0.75
            yield "a common word, of long ago", common, {"until": at}


# -- moving -----------------------------------------------------------------------------------


def _moving(home: Path) -> Figures:
    """Mail is sent, one each 10 ms, while another process moves what has ended to the archive."""
    store, writer = SqliteStore(home), Writer(3)
    for first in range(0, MOVED, BATCH):
        with store.write(sync=False) as tx:
            for n in range(first, first + BATCH):
                _ended(tx, writer, n, time.time() - 172_800 + n / MOVED)
    store.close()
    with Spool(home, agent="al") as spool:
        alone = _paced(spool, lambda n: n < 300)
        began = time.perf_counter()
        mover = subprocess.Popen([sys.executable, "-m", "bench.archive", "--move", str(home)], stdout=-1)
        beside = _paced(spool, lambda n: mover.poll() is None)
        took = time.perf_counter() - began
        assert mover.stdout is not None
        told = json.loads(mover.stdout.read())
    return {
        f"moving {MOVED:,}, seconds": took,
        f"moving {MOVED:,}, longest transaction ms": told["longest_s"] * 1e3,
        f"moving {MOVED:,}, transaction p50 ms": told["p50_s"] * 1e3,
        **_spread("send at a pace, alone", alone),
        **_spread("send at a pace, beside a move", beside),
    }


def _paced(spool: Spool, going: Callable[[int], bool]) -> list[float]:
    took: list[float] = []
    while going(len(took)):
        began = time.perf_counter()
        _send(spool)
        took.append(time.perf_counter() - began)
        time.sleep(max(0.0, 0.01 - took[-1]))
    return took


class _Watched(SqliteStore):
    """A store that knows how long its transactions held the lock."""

    held: list[float]

    def write(self, *, sync: bool):  # type: ignore[no-untyped-def, override]  # as the store's own
        return _Held(super().write(sync=sync), self.held)


class _Held:
    def __init__(self, inner, held: list[float]) -> None:  # type: ignore[no-untyped-def]
        self._inner, self._held = inner, held

    def __enter__(self) -> Tx:
        tx: Tx = self._inner.__enter__()
        self._began = time.perf_counter()
        return tx

    def __exit__(self, *exc: object) -> object:
        found = self._inner.__exit__(*exc)
        self._held.append(time.perf_counter() - self._began)
        return found


def _move(home: Path) -> int:
    store = _Watched(home)
    store.held = []
    with Spool(home) as spool:
        host = spool.config.host
    moved = sweep.archive(store, host, now=time.time(), older_than_s=3600.0)
    held = store.held
    print(json.dumps({"moved": moved, "longest_s": max(held), "p50_s": statistics.median(held)}))
    store.close()
    return 0


def _report(figures: Figures) -> None:
    for what, value in figures.items():
        print(f"{what:<62}{value:>14,.2f}")
    ratios = {
        f"{what}, full / empty, {which}": figures[f"{what}, full, {which} ms"]
        / figures[f"{base}, empty, {which} ms"]
        for which in ("p50", "p95")
        for what, base in (("send", "send"), ("inbox", "inbox"), ("trace", "trace"))
    }
    ratios["trace of an old one, full / trace, empty, p50"] = (
        figures["trace of an old one, full, p50 ms"] / figures["trace, empty, p50 ms"]
    )
    print()
    for what, value in ratios.items():
        print(f"{what:<62}{value:>14,.2f}")
    out = Path(__file__).with_name("archive.json")
    out.write_text(json.dumps({"figures": figures, "ratios": ratios}, indent=1) + "\n")
    print(f"\nwritten to {out.name}")


if __name__ == "__main__":
    sys.exit(main())

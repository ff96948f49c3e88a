"""The manners of a Huey queue that spool rests on, kept by its storage over spool.db."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from huey.storage import EmptyData

from spool import doorbell, home
from spool.store import sqlite
from spool.store.huey_storage import WAIT_S, SpoolStorage
from spool.store.sqlite_ledger import QUEUE, push_task
from tests.hosts import ENV
from tests.waiting import Background

SENDER = (
    "import pathlib, sys, time; from spool.api import Spool\n"
    "with Spool(pathlib.Path(sys.argv[1])) as spool:\n"
    "    sys.stdin.readline(); spool.send('far-1', body='x'); print(time.time())"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with a peer that dials it."""
    made = home.init(tmp_path / "home", name="here", agents=["me"]).home
    with (made / "spool.toml").open("a") as file:
        file.write('\n[peers.far]\nagents = ["far-*"]\n')
    return made


@pytest.fixture
def storage(place: Path) -> Iterator[SpoolStorage]:
    """Huey's storage over its database."""
    made = SpoolStorage(home=place)
    yield made
    made.close()


def test_the_same_bytes_are_one_row(storage: SpoolStorage) -> None:
    """Other bytes are another."""
    for data in (b"a", b"b", b"a", b"a"):
        storage.enqueue(data)

    assert storage.queue_size() == 2
    assert [storage.dequeue(), storage.dequeue()] == [b"a", b"b"]


def test_the_queue_is_in_order(storage: SpoolStorage) -> None:
    """By priority, then first in, first out; an item is given once."""
    for data, priority in ((b"1", None), (b"2", 5), (b"3", 0), (b"4", 5)):
        storage.enqueue(data, priority)

    assert storage.enqueued_items() == [b"2", b"4", b"1", b"3"]
    assert storage.enqueued_items(limit=1) == [b"2"]
    assert [storage.dequeue() for _ in range(4)] == [b"2", b"4", b"1", b"3"]
    storage.enqueue(b"5")
    storage.flush_queue()
    assert storage.queue_size() == 0


def test_an_empty_queue_is_waited_for(storage: SpoolStorage) -> None:
    """So long, and then there is nothing."""
    begun = time.monotonic()

    assert storage.dequeue() is None
    assert WAIT_S * 0.9 <= time.monotonic() - begun < WAIT_S + 20


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A worker that is not woken waits for long; seconds within which a woken one is back for sure."""
    monkeypatch.setattr("spool.store.huey_storage.WAIT_S", 30.0)
    return 20.0


def test_a_waiting_worker_is_woken(storage: SpoolStorage, patient: float) -> None:
    """By a wake after the commit of another connection."""
    got: list[tuple[bytes | None, float]] = []
    worker = Background(lambda: got.append((storage.dequeue(), time.monotonic())))
    other = sqlite.connect(Path(storage.filename), synchronous="NORMAL")
    other.execute("INSERT INTO task (queue, data) VALUES (?, ?)", (QUEUE, b"task"))
    other.close()
    rung = time.monotonic()
    storage.wake()

    assert worker.raised() is None
    assert got[0][0] == b"task" and got[0][1] - rung < patient


def test_a_worker_of_this_process_is_woken_by_enqueue(storage: SpoolStorage, patient: float) -> None:
    """Without any bell."""
    got: list[bytes | None] = []
    worker = Background(lambda: got.append(storage.dequeue()))
    begun = time.monotonic()
    storage.enqueue(b"task")

    assert worker.raised() is None
    assert got == [b"task"] and time.monotonic() - begun < patient


def test_a_send_of_another_process_wakes_a_worker(place: Path, storage: SpoolStorage, patient: float) -> None:
    """Over the doorbell, with a real listener: long before it would look by itself."""
    listener = doorbell.Listener(place / "run")
    listener.subscribe(storage.wake)
    command = [sys.executable, "-c", SENDER, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV) as sender:
        time.sleep(0.5)
        got: list[tuple[bytes | None, float]] = []
        worker = Background(lambda: got.append((storage.dequeue(), time.time())))
        out, _ = sender.communicate(b"\n")
    assert worker.raised() is None
    listener.close()

    assert got[0][0] == push_task("far")
    assert got[0][1] - float(out) < patient


def test_stop_lets_every_waiting_worker_go(storage: SpoolStorage, patient: float) -> None:
    """A consumer ends at once, not after the wait; and later looks do not wait either."""
    workers = [Background(storage.dequeue) for _ in range(3)]
    begun = time.monotonic()
    storage.stop()

    assert [worker.raised() for worker in workers] == [None] * 3
    assert storage.dequeue() is None
    assert time.monotonic() - begun < patient


def test_many_workers_each_get_their_own(storage: SpoolStorage) -> None:
    """Nothing is given twice, and nothing is lost."""
    for n in range(60):
        storage.enqueue(b"%d" % n)
    storage.stop()
    got: list[bytes] = []

    def work() -> None:
        got.extend(data for data in iter(storage.dequeue, None) if data is not None)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(got, key=int) == [b"%d" % n for n in range(60)]


def test_the_schedule(storage: SpoolStorage) -> None:
    """What is due comes out once, in the order of its times."""
    base = dt.datetime(2025, 11, 13, tzinfo=dt.UTC)
    for n in (2, 1, 3):
        storage.add_to_schedule(b"%d" % n, base + dt.timedelta(seconds=n))

    assert (storage.schedule_size(), storage.scheduled_items()) == (3, [b"1", b"2", b"3"])
    assert storage.read_schedule(base + dt.timedelta(seconds=2)) == [b"1", b"2"]
    assert storage.read_schedule(base + dt.timedelta(seconds=2)) == []
    storage.flush_schedule()
    assert storage.schedule_size() == 0


def test_the_values(storage: SpoolStorage) -> None:
    """Kept, replaced, looked at, taken; put only where there is none."""
    storage.put_data("a", b"1")
    storage.put_data("a", b"2")

    assert (storage.peek_data("a"), storage.has_data_for_key("a")) == (b"2", True)
    assert storage.put_if_empty("a", b"3") is False and storage.put_if_empty("b", b"4") is True
    assert dict(storage.peek_many(["a", "b", "c"])) == storage.result_items() == {"a": b"2", "b": b"4"}
    assert (storage.pop_data("a"), storage.pop_data("a"), storage.peek_data("a")) == (
        b"2",
        EmptyData,
        EmptyData,
    )
    assert storage.result_store_size() == 1


def test_the_counters(storage: SpoolStorage) -> None:
    """They count from nothing."""
    assert [storage.incr("a"), storage.incr("a", 5), storage.incr("b")] == [1, 6, 1]
    storage.delete_counter("a")
    assert storage.incr("a") == 1


def test_a_failed_statement_leaves_the_storage_usable(storage: SpoolStorage) -> None:
    """Nothing half done, no lock held."""
    with pytest.raises(apsw.SQLError), storage.db(commit=True) as cursor:
        cursor.execute("INSERT INTO task (queue, data) VALUES (?, ?)", (QUEUE, b"half"))
        cursor.execute("not sql")

    storage.enqueue(b"whole")
    assert storage.enqueued_items() == [b"whole"]

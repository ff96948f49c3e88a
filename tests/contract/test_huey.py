"""What Huey and spool promise each other: the task's bytes, no pickle, no results."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from huey.exceptions import HueyException

from spool import home
from spool.running import Running
from spool.store import sqlite
from spool.store.huey_storage import JsonSerializer
from spool.store.sqlite_ledger import PUSH, push_task
from tests.hosts import ENV, ROOT
from workers import tasks
from workers.consumer import SecondsScheduler, SpoolHuey
from workers.every import every


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with a peer that dials it."""
    made = home.init(tmp_path / "home", name="here", agents=["me"]).home
    with (made / "spool.toml").open("a") as file:
        file.write('\n[peers.far]\nagents = ["far-*"]\n')
    return made


@pytest.fixture
def huey(place: Path) -> Iterator[tuple[SpoolHuey, dict[str, Any]]]:
    """The Huey of the home and its tasks, without the consumer."""
    running = Running(place, "consumer")
    made = SpoolHuey(running)
    yield made, tasks.register(made, running)
    made.storage.close()
    running.stop()


Made = tuple[SpoolHuey, dict[str, Any]]


@pytest.mark.parametrize("peer", ["far", 'say "hi"', "é"])
def test_the_push_task_is_what_huey_itself_would_write(huey: Made, peer: str) -> None:
    """To the byte; the sender writes it without importing huey."""
    app, made = huey
    task = made["push"].s(peer)
    task.id = f"push:{peer}"

    assert app.serialize_task(task) == push_task(peer)


def test_huey_reads_the_push_task_as_the_registered_one(huey: Made) -> None:
    """With its argument."""
    app, made = huey
    task = app.deserialize_task(push_task("far"))

    assert type(task) is made["push"].task_class
    assert (task.args, task.kwargs, task.id) == (("far",), {}, "push:far")
    assert PUSH in app._registry._registry


def test_what_a_sender_rang_is_what_a_worker_gets(huey: Made, place: Path) -> None:
    """Through the one database; running it pokes the links and leaves no result."""
    app, _ = huey
    with app.running.store.write(sync=True) as tx:
        assert tx.ledger.ring("far")
    poked: list[int] = []
    app.running.carrier.poke = lambda: poked.append(1)

    task = app.dequeue()
    assert task.args == ("far",)
    app.execute(task)

    assert poked == [1]
    assert app.storage.result_store_size() == 0 and app.dequeue() is None


def test_a_task_queued_by_huey_is_the_senders_row(huey: Made) -> None:
    """The same bytes are one row, whoever writes them."""
    app, made = huey
    task = made["push"].s("far")
    task.id = "push:far"
    with app.running.store.write(sync=True) as tx:
        tx.ledger.ring("far")
    app.enqueue(task)

    assert app.storage.queue_size() == 1
    with app.running.store.read() as tx:
        assert tx.ledger.has_task("far")


def test_every_task_is_json_in_the_queue(huey: Made, place: Path) -> None:
    """What can write the database must not be able to run code by it."""
    app, made = huey
    for wrapper in made.values():
        app.enqueue(wrapper.s("far") if wrapper is made["push"] else wrapper.s())

    connection = apsw.Connection(str(place / sqlite.FILE))
    names = [json.loads(data)[1] for (data,) in connection.execute("SELECT data FROM task")]
    connection.close()
    every = ("alive", "archive", "escalate", "pull", "push", "sweep")
    assert sorted(names) == [f"workers.tasks.{name}" for name in every]


class Trap:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_a_pickle_in_the_queue_is_not_opened(huey: Made, tmp_path: Path) -> None:
    """It is an error, and gone."""
    app, _ = huey
    app.storage.enqueue(pickle.dumps(Trap(tmp_path / "trapped")))

    with pytest.raises(Exception, match=r"malformed|JSON|UTF-8"):
        app.dequeue()
    assert not (tmp_path / "trapped").exists()
    assert app.storage.queue_size() == 0


def test_an_unknown_task_is_an_error_and_gone(huey: Made) -> None:
    """Of a newer spool, say; it only pointed at work."""
    app, _ = huey
    app.storage.enqueue(push_task("far").replace(b"tasks.push", b"tasks.hurl"))

    with pytest.raises(HueyException, match="not found"):
        app.dequeue()
    assert app.storage.queue_size() == 0


def test_results_are_off_and_nothing_is_pickled(huey: Made) -> None:
    """Both are settings that Huey has the other way round."""
    app, _ = huey

    assert app.results is False
    assert type(app.serializer) is JsonSerializer
    assert b"pickle" not in JsonSerializer().serialize({"a": [1, None, "é"]})
    assert JsonSerializer().deserialize(JsonSerializer().serialize({"a": [1]})) == {"a": [1]}


def test_a_periodic_task_that_waits_is_not_queued_twice(huey: Made) -> None:
    """A consumer that was busy does not come back to a backlog of sweeps."""
    app, _ = huey
    scheduler = SecondsScheduler(app, stop_flag=threading.Event(), interval=1, periodic=True)
    for task in app._registry._periodic_tasks:
        task.validate_datetime = lambda self, _: True
    for _ in range(3):
        scheduler.enqueue_periodic_tasks(dt.datetime.now(dt.UTC))

    assert app.storage.queue_size() == 5


def test_a_host_without_rules_looks_for_nothing_to_escalate(huey: Made, place: Path) -> None:
    """Its consumer idles; with rules it begins within seconds, and looks every two."""
    app, _ = huey

    def due() -> bool:
        return "escalate" in {task.name for task in app.read_periodic(dt.datetime.now(dt.UTC))}

    assert not due()
    with (place / "spool.toml").open("a") as file:
        file.write('\n[peers.road]\nurl = "github://owner/repo"\n\n[escalation]\npeer = "road"\n')
    app.running.settings.refresh()
    assert due() and not due()


def test_what_is_due_by_the_second() -> None:
    """At once, then each time so many have passed; what was missed is due once."""
    now = [100.0]
    due = every(2.0, monotonic=lambda: now[0])

    found = []
    for at in (100.0, 100.5, 101.9, 102.0, 102.1, 190.0, 190.1, 192.0):
        now[0] = at
        found.append(due(None))
    assert found == [True, False, False, True, False, True, False, True]


def test_without_a_home_the_worker_ends_with_one_line() -> None:
    """What stands in a service's log must say what to do."""
    ran = subprocess.run(
        [sys.executable, "-c", "import workers.app"],
        env={**ENV, "SPOOL_HOME": "/nonexistent/home"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [ran.stderr.strip()]
    assert "spool: no spool home at /nonexistent/home; run `spool init`" in ran.stderr

"""Huey's consumer made right for a spool host: it needs no flags and ends tidily on any signal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

from huey import Huey
from huey.consumer import Consumer, Scheduler

from spool import log
from spool.running import Running, guarded
from spool.starting import OUT
from spool.store.huey_storage import JsonSerializer, SpoolStorage
from spool.store.sqlite_ledger import QUEUE

WORKERS: Final = 4
SHUTDOWN_S: Final = 20.0
# Huey looks ten times a second whether a signal has come; here a signal wakes the loop.
LOOP_S: Final = 1.0
ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class SecondsScheduler(Scheduler):  # type: ignore[misc]  # huey is untyped
    """Looks for due tasks once a second; a task that still waits is not queued twice."""

    periodic_task_seconds = 1

    def enqueue_periodic_tasks(self, now: Any) -> None:
        for task in self.huey.read_periodic(now):
            # A fixed id makes the same bytes, and the same bytes are one row.
            task.id = f"periodic:{task.name}"
            self.huey.enqueue(task)


class SpoolConsumer(Consumer):  # type: ignore[misc]  # huey is untyped
    """Threads only; SIGTERM and SIGINT both end it tidily; SIGHUP reads the config again."""

    scheduler_class = SecondsScheduler

    def __init__(self, huey: SpoolHuey, **options: Any) -> None:
        kind = options.get("worker_type", "thread")
        if kind != "thread":
            raise SystemExit(
                f"spool: -k {kind} is not possible: the links live in threads of this process; leave -k out"
            )
        options["workers"] = max(WORKERS, options.get("workers") or 1)
        options["shutdown_timeout"] = options.get("shutdown_timeout") or SHUTDOWN_S
        options["scheduler_interval"] = 1
        self._reload = False
        # A bare lock: what holds a lock of its own could not be woken by a signal's handler.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        super().__init__(huey, **options)
        self._stop_flag_timeout = 0

    def start(self) -> None:
        # Huey does so when its workers run already, and a signal before that would kill them.
        self._set_signal_handlers()
        super().start()
        self.huey.running.begin(self.huey.storage.wake)

    def loop(self, health_check_ts: float | None = None) -> Any:
        if self._reload:
            self._reload = False
            guarded(self.huey.running.reload)
        self.huey.running.check()
        self._asleep.acquire(timeout=LOOP_S)
        return super().loop(health_check_ts)

    def stop(self, graceful: bool = False) -> None:
        began = time.monotonic()
        self.stop_flag.set()
        self._wake()
        self.huey.storage.stop()
        super().stop(graceful=True)
        self.huey.running.end(began)
        self.huey.storage.close()
        for number in ENDING:
            # The interpreter takes our handlers down while it ends, but leaves these.
            signal.signal(number, signal.SIG_IGN)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):
            # Awake already.
            self._asleep.release()

    def _set_signal_handlers(self) -> None:
        super()._set_signal_handlers()
        for number in ENDING:
            self._signal_actions[number] = (False, True)

    def _handle_signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGHUP:
            # Huey would run itself anew, with every link going down for it.
            self._reload = True
            self._wake()
            return
        # However often: what stop does is bounded, and broken off it would leave links half ended.
        self._signum, self._restart, self._graceful = number, False, True
        self._wake()


class SpoolHuey(Huey):  # type: ignore[misc]  # huey is untyped
    """The Huey of one home: its queue in spool.db, tasks as JSON, no results."""

    def __init__(self, running: Running) -> None:
        self.running = running
        super().__init__(
            QUEUE,
            results=False,
            serializer=JsonSerializer(),
            storage_class=SpoolStorage,
            home=running.home,
        )

    def create_consumer(self, **options: Any) -> SpoolConsumer:
        """See `Huey.create_consumer`; the log goes where spool's goes."""
        level = "debug" if logging.getLogger("huey").level == logging.DEBUG else "info"
        consumer = SpoolConsumer(self, **options)
        # Started in the background, its stderr is a file that nobody rotates: the log has all of it.
        self.running.configure_log(level, stderr=not _stderr_is(self.running.home / OUT))
        log.info("consumer.started", home=str(self.running.home), workers=consumer.workers)
        return consumer


def _stderr_is(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(2), path.stat())
    return False

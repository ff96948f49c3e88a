"""Huey's storage over the same spool.db, through apsw; blocking, woken by the doorbell."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import SqliteStorage

from spool.store import sqlite
from spool.store.sqlite_ledger import QUEUE
from spool.store.turn import Turn
from spool.store.write_ahead import WriteAhead

# The links look once a second by themselves, whoever was rung for.
WAIT_S: Final = 4.0
YIELD_S: Final = 0.01


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey is untyped
    """Tasks as JSON: what can write the database must not be able to run code by it."""

    def _serialize(self, data: Any) -> bytes:
        return msgspec.json.encode(data)

    def _deserialize(self, data: bytes) -> Any:
        found = msgspec.json.decode(data)
        if isinstance(found, list):
            fields = dict(zip(Message._fields, found, strict=False))
            fields["args"] = tuple(fields.get("args") or ())
            return Message(**fields)
        return found


class _Cursor:
    """An apsw cursor with the few DB-API manners that Huey's SQL uses."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def execute(self, sql: str, values: Any = ()) -> _Cursor:
        self._cursor.execute(sql, values)
        return self

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    @property
    def rowcount(self) -> int:
        return self._connection.changes()


class SpoolStorage(SqliteStorage):  # type: ignore[misc]  # huey is untyped
    """Huey's queue in spool.db. Its writes are not synced: a task only points at work.

    The tables come with the store's migrations. The same task twice is one row, so a backlog of
    ticks or pushes is bounded by the number of different tasks.
    """

    blocking = True

    def __init__(self, name: str = QUEUE, *, home: Path) -> None:
        self._wake = threading.Condition()
        self._rings = 0
        self._closed = False
        self._log = WriteAhead(home / sqlite.FILE)
        self._turn = Turn(home / "run")
        super().__init__(name, filename=str(home / sqlite.FILE), create_tables=False)
        self.integrity_error = apsw.ConstraintError
        self.operational_error = apsw.BusyError

    def wake(self) -> None:
        """Somebody rang: waiting workers look again."""
        with self._wake:
            self._rings += 1
            # One worker takes whatever there is, task by task.
            self._wake.notify()

    def stop(self) -> None:
        """Let waiting workers go at once: the consumer ends."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        self.sql(
            "insert or ignore into task (queue, data, priority) values (?, ?, ?)",
            (self.name, data, priority or 0),
            commit=True,
        )
        self.wake()

    def dequeue(self) -> bytes | None:
        with self._wake:
            rings = self._rings
        found = super().dequeue()
        if found is not None:
            return bytes(found)
        with self._wake:
            # A ring between the look and here must not be slept over.
            if self._rings == rings and not self._closed:
                self._wake.wait(WAIT_S)
            rung = self._rings != rings and not self._closed
        if rung:
            # The link that was rung for takes its task away itself, and neither waits for the other then.
            time.sleep(YIELD_S)
        found = super().dequeue()
        return None if found is None else bytes(found)

    def close(self) -> bool:
        """See Huey's."""
        closed: bool = super().close()
        self._turn.close()
        return closed

    def _create_connection(self) -> apsw.Connection:
        made = sqlite.connect(Path(self.filename), synchronous="NORMAL")
        self._log.watch(made)
        return made

    @contextlib.contextmanager
    def db(self, commit: bool = False, close: bool = False) -> Iterator[_Cursor]:
        with self.lock:
            connection: apsw.Connection = self.conn
            try:
                if commit:
                    self._log.make_sure(connection)
                with self._turn.taken() if commit else contextlib.nullcontext():
                    if commit:
                        connection.execute("BEGIN IMMEDIATE")
                    yield _Cursor(connection)
                    if commit:
                        self._log.commit(connection)
                if commit:
                    self._log.keep_short(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                if close:
                    connection.close()
                    self._conn = None

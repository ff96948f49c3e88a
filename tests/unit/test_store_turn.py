"""The queue before the write lock: one at a time, in bounded time, and never more than a help."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.store import turn
from spool.store.sqlite import SqliteStore
from spool.store.turn import Turn
from tests.desk import make_home
from tests.waiting import soon

LONG_S = 60.0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder `run/`."""
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def stuck(run: Path) -> Iterator[int]:
    """The lock file, open; held by somebody who does not go on until the test lets go."""
    held = os.open(run / turn.FILE, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    yield held
    os.close(held)


def is_free(run: Path) -> bool:
    """Whether anybody could have the turn now."""
    other = os.open(run / turn.FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(other)
    return True


def test_one_has_the_turn_until_it_is_done(run: Path) -> None:
    """Also where what it did failed."""
    mine = Turn(run)

    with pytest.raises(ZeroDivisionError), mine.taken():
        assert not is_free(run)
        raise ZeroDivisionError
    assert is_free(run)
    mine.close()


def test_who_waits_goes_on_when_the_turn_is_free(run: Path, stuck: int) -> None:
    """Asleep until then, and it has the turn itself."""
    mine, went_on, done = Turn(run, patience_s=LONG_S), threading.Event(), threading.Event()

    def write() -> None:
        with mine.taken():
            went_on.set()
            done.wait(LONG_S)

    writer = threading.Thread(target=write)
    writer.start()
    assert not went_on.wait(0.05)
    fcntl.flock(stuck, fcntl.LOCK_UN)
    assert went_on.wait(LONG_S) and not is_free(run)
    done.set()
    writer.join(LONG_S)
    assert is_free(run)
    mine.close()


def test_somebody_stopped_with_the_turn_stops_nobody_else(run: Path, stuck: int) -> None:
    """SQLite's own lock decides; it is asked without a turn after a while, and after that at once."""
    mine = Turn(run, patience_s=0.05)
    wrote = []
    for _ in range(20):
        with mine.taken():
            wrote.append(time.monotonic())

    assert len(wrote) == 20
    # Once it was waited for; the thread that still stands in the queue is not asked again.
    assert wrote[-1] - wrote[0] < 19 * 0.05
    mine.close()


def test_a_turn_that_comes_too_late_is_given_back(run: Path, stuck: int) -> None:
    """Nobody would ever let go of it."""
    mine = Turn(run, patience_s=0.01)
    with mine.taken():
        pass
    fcntl.flock(stuck, fcntl.LOCK_UN)

    soon(lambda: is_free(run))
    with mine.taken():
        assert not is_free(run)
    mine.close()


def test_threads_and_processes_lose_nothing_by_it(tmp_path: Path) -> None:
    """Four stores of one home, each with a connection of its own, write in turns."""
    home = make_home(tmp_path, "me")
    stores = [SqliteStore(home) for _ in range(4)]

    def count(store: SqliteStore) -> None:
        for _ in range(25):
            with store.write(sync=False) as tx:
                tx.ledger.set_fact("n", str(int(tx.ledger.fact("n") or "0") + 1))

    writers = [threading.Thread(target=count, args=(store,)) for store in stores]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(LONG_S)
    with stores[0].read() as tx:
        assert tx.ledger.fact("n") == "100"
    for store in stores:
        store.close()


def test_a_home_without_room_for_the_file_is_written_to_all_the_same(tmp_path: Path) -> None:
    """It is a help; a message must not fail for it."""
    home = make_home(tmp_path, "me")
    (home / "run" / turn.FILE).unlink(missing_ok=True)
    (home / "run" / turn.FILE).mkdir()
    store = SqliteStore(home)
    with store.write(sync=True) as tx:
        tx.ledger.set_fact("it", "stands")
    with store.read() as tx:
        assert tx.ledger.fact("it") == "stands"
    store.close()


def test_where_no_thread_can_be_had_one_writes_without_a_turn(
    run: Path, stuck: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that sends while it ends can begin none, and its message counts all the same."""

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refused)
    mine = Turn(run, patience_s=LONG_S)
    began = time.monotonic()
    with mine.taken():
        pass

    assert time.monotonic() - began < LONG_S / 2
    mine.close()


def test_an_interrupt_while_waiting_leaves_no_turn_behind(
    run: Path, stuck: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes where it likes: here, at the moment the turn was had."""
    mine = Turn(run, patience_s=LONG_S)
    real = threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        fcntl.flock(stuck, fcntl.LOCK_UN)
        real(event, LONG_S)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), mine.taken():
        pass
    monkeypatch.undo()

    soon(lambda: is_free(run))
    mine.close()

"""What every store promises of its transactions: whole or not at all, and nothing lost between writers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spool.errors import StoreError
from spool.store.base import Exists, Store
from tests.hosts import ROOT
from tests.rows import new_ack, new_incoming, new_outgoing, put

Open = Callable[[], Store]


class Bug(Exception):
    """Something went wrong within a block."""


def counts(store: Store) -> tuple[int, int, int]:
    with store.read() as tx:
        return (
            sum(tx.outbox.counts().values()),
            sum(tx.inbox.counts().values()),
            sum(tx.acks.waiting().values()),
        )


def fill(store: Store, *, sync: bool) -> None:
    """One of each, in one transaction, that then fails."""
    with store.write(sync=sync) as tx:
        tx.outbox.put(new_outgoing())
        tx.inbox.put(new_incoming())
        tx.acks.put("p", new_ack())
        tx.peers.raise_generation("p")
        tx.ledger.ring("p")
        tx.ledger.set_fact("a", "b")
        raise Bug


@pytest.mark.parametrize("sync", [True, False])
def test_an_exception_leaves_nothing(store: Store, sync: bool) -> None:
    """Not in any table; the next transaction is a new one."""
    with pytest.raises(Bug):
        fill(store, sync=sync)

    assert counts(store) == (0, 0, 0)
    with store.read() as tx:
        assert tx.peers.all() == {} and tx.ledger.fact("a") is None and not tx.ledger.has_task("p")
    assert put(store, "m1")


def test_all_or_none_of_a_batch(store: Store) -> None:
    """The last of ten is taken already: none of the ten is there."""
    put(store, "m9")
    with pytest.raises(Exists), store.write(sync=True) as tx:
        for n in range(10):
            tx.outbox.put(new_outgoing(f"m{n}"))

    assert counts(store)[0] == 1


@pytest.mark.parametrize("sync", [True, False])
def test_what_was_committed_is_there_for_everybody(store: Store, open_store: Open, sync: bool) -> None:
    """When the block has ended."""
    other = open_store()
    with store.write(sync=sync) as tx:
        tx.outbox.put(new_outgoing())

    assert counts(store) == counts(other) == (1, 0, 0)


def test_nobody_sees_what_is_not_committed(store: Store, open_store: Open) -> None:
    """Neither this process nor another."""
    other = open_store()
    with store.write(sync=True) as tx:
        tx.outbox.put(new_outgoing())
        assert counts(store) == counts(other) == (0, 0, 0)
    assert counts(store) == counts(other) == (1, 0, 0)


def test_a_look_is_of_one_moment(store: Store, open_store: Open) -> None:
    """What is committed meanwhile is not in it."""
    other = open_store()
    with store.read() as tx:
        before = tx.outbox.counts()
        put(other, "m1")
        assert tx.outbox.counts() == before == {}
    assert counts(store) == (1, 0, 0)


def test_a_look_that_fails_holds_nothing(store: Store) -> None:
    """The next one is fresh."""
    with pytest.raises(Bug), store.read() as tx:
        tx.outbox.counts()
        raise Bug
    put(store, "m1")

    assert counts(store) == (1, 0, 0)


def test_one_within_another_is_an_error_and_no_wait(store: Store) -> None:
    """Else a defect of one line stops a link for ever, without a word; the outer one goes on."""
    with store.write(sync=True) as tx:
        tx.outbox.put(new_outgoing("m1"))
        for sync in (True, False):
            with pytest.raises(RuntimeError), store.write(sync=sync):
                pass
    with store.read() as tx:
        with pytest.raises(RuntimeError), store.read():
            pass
        assert tx.outbox.exact("m1", "me") is not None


def test_writers_queue(store: Store, open_store: Open) -> None:
    """The second waits for the first, and sees what it wrote."""
    other = open_store()
    inside, seen = threading.Event(), []

    def second() -> None:
        inside.wait()
        with other.write(sync=False) as tx:
            seen.append(tx.outbox.counts())

    waiting = threading.Thread(target=second)
    waiting.start()
    with store.write(sync=True) as tx:
        inside.set()
        time.sleep(0.1)
        assert seen == []
        tx.outbox.put(new_outgoing())
    waiting.join(10)

    assert seen == [{"queued": 1}]


def test_any_thread_may_use_it(store: Store) -> None:
    """All at once, reading and writing; each has its own whole transaction."""
    threads = [
        threading.Thread(target=lambda n=n: [put(store, f"m{n}-{k}") and counts(store) for k in range(20)])
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts(store) == (120, 0, 0)


WRITER = """
import pathlib, sys
from tests.contract.conftest import STORES
from tests.rows import new_incoming, new_outgoing
store = STORES[sys.argv[1]](pathlib.Path(sys.argv[2]))
for n in range(60):
    id = f"m{sys.argv[3]}-{n}"
    with store.write(sync=n % 3 == 0) as tx:
        tx.outbox.put(new_outgoing(id))
        tx.inbox.put(new_incoming(id))
        tx.ledger.set_fact("count", str(int(tx.ledger.fact("count") or 0) + 1))
store.close()
"""


def test_four_processes_lose_nothing(kind: str, home: Path, open_store: Open) -> None:
    """Every row of every one is there, and each counted on from what the last had written."""
    open_store()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, kind, str(home), str(n)], cwd=ROOT) for n in range(4)
    ]
    assert [writer.wait(40) for writer in writers] == [0] * 4

    store = open_store()
    assert counts(store) == (240, 240, 0)
    with store.read() as tx:
        assert tx.ledger.fact("count") == "240"
        seqs = [each.seq for each in tx.outbox.find("m", limit=1000)]
    assert len(set(seqs)) == 240


VICTIM = """
import os, pathlib, signal, sys
from tests.contract.conftest import STORES
from tests.rows import new_outgoing, put
store = STORES[sys.argv[1]](pathlib.Path(sys.argv[2]))
put(store, "kept")
with store.write(sync=True) as tx:
    tx.outbox.put(new_outgoing("lost"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_what_it_committed(kind: str, home: Path, open_store: Open) -> None:
    """Synced or not; and nothing of what it had not, nor a lock in the way of others."""
    subprocess.run([sys.executable, "-c", VICTIM, kind, str(home)], cwd=ROOT, check=False, timeout=20)

    store = open_store()
    with store.read() as tx:
        assert [each.id for each in tx.outbox.find("", limit=9)] == ["kept"]
    put(store, "more")


def test_there_is_space_where_it_lies(store: Store) -> None:
    """In bytes."""
    assert store.free_bytes() > 1_000_000


def test_the_version_is_that_of_the_code(store: Store) -> None:
    """Nothing is raised."""
    store.check_version()


def test_a_closed_store_says_so(store: Store) -> None:
    """As often as one likes; then every use is an error of the store."""
    store.close()
    store.close()

    with pytest.raises(StoreError, match="closed"), store.write(sync=False):
        pass
    with pytest.raises(StoreError, match="closed"), store.read():
        pass

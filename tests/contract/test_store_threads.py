"""What every store promises of threads and of files: an agent is shown its own, however old."""

from __future__ import annotations

import pytest

from spool.message import Attachment
from spool.states import State
from spool.store.base import Store
from tests.rows import put, put_in

FILE = Attachment("log", 4, "a" * 64)


def thread(store: Store, id: str, agent: str, *, limit: int = 10) -> list[str]:
    """The ids of a thread as an agent is shown it, the newest first."""
    with store.read() as tx:
        return [row.id for row in tx.history.thread(id, agent=agent, limit=limit)]


@pytest.mark.parametrize("archived", [False, True])
def test_a_thread_is_what_an_agent_sent_and_got_in_it(store: Store, archived: bool) -> None:
    """With the message that began it, which names no thread; mail of other agents is not among it."""
    (first,) = put(store, "t", queued_at=1.0)
    put_in(store, "second", thread="t", received_at=2.0)
    put(store, "third", thread="t", queued_at=3.0)
    put(store, "apart", thread="u", queued_at=4.0)
    put(store, "others", sender="somebody", thread="t", queued_at=5.0)
    if archived:
        with store.write(sync=False) as tx:
            tx.outbox.advance(first, "t", State.DONE, now=1.0, there=None, host=None)
            assert tx.sweepings.archive(before=9.0, stale_before=0.0, limit=9).rows == 1

    assert thread(store, "t", "me") == ["third", "second", "t"]
    assert thread(store, "t", "me", limit=2) == ["third", "second"]
    assert thread(store, "t", "somebody") == ["others"]
    assert thread(store, "none", "me") == []


def test_a_file_is_shown_to_whom_a_message_brought_it(store: Store) -> None:
    """Not to the other agents of the host, which know its hash perhaps."""
    (seq,) = put_in(store, "m1")
    with store.write(sync=False) as tx:
        tx.attachments.enclose(seq, [FILE])
    with store.read() as tx:
        assert [tx.attachments.shown_to(FILE.sha256, agent) for agent in ("me", "you", "x")] == [
            True,
            False,
            False,
        ]


def test_a_file_is_shown_to_its_sender(store: Store) -> None:
    """Sent to another host, or to an agent of this one; what is only relayed is nobody's here."""
    (seq,) = put(store, "m1")
    (relayed,) = put(store, "m2", sender="far", origin="p")
    (here,) = put_in(store, "m3", sender="me", agent="you", peer=None)
    local, passed = Attachment("b", 4, "b" * 64), Attachment("c", 4, "c" * 64)
    with store.write(sync=False) as tx:
        tx.attachments.attach(seq, "p", [FILE])
        tx.attachments.attach(relayed, "p", [passed])
        tx.attachments.enclose(here, [local])
    with store.read() as tx:
        assert tx.attachments.shown_to(FILE.sha256, "me")
        assert tx.attachments.shown_to(local.sha256, "me")
        assert not tx.attachments.shown_to(passed.sha256, "far")

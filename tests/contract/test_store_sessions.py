"""What every store promises of sessions: who reads here, and what each was told of, which is not reading."""

from __future__ import annotations

from typing import Any

import pytest

from spool.store.base import How, Session, Store
from tests.rows import put_in

ONLY_TOLD: tuple[How, ...] = ("told",)
ANY: tuple[How, ...] = ("told", "continued", "woken")


def session(id: str = "s1", **more: Any) -> Session:
    return Session(**{"id": id, "agent": "me", "since": 1.0, "seen_at": 1.0, **more})


def begin(store: Store, *found: Session) -> None:
    with store.write(sync=False) as tx:
        for each in found:
            tx.sessions.put(each)


def told(store: Store, id: str, *seqs: int, how: How = "told") -> None:
    with store.write(sync=False) as tx:
        tx.sessions.announce(id, seqs, how, now=5.0)


def news(store: Store, found: Session, *, ways: tuple[How, ...] = ANY, **more: Any) -> list[str]:
    with store.read() as tx:
        return [row.id for row in tx.sessions.news(found, ways=ways, **{"limit": 100, **more})]


def test_a_session_comes_back_as_it_was_put(store: Store) -> None:
    """All that other processes know of it stands in its row."""
    whole = session(
        client="claude-code",
        pid=7,
        born="123",
        cwd="/home/me",
        busy=True,
        prompted_at=2.0,
        told_at=3.0,
        wake='{"socket": "/s"}',
        woken_at=4.0,
        wake_text="mail",
        ended_at=5.0,
    )
    begin(store, session(), whole)

    with store.read() as tx:
        assert tx.sessions.get("s1") == whole
        assert tx.sessions.get("s2") is None


def test_columns_are_set_one_by_one(store: Store) -> None:
    """A hook writes what it knows; what others wrote stays. A column that is none is a defect."""
    begin(store, session(cwd="/a"))
    with store.write(sync=False) as tx:
        assert tx.sessions.update("s1", busy=True, told_at=9.0)
        assert not tx.sessions.update("s2", busy=True)
        with pytest.raises(ValueError, match="no nonsense"):
            tx.sessions.update("s1", nonsense=1)

        assert tx.sessions.get("s1") == session(cwd="/a", busy=True, told_at=9.0)


def test_what_ended_is_open_no_more(store: Store) -> None:
    """The oldest session of an agent comes first, the newest of a process."""
    begin(
        store,
        session("new", since=3.0, pid=7),
        session("old", since=2.0, pid=7),
        session("over", pid=7, ended_at=4.0),
        session("else", agent="you"),
    )

    with store.read() as tx:
        assert [each.id for each in tx.sessions.open("me")] == ["old", "new"]
        assert [each.id for each in tx.sessions.open()] == ["else", "old", "new"]
        assert [each.id for each in tx.sessions.of_pid(7)] == ["new", "old"]
        assert tx.sessions.of_pid(8) == []


def test_each_session_is_told_once(store: Store) -> None:
    """What one session was told of is still news to the other of the same agent."""
    one, other = session("s1"), session("s2")
    begin(store, one, other)
    first, _, urgent = put_in(store, "m1", "m2", "m3")
    put_in(store, "theirs", agent="you")
    told(store, "s1", first)
    told(store, "s1", first, urgent)

    assert news(store, one) == ["m2"]
    assert news(store, other) == ["m1", "m2", "m3"]
    with store.read() as tx:
        assert tx.sessions.count_news(one, ways=ANY) == 1
        assert tx.sessions.count_news(other, ways=ANY) == 3


def test_the_most_urgent_news_comes_first(store: Store) -> None:
    """Where not all of it fits, the rest can wait; who asks for urgent mail gets no other."""
    begin(store, session())
    put_in(store, "calm")
    put_in(store, "now", priority=0)
    put_in(store, "soon", priority=1)

    assert news(store, session()) == ["now", "soon", "calm"]
    assert news(store, session(), limit=1) == ["now"]
    assert news(store, session(), priority=1) == ["now", "soon"]
    with store.read() as tx:
        assert tx.sessions.count_news(session(), ways=ANY, priority=1) == 2


def test_the_ways_of_telling_are_kept_apart(store: Store) -> None:
    """One that was told in a context may still be a reason to go on."""
    begin(store, session())
    (seq,) = put_in(store, "m1")
    told(store, "s1", seq, how="woken")

    assert news(store, session(), ways=ONLY_TOLD) == ["m1"]
    assert news(store, session(), ways=("told", "woken")) == []


def test_to_be_told_is_not_to_have_read(store: Store) -> None:
    """Only who was shown a message has read it: its sender is told so."""
    begin(store, session())
    (seq,) = put_in(store, "m1")
    told(store, "s1", seq)

    with store.read() as tx:
        found = tx.inbox.exact("m1", "you")
    assert found is not None
    assert (found.state, found.read_at) == ("unread", None)


def test_what_was_read_is_no_news(store: Store) -> None:
    """It may have been read by another session."""
    begin(store, session())
    (seq,) = put_in(store, "m1")
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(seq, now=2.0)

    assert news(store, session()) == []


def test_a_new_context_is_told_all_again(store: Store) -> None:
    """Of another session nothing is forgotten."""
    begin(store, session("s1"), session("s2"))
    (seq,) = put_in(store, "m1")
    told(store, "s1", seq)
    told(store, "s2", seq)
    with store.write(sync=False) as tx:
        tx.sessions.forget_told("s1")

    assert news(store, session("s1")) == ["m1"]
    assert news(store, session("s2")) == []


def test_the_longest_unseen_are_found_first(store: Store) -> None:
    """Ended or not: who forgets them looks whether their process runs."""
    begin(
        store, session("a", seen_at=5.0), session("b", seen_at=2.0, ended_at=2.0), session("c", seen_at=9.0)
    )

    with store.read() as tx:
        assert [each.id for each in tx.sessions.unseen(before=5.0, limit=9)] == ["b", "a"]
        assert [each.id for each in tx.sessions.unseen(before=5.0, limit=1)] == ["b"]


def test_what_was_announced_goes_with_its_session_and_with_its_message(store: Store) -> None:
    """Else a session of a week would know of all the mail of that week."""
    begin(store, session("gone"), session("here"))
    archived, kept = put_in(store, "m1", "m2")
    told(store, "gone", kept)
    told(store, "here", archived, kept)
    with store.write(sync=False) as tx:
        tx.inbox.finish(archived, now=2.0, outcome="done", note=None)
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=100)
        tx.sessions.forget(["gone"])

    with store.read() as tx:
        assert tx.sessions.get("gone") is None
    begin(store, session("gone"))
    assert news(store, session("gone")) == ["m2"]
    assert news(store, session("here")) == []

"""What every store promises of history: words find messages, the newest first, archived or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spool.states import State
from spool.store.base import Asked, Moved, Side, Store
from spool.terms import parse
from tests.rows import put, put_in, row

NOW = 1_000_000.0


def raw(subject: str = "", body: str = "", **more: Any) -> bytes:
    return json.dumps({"subject": subject, "body": body, **more}, ensure_ascii=False).encode()


def send(store: Store, id: str, *, at: float, done: bool = True, **more: Any) -> None:
    """A message that was sent, and is done unless said otherwise."""
    (seq,) = put(store, id, queued_at=at, **more)
    if done:
        with store.write(sync=False) as tx:
            tx.outbox.advance(seq, id, State.DONE, now=at + 1, there=None, host=None)


def come(store: Store, id: str, *, at: float, done: bool = True, **more: Any) -> None:
    """A message that came, and is done unless said otherwise."""
    (seq,) = put_in(store, id, received_at=at, **more)
    if done:
        with store.write(sync=False) as tx:
            tx.inbox.finish(seq, now=at + 1, outcome="done", note=None)


def archive(store: Store, *, before: float = NOW, limit: int = 100) -> Moved:
    with store.write(sync=False) as tx:
        return tx.sweepings.archive(before=before, stale_before=0.0, limit=limit)


def found(store: Store, words: str, *, limit: int = 100, **more: Any) -> list[str]:
    """The ids of what has the words."""
    with store.read() as tx:
        return [each.id for each in tx.history.search(Asked(parse(words), **more), limit=limit)]


@pytest.fixture(params=["live", "archived"])
def place(request: pytest.FixtureRequest, store: Store) -> str:
    """Where the messages of a test are when it looks for them: `settle` brings them there."""
    where: str = request.param
    return where


def settle(store: Store, place: str) -> None:
    if place == "archived":
        assert archive(store).rows > 0


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("lamp", ["b", "a"]),
        ("red lamp", ["a"]),
        ('"red lamp"', ["a"]),
        ('"lamp red"', []),
        ("flick*", ["b"]),
        ("flick", []),
        ('"lamp flick"*', ["b"]),
        ("LAMP", ["b", "a"]),
        ("resume", ["c"]),
        ("Résumé", ["c"]),
        ("lamp nothing", []),
        ("secret-word", ["c"]),
        ("words", ["a"]),
        ("broken-lamp.txt", ["b"]),
        ("timestamp", []),
    ],
)
def test_words_find_messages(store: Store, place: str, words: str, ids: list[str]) -> None:
    """All of them must occur: in the subject, the body, what stands in the context or in fields of
    the sender's own. What is found does not change when a message moves to the archive."""
    send(store, "a", at=1.0, raw=raw("the red lamp", more_of_it=["deep", {"x": "words"}]))
    send(store, "b", at=2.0, raw=raw("a lamp", "lamp\nflickers", solution="see broken-lamp.txt"))
    send(store, "c", at=3.0, raw=raw("", "my résumé", context={"k": {"deep": "secret word"}}))
    settle(store, place)

    assert found(store, words) == ids


def test_names_and_types_are_words_too(store: Store, place: str) -> None:
    """A person remembers who it was from, or that it was a task."""
    send(store, "a", at=1.0, sender="claude-local", recipient="build-bot@far", type="task-request")
    come(store, "b", at=2.0, sender="build-bot", recipient="me")
    settle(store, place)

    assert found(store, "claude") == ["a"] and found(store, "task") == ["a"]
    assert found(store, "build-bot") == ["b", "a"]


def test_the_newest_come_first_whatever_side_or_place(store: Store) -> None:
    """By when they were queued or came, not by when they ended; no more than asked for."""
    come(store, "c1", at=1.0, raw=raw("word"))
    send(store, "s2", at=2.0, raw=raw("word"))
    archive(store)
    send(store, "s4", at=4.0, raw=raw("word"))
    come(store, "c3", at=3.0, raw=raw("word"), done=False)
    archive(store, before=2.5)

    assert found(store, "word") == ["s4", "c3", "s2", "c1"]
    assert found(store, "word", limit=3) == ["s4", "c3", "s2"]
    with store.read() as tx:
        rows = tx.history.search(Asked(parse("word")), limit=9)
    assert [each.archived for each in rows] == [False, False, True, True]


def test_many_more_than_fit_give_the_newest(store: Store, place: str) -> None:
    """However many have the word, and however deep the fitting ones lie."""
    for n in range(250):
        send(store, f"m{n}", at=1.0 + n, raw=raw("common", "rare" if n in (3, 7) else ""))
    while place == "archived" and archive(store).rows:
        pass

    assert found(store, "common", limit=2) == ["m249", "m248"]
    assert found(store, "rare") == ["m7", "m3"]


def test_a_search_can_name_agents_and_times(store: Store, place: str) -> None:
    """Exactly the agent, with its host or without; from a time on, before another."""
    for n, (sender, recipient) in enumerate(
        [("al", "bo@far"), ("al-2", "bo"), ("al", "cy"), ("al", "bo")], start=1
    ):
        send(store, f"m{n}", at=float(n), sender=sender, recipient=recipient, raw=raw("word"))
    settle(store, place)

    assert found(store, "word", sender="al") == ["m4", "m3", "m1"]
    assert found(store, "word", recipient="bo") == ["m4", "m2", "m1"]
    assert found(store, "word", recipient="bo@far") == ["m1"]
    assert found(store, "word", since=2.0) == ["m4", "m3", "m2"]
    assert found(store, "word", until=2.0) == ["m1"]
    assert found(store, "word", since=2.0, until=4.0, sender="al") == ["m3"]
    assert found(store, "word", since=9.0) == found(store, "word", until=1.0) == []


def test_a_message_between_agents_of_one_host_has_two_sides(store: Store, place: str) -> None:
    """The store gives both rows; who shows them makes them one."""
    send(store, "m1", at=1.0, raw=raw("word"))
    come(store, "m1", at=1.0, sender="me", raw=raw("word"))
    settle(store, place)

    with store.read() as tx:
        rows = tx.history.search(Asked(parse("word")), limit=9)
    assert sorted(type(each).__name__ for each in rows) == ["Incoming", "Outgoing"]


@pytest.mark.parametrize("bytes_", [b"", b"\x00\xff", b"not json", b'{"body":', b"[1]", b"7"])
def test_what_is_no_message_has_no_words_and_stops_nothing(store: Store, place: str, bytes_: bytes) -> None:
    """One row like this must not keep all others out of the archive, or searches from working."""
    send(store, "odd", at=1.0, raw=bytes_)
    send(store, "m1", at=2.0, raw=raw("word"))
    settle(store, place)

    assert found(store, "word") == ["m1"] and found(store, "body") == []


def test_the_newest_of_the_archive(store: Store) -> None:
    """Both sides in one order; live rows are not in it; filtered by name and time."""
    for n in range(1, 4):
        come(store, f"c{n}", at=10.0 * n, sender=f"s{n % 2}")
        send(store, f"s{n}", at=10.0 * n + 5, sender=f"s{n % 2}")
    archive(store, before=33.0)

    def archived(limit: int = 9, **more: Any) -> list[str]:
        with store.read() as tx:
            rows = tx.history.archived(Asked(**more), limit=limit)
        assert all(each.archived for each in rows)
        return [each.id for each in rows]

    assert archived() == ["c3", "s2", "c2", "s1", "c1"]
    assert archived(limit=2) == ["c3", "s2"]
    assert archived(sender="s1") == ["c3", "s1", "c1"]
    assert archived(since=20.0, until=30.0) == ["s2", "c2"]


@pytest.mark.parametrize("side", ["outbox", "inbox"])
def test_the_archive_is_read_page_by_page(store: Store, side: Side) -> None:
    """The oldest first, from where the last page ended; only what lies in the time asked for."""
    for n in range(1, 8):
        send(store, f"m{n}", at=float(n))
        come(store, f"m{n}", at=float(n))
    archive(store)

    def pages(**more: Any) -> list[list[str]]:
        every: list[list[str]] = []
        after = 0
        while True:
            with store.read() as tx:
                rows = tx.history.page(side, Asked(**more), after=after, limit=3)
            if not rows:
                return every
            after = rows[-1].seq
            every.append([each.id for each in rows])

    assert pages() == [["m1", "m2", "m3"], ["m4", "m5", "m6"], ["m7"]]
    assert pages(since=3.0, until=6.0) == [["m3", "m4", "m5"]]
    assert pages(since=8.0) == []


def unanswered(store: Store, **more: Any) -> None:
    """A message that asks for an answer, on both sides, done by who got it."""
    send(store, "m1", at=1.0, **more)
    come(store, "m1", at=1.0, **more)


WANTING: list[dict[str, Any]] = [
    {"raw": raw("word", requires_response=True)},
    {"deadline_at": 50.0, "raw": raw("word")},
]


@pytest.mark.parametrize("how", WANTING, ids=["requires_response", "deadline"])
def test_what_asked_for_an_answer_stays_until_it_comes(store: Store, how: dict[str, Any]) -> None:
    """Done is not answered. When the answer is here, the next run takes it along."""
    unanswered(store, **how)

    assert archive(store) == Moved(0, 2)
    # Looked at once: the runs after it do not pay for it again.
    assert archive(store) == Moved(0, 0)
    assert found(store, "word") == ["m1", "m1"]
    with store.write(sync=False) as tx:
        tx.outbox.answered("m1", "me", by="you", peer="p")
        tx.inbox.answered("m1", "me")
    assert archive(store) == Moved(2, 0)
    assert row(store).archived and row(store).answered


@pytest.mark.parametrize("how", WANTING, ids=["requires_response", "deadline"])
def test_the_dead_and_the_rejected_wait_for_no_answer(store: Store, how: dict[str, Any]) -> None:
    """None can come."""
    unanswered(store, **how)
    (seq,) = put(store, "m2", **how)
    (other,) = put_in(store, "m3", **how)
    with store.write(sync=False) as tx:
        tx.outbox.bury(seq, now=2.0, reason="why")
        tx.outbox.finish("m1", "me", outcome="rejected", note=None)
        tx.inbox.finish(other, now=2.0, outcome="rejected", note=None)

    assert archive(store) == Moved(3, 1)
    assert row(store, "m1").archived and row(store, "m2").archived


def test_a_relay_does_not_wait_for_answers_that_pass_it_by(store: Store) -> None:
    """The answer may go another way, or be known only to who asked."""
    send(store, "m1", at=1.0, origin="p", raw=raw("word", requires_response=True))

    assert archive(store) == Moved(1, 0)


@pytest.mark.parametrize("state", [State.RECEIVED, State.READ])
def test_what_is_never_done_and_asked_for_an_answer_stays(store: Store, state: State) -> None:
    """However long ago: its reader still owes it."""
    for id, text in (("m1", raw("x", requires_response=True)), ("m2", raw("x"))):
        (seq,) = put(store, id, raw=text)
        with store.write(sync=False) as tx:
            tx.outbox.advance(seq, id, state, now=20.0, there=None, host=None)
    with store.write(sync=False) as tx:
        moved = tx.sweepings.archive(before=NOW, stale_before=NOW, limit=10)

    assert moved == Moved(1, 0)
    assert not row(store, "m1").archived and row(store, "m2").archived


def test_what_is_never_done_and_was_answered_goes(store: Store) -> None:
    """Nobody waits for it any more."""
    (seq,) = put(store, "m1", raw=raw("x", requires_response=True))
    with store.write(sync=False) as tx:
        tx.outbox.advance(seq, "m1", State.READ, now=20.0, there=None, host=None)
        tx.outbox.answered("m1", "me", by="you", peer="p")
        moved = tx.sweepings.archive(before=NOW, stale_before=NOW, limit=10)

    assert moved == Moved(1, 0)


def test_unread_and_open_mail_is_never_archived(store: Store) -> None:
    """However old."""
    put_in(store, "unread")
    (seq,) = put_in(store, "read")
    put(store, "queued")
    with store.write(sync=False) as tx:
        tx.inbox.mark_read(seq, now=2.0)

    assert archive(store) == Moved(0, 0)


def test_kept_rows_do_not_stand_in_the_way(store: Store) -> None:
    """More of them than fit into one batch, and others behind them."""
    for n in range(5):
        send(store, f"k{n}", at=1.0 + n, deadline_at=9.0)
    send(store, "m1", at=9.0)

    assert [archive(store, limit=2) for _ in range(4)] == [Moved(0, 2), Moved(0, 2), Moved(1, 1), Moved(0, 0)]
    assert row(store, "m1").archived


def test_tidying_ends_and_changes_nothing_that_is_found(store: Store) -> None:
    """A little at a time, until there is nothing left to do."""
    for n in range(30):
        send(store, f"s{n}", at=1.0 + n, raw=raw("common", f"own{n}"))
        come(store, f"c{n}", at=1.0 + n, raw=raw("common", f"own{n}"))
        archive(store)
    before = found(store, "common")
    steps = 0
    more = True
    while more:
        with store.write(sync=False) as tx:
            more = tx.sweepings.tidy()
        steps += 1

    assert 2 <= steps < 100 and found(store, "common") == before and len(before) == 60
    assert sorted(found(store, "own7")) == ["c7", "s7"]


def test_without_words_all_is_found_the_newest_first(store: Store, place: str) -> None:
    """Whoever asks for a time alone wants what was said then."""
    for n in range(4):
        come(store, f"m{n}", at=float(n))
    settle(store, place)

    with store.read() as tx:
        rows = tx.history.search(Asked(since=1.0, until=3.0), limit=9)
    assert [each.id for each in rows] == ["m2", "m1"]

"""History from Python: what was said stays findable, and answerable, when it is archived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import history_views, terms, views
from spool.api import Spool
from spool.errors import BadInput
from spool.states import State
from tests.desk import Turned, arrive, clocked, make_home, told


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """For the agent `me`, on a host where `you` reads too."""
    with clocked(make_home(tmp_path, "me", "you"), now, agent="me") as made:
        yield made


def ids(rows: list[Any]) -> list[str]:
    return [row.id for row in rows]


def test_a_message_between_agents_of_this_host_is_found_once(spool: Spool) -> None:
    """As it was sent, live and archived."""
    id = spool.send("you", subject="red lamp")
    assert ids(spool.search("lamp")) == [id]
    spool.done([id], agent="you")
    assert spool.archive(older_than_s=0.0) == 2

    (row,) = spool.search("lamp")
    assert row.id == id and row.archived and history_views.where(row) == "outbox"


def test_the_limit_counts_messages_and_not_sides(spool: Spool, now: Turned) -> None:
    """The newest first."""
    sent = []
    for n in range(5):
        now.at += 1.0
        sent.append(spool.send("you" if n % 2 else "cloud-1", subject="lamp"))

    assert ids(spool.search("lamp", limit=3)) == sent[:1:-1]


def test_a_search_is_by_agents_and_times(spool: Spool, now: Turned) -> None:
    """Together with words."""
    arrive(spool, id="a", subject="lamp", now=now.at)
    now.at += 10.0
    b = spool.send("cloud-1", subject="lamp")

    assert ids(spool.search("lamp", sender="me")) == [b] == ids(spool.search("lamp", recipient="cloud-1"))
    assert ids(spool.search("lamp", since=now.at)) == [b] and ids(spool.search("lamp", until=now.at)) == ["a"]
    with pytest.raises(BadInput):
        spool.search("...")


def test_what_is_shown_of_a_message_found(spool: Spool) -> None:
    """Its headers, where it stands, and the words in their place."""
    arrive(spool, id="a", subject="S", body="one lamp", context={"k": "deep"}, now=1_000_000.0)
    (row,) = spool.search("lamp")
    view = history_views.found(row, terms.parse("lamp"), now=1_000_000.0)

    assert (view["where"], view["archived"], view["excerpt"]) == ("inbox", False, "one lamp")
    assert (view["id"], view["subject"], view["from"], view["state"]) == ("a", "S", "cloud-1", "unread")
    assert "body" not in view and "message" not in view
    assert history_views.found(row, terms.parse("deep"), now=0.0)["excerpt"] == '{"k":"deep"}'


def exchange(spool: Spool, now: Turned) -> tuple[str, str]:
    """A message that far hosts acknowledged, and one that this host's agent did."""
    sent = spool.send("cloud-1", subject="S", body="sent words")
    told(spool, sent, "received")
    told(spool, sent, "read")
    told(spool, sent, "done", outcome="done", note="all well")
    arrive(spool, id="came", body="came words", now=now.at)
    spool.read([spool.received("came")])
    now.at += 5.0
    spool.done(["came"], outcome="rejected", note="not mine")
    return sent, "came"


def test_what_was_said_and_who_acknowledged_it_stays_answerable(spool: Spool, now: Turned) -> None:
    """`trace` and `show` tell of an archived message what they told before: all of it."""
    both = exchange(spool, now)

    def known() -> list[Any]:
        rows = [row for id in both for row in spool.find(id) if row is not None]
        shown = [views.letter(row, now=now.at, full=True) for row in rows]
        return [*(views.trace(spool, id) for id in both), *shown]

    before = known()
    assert spool.archive(older_than_s=0.0) == 2
    assert known() == before
    assert [event["state"] for event in before[0]["events"]] == ["queued", "sent", "received", "read", "done"]
    assert before[0]["events"][-1]["detail"].startswith("done (all well)")
    assert b"sent words" in bytes(before[2]["message"])


def test_an_export_has_each_message_whole_with_its_acks(spool: Spool, now: Turned) -> None:
    """Who said so and when, by both clocks; the history is that of `trace`."""
    sent, came = exchange(spool, now)
    traces = {id: views.trace(spool, id)["events"] for id in (sent, came)}
    spool.archive(older_than_s=0.0)

    out, inn = (history_views.record(each, here="here", now=now.at) for each in spool.records())
    assert (out["id"], out["where"], inn["id"], inn["where"]) == (sent, "outbox", came, "inbox")
    assert out["events"] == traces[sent] and inn["events"] == traces[came]
    assert b"sent words" in bytes(out["message"]) and b"came words" in bytes(inn["message"])
    at, known = "1970-01-01T00:00:05.000Z", "1970-01-12T13:46:40.000Z"
    assert out["acks"] == [
        {"status": "received", "by": None, "host": "cloud", "at": at, "known_at": known, "note": None},
        {"status": "read", "by": "cloud-1", "host": "cloud", "at": at, "known_at": known, "note": None},
        {"status": "done", "by": "cloud-1", "host": "cloud", "at": at, "known_at": known, "note": "all well"},
    ]
    assert [(ack["status"], ack["by"], ack["host"], ack["note"]) for ack in inn["acks"]] == [
        ("read", "me", "here", None),
        ("rejected", "me", "here", "not mine"),
    ]


def test_an_export_has_local_mail_once_and_goes_on_where_it_ended(spool: Spool, now: Turned) -> None:
    """The oldest first; `since` is the time of the last line that was written."""
    times = []
    for n in range(450):
        now.at += 1.0
        id = f"m{n:03}"
        if n % 3:
            spool.send("you", subject="x", id=id)
            spool.done([id], agent="you")
        else:
            arrive(spool, id=id, now=now.at)
            spool.done([id])
        times.append(now.at)
    spool.archive(older_than_s=0.0)

    every = [record.row.id for record in spool.records()]
    assert every == [f"m{n:03}" for n in range(450)]
    assert [record.row.id for record in spool.records(since=times[440])] == every[440:]
    assert [record.row.id for record in spool.records(since=times[3], until=times[5])] == every[3:5]


def test_an_export_holds_no_look_while_its_reader_is_slow(spool: Spool) -> None:
    """Else the log of the database would grow for as long as it takes."""
    for n in range(3):
        arrive(spool, id=f"m{n}")
    spool.done(["m0", "m1", "m2"])
    spool.archive(older_than_s=0.0)
    records = spool.records()
    next(records)

    with spool.store.read() as tx:
        assert tx.inbox.counts() == {}
    assert len(list(records)) == 2


def test_unanswered_mail_is_not_archived_until_its_answer_is_here(spool: Spool, now: Turned) -> None:
    """From question to answer, over a peer and within the host."""
    far = spool.send("cloud-1", subject="q", requires_response=True)
    near = spool.send("you", subject="q", deadline="2025-11-13T10:30:45Z")
    told(spool, far, "done", outcome="done")
    spool.done([near], agent="you")
    now.at += 10_000_000.0
    assert spool.archive(older_than_s=0.0) == 0
    assert not spool.sent(far).archived and spool.state(far) is State.DONE

    arrive(spool, id="answer", re=far, now=now.at)
    spool.reply(near, "here it is", agent="you")
    assert spool.archive(older_than_s=0.0) == 3
    assert spool.sent(far).archived and spool.received(near, agent="you").archived


def test_unread_mail_is_not_archived(spool: Spool, now: Turned) -> None:
    """However long it lies there."""
    arrive(spool, id="a")
    arrive(spool, id="b")
    spool.read([spool.received("b")])
    now.at += 1e9

    assert spool.archive(older_than_s=0.0) == 0


def test_moving_tells_how_far_it_is(spool: Spool) -> None:
    """After each of its short transactions."""
    for n in range(120):
        arrive(spool, id=f"m{n}")
    spool.done([f"m{n}" for n in range(120)])
    said: list[int] = []

    assert spool.archive(older_than_s=0.0, tell=said.append) == 120
    assert said == [50, 100, 120]

"""Sending from Python: what is taken, what is refused, what a second try does."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import doorbell
from spool.api import Spool
from spool.errors import (
    BadConfig,
    BadInput,
    BadMessage,
    IdTaken,
    NoAgent,
    NoRoute,
    NotInitialised,
    SecretFound,
    StoreFull,
    TooLarge,
)
from spool.message import parse_time
from spool.states import State
from spool.store.base import Outgoing
from tests.desk import make_home, tasks, told


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A host with one agent and two peers."""
    with Spool(make_home(tmp_path, "me")) as made:
        yield made


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Spool]:
    """A host with three agents."""
    with Spool(make_home(tmp_path, "a", "b", "c-*")) as made:
        yield made


def rows(spool: Spool) -> list[Outgoing]:
    with spool.store.read() as tx:
        return tx.outbox.pending(limit=1000, states=tuple(State))


def test_what_was_sent_is_queued_with_its_task(spool: Spool) -> None:
    """On the disk, in one commit; the task says which peer is to be carried."""
    id = spool.send(
        "cloud-1", subject="Hello", body="text", priority="P1", context={"n": 1}, extra={"x": [1]}
    )

    row = spool.sent(id)
    assert id.startswith("msg-") and (row.state, row.peer, row.priority) == (State.QUEUED, "cloud", 1)
    assert tasks(spool) == {"cloud"}
    assert b'"x":[1]' in row.raw and b'"n":1' in row.raw and row.sender == "me"


def test_ids_go_up(spool: Spool) -> None:
    """Version 7 of the UUID: in the order of their making."""
    ids = [spool.send("cloud-1", body="x") for _ in range(50)]

    assert ids == sorted(ids) and len(set(ids)) == 50


def test_a_local_message_is_there_at_once(spool: Spool) -> None:
    """Received, unread; nothing to carry."""
    id = spool.send("me", body="a note to self")

    assert spool.state(id) is State.RECEIVED
    assert [row.id for row in spool.inbox()] == [id]
    assert tasks(spool) == set()


def test_sending_rings_only_when_there_is_a_new_task(spool: Spool) -> None:
    """A backlog is rung for once."""
    with doorbell.Bell(spool.home / "run") as bell:
        spool.send("cloud-1", body="x")
        assert bell.wait(1)
        spool.send("cloud-1", body="x")
        assert not bell.wait(0)
        spool.send("desk-1", body="x")
        assert bell.wait(1)


def test_a_second_try_with_the_same_id_sends_nothing(spool: Spool) -> None:
    """Who does not know whether send returned tries again; the id says it is the same."""
    given: dict[str, Any] = {"subject": "s", "body": "b", "id": "mine-1", "context": {"a": 1, "b": 2}}
    first = spool.send("cloud-1", **given)
    given["context"] = {"b": 2, "a": 1}

    assert spool.send("cloud-1", **given) == first == "mine-1"
    assert len(rows(spool)) == 1


@pytest.mark.parametrize("then", ["received", "dead", "local"])
def test_a_second_try_is_known_however_far_it_got(spool: Spool, then: str) -> None:
    """And tells how far."""
    to = "me" if then == "local" else "cloud-1"
    spool.send(to, body="b", id="mine-1")
    if then != "local":
        told(spool, "mine-1", then, note="why")

    (posted,) = spool.post([{"to": to, "body": "b", "id": "mine-1"}])
    assert posted.id == "mine-1" and posted.state is spool.state("mine-1") is not State.QUEUED
    assert len(rows(spool)) == 1 and len(spool.inbox()) == (then == "local")


def test_a_second_try_after_the_archive_is_known(spool: Spool) -> None:
    """The record outlives the live row."""
    spool.send("me", body="b", id="mine-1")
    spool.done(["mine-1"])
    assert spool.archive(older_than_s=-1.0) == 2

    assert spool.send("me", body="b", id="mine-1") == "mine-1"
    assert rows(spool) == [] and spool.inbox() == []


@pytest.mark.parametrize("change", [{"body": "other"}, {"to": "desk-1"}, {"priority": "P0"}, {"x": 1}])
def test_an_id_with_other_content_is_taken(spool: Spool, change: dict[str, Any]) -> None:
    """The error says when and to whom; the first one stays."""
    spool.send("cloud-1", body="b", id="mine-1")

    with pytest.raises(IdTaken, match="mine-1 was sent before with other content") as caught:
        spool.send_many([{"to": "cloud-1", "body": "b", "id": "mine-1", **change}])
    assert caught.value.id == "mine-1" and "cloud-1" in str(caught.value)
    assert len(rows(spool)) == 1


def test_an_id_is_one_of_its_sender(several: Spool) -> None:
    """Two agents may have the same."""
    several.send("cloud-1", body="of a", id="same", agent="a")
    several.send("cloud-1", body="of b", id="same", agent="b")

    assert sorted(row.sender for row in rows(several)) == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"to": "nobody", "body": "x"}, NoRoute),
        ({"to": "cloud-1"}, BadMessage),
        ({"to": "cloud-1", "body": "x", "id": "m0", "priority": "P0"}, IdTaken),
        ({"to": "cloud-1", "body": "x" * 200_000}, TooLarge),
        ({"to": "cloud-1", "body": "AK" + "IA" + "A" * 16}, SecretFound),
        ({"to": "cloud-1", "body": "x", "from": "cloud-1"}, NoAgent),
        ({"to": "cloud-1", "body": "x", "from": 5}, BadMessage),
        (b'{"to":"cloud-1","body":"x","body":"y"}', BadMessage),
    ],
)
def test_a_batch_is_taken_whole_or_not_at_all(spool: Spool, bad: Any, error: type[Exception]) -> None:
    """Wherever the bad one stands: no row, no task, no ring."""
    good = [{"to": "desk-1", "body": "x", "id": f"m{n}"} for n in range(3)]
    with doorbell.Bell(spool.home / "run") as bell:
        for batch in ([bad, *good] if error is not IdTaken else [*good, bad], [*good, bad]):
            with pytest.raises(error):
                spool.send_many(batch)
        assert not bell.wait(0)

    assert rows(spool) == [] and tasks(spool) == set()


def test_a_batch_is_one_commit_for_several_peers(spool: Spool) -> None:
    """Mappings and texts, for here and there; their ids in order."""
    ids = spool.send_many(
        [{"to": "cloud-1", "body": "1"}, b'{"to":"desk-1","body":"2","n":1.0}', {"to": "me", "body": "3"}]
    )

    assert [spool.sent(id).peer for id in ids] == ["cloud", "desk", ""]
    assert tasks(spool) == {"cloud", "desk"} and spool.send_many([]) == []
    assert b'"n":1.0' in spool.sent(ids[1]).raw


def test_who_sends(several: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text or mapping says, else the argument, else $SPOOL_AGENT; with several there is no guess."""
    cases: list[tuple[Any, str | None, str]] = [
        ({"to": "cloud-1", "body": "x"}, "b", "b"),
        ({"to": "cloud-1", "body": "x", "from": "a"}, "b", "a"),
        (b'{"to":"cloud-1","body":"x"}', "b", "b"),
        (b'{"to":"cloud-1","body":"x","from":"a"}', "b", "a"),
        (b'{"to":"cloud-1","body":"x","from":"c-7"}', None, "c-7"),
    ]
    for given, agent, sender in cases:
        assert several.sent(several.send_many([given], agent=agent)[0]).sender == sender
    with pytest.raises(NoAgent, match=r"several agents here \(a, b, c-\*\) and none chosen"):
        several.send("cloud-1", body="x")
    with pytest.raises(BadMessage, match="from: is missing"):
        several.send_many([b'{"to":"cloud-1","body":"x"}'])
    for given in ({"to": "cloud-1", "body": "x"}, b'{"to":"cloud-1","body":"x"}'):
        with pytest.raises(NoAgent, match="'nobody' is not an agent of this host"):
            several.send_many([given], agent="nobody")
    monkeypatch.setenv("SPOOL_AGENT", "c-1")
    assert several.sent(several.send("cloud-1", body="x")).sender == "c-1"


def test_an_agent_of_its_own(tmp_path: Path) -> None:
    """Given once for all."""
    with Spool(make_home(tmp_path, "a", "b"), agent="b") as spool:
        assert spool.agent() == "b" and spool.agent("a") == "a"
        assert spool.sent(spool.send("cloud-1", body="x")).sender == "b"


@pytest.mark.parametrize("name", ["deadline", "expires"])
def test_times_may_be_datetimes(spool: Spool, name: str) -> None:
    """With a time zone; else the error names the field."""
    at = dt.datetime(2099, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    row = spool.sent(spool.send("cloud-1", body="x", **{name: at}))

    assert getattr(row, f"{name}_at") == at.timestamp() == parse_time(name, at.isoformat())
    with pytest.raises(BadMessage, match=f"{name}: a datetime without a time zone"):
        spool.send("cloud-1", body="x", **{name: dt.datetime(2099, 1, 1)})


def test_below_the_low_water_mark_nothing_is_taken(tmp_path: Path) -> None:
    """What is on its way may use the rest."""
    with Spool(make_home(tmp_path, "me", host="low_water_mb = 999999999\n")) as spool:
        with pytest.raises(StoreFull, match="the low-water mark is 999999999 MB; nothing was stored"):
            spool.send("cloud-1", body="x")
        assert rows(spool) == []


def test_a_peer_added_later_is_found(spool: Spool) -> None:
    """By a Spool that lives long; and its agents by name are not guessed before."""
    with pytest.raises(NoRoute):
        spool.send("new-1", body="x")
    with (spool.home / "spool.toml").open("a") as file:
        file.write('[peers.new]\nagents = ["new-1"]\n')

    assert spool.sent(spool.send("new-1", body="x")).peer == "new"


def test_only_what_is_queued_is_taken_back(spool: Spool) -> None:
    """It is dead then, with the reason; what is leased just now is not."""
    one, two, three = (spool.send("cloud-1", body="x") for _ in range(3))
    assert spool.cancel(one) == one
    assert (spool.state(one), spool.sent(one).reason) == (State.DEAD, "cancelled")

    told(spool, two, "received")
    with pytest.raises(BadInput, match="is received, it cannot be taken back"):
        spool.cancel(two)
    now = spool._clock.now()
    with spool.store.write(sync=False) as tx:
        tx.outbox.lease(
            "cloud", generation=tx.peers.raise_generation("cloud"), now=now, until=now + 60, limit=9
        )
    with pytest.raises(BadInput, match="is being delivered just now"):
        spool.cancel(three)


@pytest.mark.parametrize("text", [None, "not toml"])
def test_without_a_good_home_there_is_no_spool(tmp_path: Path, text: str | None) -> None:
    """And nothing is left open."""
    home = make_home(tmp_path, "me")
    (home / "spool.toml").unlink() if text is None else (home / "spool.toml").write_text(text)

    with pytest.raises((NotInitialised, BadConfig)):
        Spool(home)


def test_one_spool_for_many_threads(spool: Spool) -> None:
    """Each sends; nothing is lost."""
    threads = [
        threading.Thread(target=lambda: [spool.send("cloud-1", body="x") for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(rows(spool)) == 100

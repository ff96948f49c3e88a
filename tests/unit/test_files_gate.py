"""What becomes of files on this host: mail, acks, answers, or the quarantine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from spool.clock import Clock
from spool.files_gate import SAME_S, FilesGate
from spool.foreign import Found
from spool.settings import Settings
from spool.states import State
from spool.store.base import Outgoing, Unproven
from spool.transports.base import Entry, Left
from spool.views import letter, trace
from tests.desk import Turned, make_home

PEERS = """
[peers.cloud]
url = "dir:"
inbox = "/nowhere/in"
outbox = "/nowhere/out"
agents = ["cloud-*"]

[peers.desk]
agents = ["desk-*"]
"""
NOW = 1_763_000_000.0


@pytest.fixture
def now() -> Turned:
    """The time, to be turned."""
    return Turned(NOW)


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """The host `here` with the agent `me`."""
    with Spool(make_home(tmp_path, "me", peers=PEERS), agent="me", clock=Clock(now, time.monotonic)) as made:
        yield made


@pytest.fixture
def gate(spool: Spool, now: Turned) -> FilesGate:
    """The gate of the peer `cloud`, its folders reached."""
    clock = Clock(now, time.monotonic)
    settings = Settings(spool.home, spool.store, clock)
    made = FilesGate(spool.store, settings, "cloud", clock=clock, token="t", version="0")
    made.opened()
    return made


def file(said: object, name: str = "m.json", *, mtime: float = NOW) -> Found:
    """A file of that content."""
    return Found(name, said if isinstance(said, bytes) else json.dumps(said).encode(), mtime)


def said(**more: object) -> dict[str, object]:
    """A message from an agent there."""
    return {"from": "cloud-1", "to": "me", "subject": "Hello", **more}


def publish(spool: Spool, gate: FilesGate, **more: str) -> str:
    """Send a message to the peer and have it published."""
    id = spool.send("cloud-1", **{"subject": "Is it ready?", **more})
    load = gate.load(10)
    gate.settle([(parcel, Left(NOW)) for parcel in load.parcels])
    return id


def row(spool: Spool, id: str) -> Outgoing:
    """The outbox row of a message of ours."""
    found = spool.sent(id)
    assert found is not None
    return found


def quarantined(spool: Spool) -> list[tuple[str | None, str]]:
    """Names and reasons of what is in the quarantine."""
    with spool.store.read() as tx:
        return [(each.name, each.reason) for each in tx.ledger.quarantined()]


def inbox(spool: Spool) -> list[str]:
    """The subjects of what is unread."""
    with spool.store.read() as tx:
        return [json.loads(each.raw)["subject"] for each in tx.inbox.open("me")]


def test_the_same_file_again_is_one_message(spool: Spool, gate: FilesGate) -> None:
    """A copy that was pushed again has another time, and that is all."""
    assert gate.take([file(said())]) == [True]
    assert gate.take([file(said(), mtime=NOW + 3600), file(said())]) == [True, True]
    assert inbox(spool) == ["Hello"]


def test_the_same_words_under_the_same_name_days_later_are_a_new_message(
    spool: Spool, gate: FilesGate, now: Turned
) -> None:
    """`echo ping > ping.json` each morning is meant each morning."""
    gate.take([file(said())])
    now.at += SAME_S + 60
    gate.take([file(said(), mtime=NOW + SAME_S + 60)])
    assert inbox(spool) == ["Hello", "Hello"]


def test_what_cannot_be_taken_is_kept_with_its_name_and_reason(spool: Spool, gate: FilesGate) -> None:
    """Nobody can be told, so nothing may be dropped; a good one among them goes in."""
    files = [
        file(b'{"from":', "half.json"),
        file({"from": "cloud-1", "to": "me"}, "empty.json"),
        file(said(**{"from": "somebody"}), "stranger.json"),
        file(said(to="nobody-here"), "lost.json"),
        file(said(to="cloud-2"), "loop.json"),
        file(said(body="-----BEGIN OPENSSH PRIVATE KEY-----"), "secret.json"),
        file(said(), "good.json"),
    ]
    assert gate.take(files) == [True] * len(files)
    assert inbox(spool) == ["Hello"]
    reasons = dict(quarantined(spool))
    assert set(reasons) == {each.name for each in files} - {"good.json"}
    assert "never became whole" in reasons["half.json"]
    assert "may not be spoken for" in reasons["stranger.json"]
    assert "PRIVATE" not in reasons["secret.json"]


def test_a_full_quarantine_leaves_the_file_where_it_is(spool: Spool, gate: FilesGate) -> None:
    """What would not be kept here must not be removed there."""
    many = [file(b"{%d" % n, f"bad{n}.json") for n in range(500)]
    assert gate.take(many) == [True] * 500
    assert gate.take([file(b"{more", "more.json"), file(said(to="nobody"), "lost.json")]) == [False, False]
    assert gate.take([file(said())]) == [True]


def test_below_the_low_water_mark_files_stay_where_they_are(
    spool: Spool, gate: FilesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are safer there."""
    monkeypatch.setattr(spool.store, "free_bytes", lambda: 1)
    assert gate.take([file(said())]) == [False]
    assert inbox(spool) == []


def test_an_ack_is_judged_by_what_it_is_about(spool: Spool, gate: FilesGate) -> None:
    """The scripts say `cloud` and `local`, whoever they are."""
    id = publish(spool, gate)
    ack = {"from": "cloud", "to": "local", "re": id, "status": "received"}
    assert gate.take([file(ack, "ack-1.json", mtime=NOW + 2)]) == [True]
    assert row(spool, id).state is State.RECEIVED
    assert row(spool, id).received_there == NOW + 2
    assert gate.take([file({**ack, "status": "processed"}, "ack-2.json")]) == [True]
    assert (row(spool, id).state, row(spool, id).outcome) == (State.DONE, "done")


def test_an_ack_for_another_peers_message_changes_nothing(spool: Spool, gate: FilesGate) -> None:
    """Nor one for a message that is not there."""
    id = spool.send("desk-1", subject="for the other")
    for re in (id, "nobody-knows-it"):
        assert gate.take([file({"re": re, "status": "received"}, f"{re}.json")]) == [True]
    assert row(spool, id).state is State.QUEUED
    assert inbox(spool) == [] and quarantined(spool) == []


def test_an_answer_by_subject_is_the_answer(spool: Spool, gate: FilesGate) -> None:
    """To the newest question of that subject which has none; the message itself stays as it came."""
    first, second = publish(spool, gate), publish(spool, gate)
    gate.take([file(said(subject="Re: Is it ready?", body="yes"), "a.json")])
    gate.take([file(said(subject="Re: Is it ready?", body="also"), "b.json")])
    assert row(spool, first).answered and row(spool, second).answered
    with spool.store.read() as tx:
        (answer,) = tx.inbox.answers(second, "me")
        assert [json.loads(each.raw)["body"] for each in tx.inbox.answers(first, "me")] == ["also"]
    assert b'"re"' not in answer.raw
    view = letter(answer, now=NOW)
    assert (view["re"], view["re_inferred"]) == (second, True)


@pytest.mark.parametrize(
    "other", [{"from": "cloud-2"}, {"subject": "Re: Something else"}, {"subject": "Is it ready?"}]
)
def test_what_only_looks_like_an_answer_is_none(spool: Spool, gate: FilesGate, other: dict[str, str]) -> None:
    """It must come from the agent that was asked, about what was asked."""
    id = publish(spool, gate)
    gate.take([file(said(**{"subject": "Re: Is it ready?", **other}))])
    assert not row(spool, id).answered


def unproven(gate: FilesGate) -> list[Unproven]:
    """What was published and is not accounted for."""
    return gate.unproven(after=0, limit=100)


def test_a_receipt_that_is_inferred_says_so(spool: Spool, gate: FilesGate) -> None:
    """In the trace, with what shows it."""
    id = publish(spool, gate)
    gate.received([(each, "it stands in processed") for each in unproven(gate)])
    assert row(spool, id).state is State.RECEIVED and unproven(gate) == []
    events = trace(spool, id)["events"]
    assert [each["state"] for each in events] == ["queued", "sent", "received", "received"]
    assert events[-1]["detail"] == "inferred: it stands in processed"


def test_what_was_lost_there_is_offered_again(spool: Spool, gate: FilesGate) -> None:
    """And the trace tells why."""
    id = publish(spool, gate)
    gate.lost(unproven(gate), "nobody had read it")
    assert [parcel.id for parcel in gate.load(10).parcels] == [id]
    assert any(each["detail"] == "lost: nobody had read it" for each in trace(spool, id)["events"])


def test_what_nobody_took_in_its_time_is_dead(spool: Spool, gate: FilesGate, now: Turned) -> None:
    """Only where the clock may be believed: after a leap it is not."""
    from spool import sweep

    id = publish(spool, gate)
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    now.at += 8 * 86_400
    assert gate.expired(unproven(gate)) == []
    for _ in range(3):
        sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
        now.at += 601
    late = gate.expired(unproven(gate))
    assert [each.id for each in late] == [id]
    gate.withdrawn(late)
    assert row(spool, id).state is State.DEAD and "nobody took it" in (row(spool, id).reason or "")


def test_a_folder_is_the_same_since_it_was_first_seen_so(gate: FilesGate, now: Turned) -> None:
    """Another marker, or another boot of its machine, is another folder."""
    assert gate.same_since("a/1") == NOW
    now.at += 10
    assert gate.same_since("a/1") == NOW
    assert gate.same_since("a/2") == NOW + 10
    assert gate.same_since("a/2") == NOW + 10


def test_what_could_not_be_removed_is_known_until_it_changes(gate: FilesGate) -> None:
    """By name, size and time; what has gone is forgotten."""
    gate.remember(Found("m.json", b"{}", 5.0, size=2))
    same, other = Entry("m.json", "file", 2, 5.0), Entry("m.json", "file", 2, 6.0)
    assert gate.remembered([same]) == {"m.json"}
    assert gate.remembered([other]) == set()
    assert gate.remembered([same]) == set()

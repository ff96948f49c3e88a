"""Quotas: one peer that brings too much is told to wait, and nobody else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import doctor, inbox, log, outbox, retry, views
from spool.api import Spool
from spool.cli.checking import check
from spool.clock import Clock
from spool.files_gate import FilesGate
from spool.foreign import Found
from spool.inbox import Arrival, Taken
from spool.message import seal
from spool.quotas import MINUTE_S, Budget, Limits
from spool.settings import Settings
from spool.states import State
from spool.store.base import Quota
from spool.transports.base import Accepted, Deferred
from spool.transports.frames import Result
from spool.transports.window import outcome_of, result_of
from tests.desk import Turned, clocked, make_home

PEERS = """
[peers.cloud]
agents = ["cloud-*"]
{own}

[peers.desk]
agents = ["desk-*"]
"""
MB = 1024 * 1024
NOW = 1_000_000.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """A host with quotas of [host], or of its peer cloud alone."""
    made: list[Spool] = []

    def make(host: str = "", own: str = "") -> Spool:
        home = make_home(tmp_path, "me", peers=PEERS.format(own=own), host=host)
        log.configure(home, role="consumer", host="here", version="0", stderr=False)
        made.append(clocked(home, Turned(NOW)))
        return made[-1]

    yield make
    for spool in made:
        spool.close()


def bring(spool: Spool, *ids: str, peer: str = "cloud", now: float = NOW, **fields: Any) -> Taken:
    """A batch from a peer."""
    arrivals = []
    for id in ids:
        given = {"from": f"{peer}-1", "to": "me", "subject": "Hello", "body": "text", **fields}
        sealed = seal(given, id=id, timestamp="2025-11-13T10:30:45Z")
        arrivals.append(Arrival(sealed.raw, sealed.filled, 86_400.0, [peer]))
    config = spool.config
    return inbox.accept(spool.store, config, spool._router(), config.peer(peer), arrivals, now=now)


def taken(found: Taken) -> list[bool]:
    """Which of a batch were taken; the others were deferred."""
    assert all(isinstance(each, Accepted | Deferred) for each in found.outcomes)
    return [isinstance(each, Accepted) for each in found.outcomes]


def only(found: Taken) -> Deferred:
    """Why the last of a batch waits."""
    last = found.outcomes[-1]
    assert isinstance(last, Deferred)
    return last


def logged(spool: Spool) -> list[dict[str, Any]]:
    """What the log says of quotas."""
    lines = map(msgspec.json.decode, (spool.home / "log" / "spool.jsonl").read_bytes().splitlines())
    return [line for line in lines if line["event"] == "peer.over_quota"]


def test_what_is_beyond_the_quota_waits_and_comes_later(here: Callable[..., Spool]) -> None:
    """Deferred, never refused; when its agent has ended some, as many more come."""
    spool = here("quota_waiting = 2")
    assert taken(bring(spool, "m1", "m2", "m3", "m4")) == [True, True, False, False]
    spool.done(["m1"])

    assert taken(bring(spool, "m3", "m4")) == [True, False]
    assert {row.id for row in spool.inbox(agent="me")} == {"m2", "m3"}


def test_a_copy_is_answered_whatever_the_quota(here: Callable[..., Spool]) -> None:
    """It was taken and its answer was lost: to defer it would offer it for ever."""
    spool = here("quota_waiting = 1")
    bring(spool, "m1")

    assert taken(bring(spool, "m1", "m2")) == [True, False]


def test_another_peer_is_not_held_up(here: Callable[..., Spool]) -> None:
    """That is what it is for."""
    spool = here("quota_waiting = 1")
    bring(spool, "m1", "m2")

    assert taken(bring(spool, "d1", peer="desk")) == [True]


def test_a_peer_may_have_a_quota_of_its_own(here: Callable[..., Spool]) -> None:
    """Less than the others, or none at all with 0."""
    spool = here("quota_waiting = 2", own="quota_waiting = 0")

    assert taken(bring(spool, "m1", "m2", "m3")) == [True] * 3
    assert taken(bring(spool, "d1", "d2", "d3", peer="desk")) == [True, True, False]


def test_bytes_count_and_not_only_messages(here: Callable[..., Spool]) -> None:
    """A few large ones fill a disk, too."""
    spool = here("quota_mb = 1")
    found = taken(bring(spool, *(f"m{n}" for n in range(20)), body="x" * 100_000))

    assert found == [True] * 11 + [False] * 9
    assert "1 MB are the most (quota_mb)" in only(bring(spool, "m19", body="x" * 100_000)).reason


def test_relayed_mail_counts_until_the_next_hop_has_it(here: Callable[..., Spool]) -> None:
    """A peer that sends to one who is never there would fill the relay."""
    spool = here("quota_waiting = 1")
    assert taken(bring(spool, "m1", "m2", to="desk-1")) == [True, False]
    with spool.store.write(sync=False) as tx:
        row = tx.outbox.exact("m1", "cloud-1")
        assert row is not None
        tx.outbox.advance(row.seq, row.id, State.SENT, now=NOW, there=NOW, host=None)

    assert taken(bring(spool, "m2", to="desk-1")) == [True]


def test_the_answer_to_our_question_comes_in_once(here: Callable[..., Spool]) -> None:
    """An agent waits for it. A second one, or one to a question of somebody else, is mail like any other."""
    spool = here("quota_waiting = 1\nquota_minute = 1")
    asked = spool.send("cloud-1", subject="Well?")
    elsewhere = spool.send("desk-1", subject="Well?")
    bring(spool, "m1")

    assert taken(bring(spool, "a1", "a2", re=asked)) == [True, False]
    assert taken(bring(spool, "a3", re=elsewhere)) == [False]


def test_so_many_a_minute_come_and_no_more(here: Callable[..., Spool]) -> None:
    """At once, if they like; then one after the other. The time is kept where a new link finds it."""
    spool = here("quota_minute = 6")
    assert taken(bring(spool, *(f"m{n}" for n in range(8)))) == [True] * 6 + [False] * 2
    assert taken(bring(spool, "m6", "m7", now=NOW + 11)) == [True, False]
    assert taken(bring(spool, "m7", now=NOW + 19)) == [False]
    assert taken(bring(spool, "m7", now=NOW + 20)) == [True]


def test_those_that_wait_are_told_when(here: Callable[..., Spool]) -> None:
    """One after the other, or all would come at once and all but one be told to wait again."""
    spool = here("quota_minute = 6")
    found = bring(spool, *(f"m{n}" for n in range(8)))

    waits = [each.after_s for each in found.outcomes if isinstance(each, Deferred)]
    assert waits == pytest.approx([10.0, 20.0])


def test_a_clock_that_was_ahead_holds_nobody_up_for_long() -> None:
    """What it wrote counts as a minute at most."""
    quota = Quota(paid_until=NOW + 1e6)
    budget = Budget(quota, Limits(60, 0, 0), room=MB, now=NOW)

    assert budget.over() == Deferred("over quota: 60 messages a minute are the most (quota_minute)", 1.0)
    assert Budget(quota, Limits(60, 0, 0), room=MB, now=NOW + 1e6).over() is None


@pytest.mark.parametrize(
    ("waits", "room", "over"), [(0, 0, False), (74, 26, False), (76, 24, True), (9, 0, True)]
)
def test_one_peer_leaves_the_others_a_quarter_of_the_room(waits: int, room: int, over: bool) -> None:
    """On a small disk a quota in megabytes is none: before it is full, the peer that fills it has to wait."""
    quota = Quota(messages=1, bytes=waits * MB)

    assert (Budget(quota, Limits(0, 0, 0), room=room * MB, now=NOW).over() is not None) is over


def test_by_default_a_large_backlog_is_taken(here: Callable[..., Spool]) -> None:
    """What waited over a weekend comes at once; only bytes have a limit."""
    spool = here()

    assert all(taken(bring(spool, *(f"m{n}" for n in range(2000)))))


def test_the_log_is_told_once_a_minute(here: Callable[..., Spool]) -> None:
    """With the peer, how many, and over what; a flood in the log would be the next way to fill the disk."""
    spool = here("quota_waiting = 1")
    for at in (0, 1, MINUTE_S - 1, MINUTE_S):
        bring(spool, "m1", "m2", "m3", now=NOW + at)

    told = logged(spool)
    assert [(line["peer"], line["count"], line["messages"]) for line in told] == [("cloud", 2, 1)] * 2
    assert "1 are the most (quota_waiting)" in told[0]["error"]


def test_nothing_is_said_of_a_peer_within_its_quota(here: Callable[..., Spool]) -> None:
    """And its count is there for who asks."""
    spool = here("quota_waiting = 2")
    bring(spool, "m1")

    assert logged(spool) == []
    told = views.brought_by(spool, spool.config.peer("cloud"), now=NOW)
    assert (told["messages"], told["over_quota"]) == (1, None) and told["bytes"] > 100


def test_status_says_who_is_over(here: Callable[..., Spool]) -> None:
    """With the key that says how much it may be."""
    spool = here("quota_waiting = 1")
    bring(spool, "m1")

    cloud, desk = views.status(spool, now=NOW)["peers"]
    assert cloud["here"]["over_quota"].endswith("1 are the most (quota_waiting)")
    assert desk["here"] == {"messages": 0, "bytes": 0, "over_quota": None}


def test_the_time_travels_and_is_believed_within_reason(here: Callable[..., Spool]) -> None:
    """The sender waits that long at least; a peer cannot stop its mail for a year."""
    said = result_of(Deferred("over quota", 45.0))
    assert outcome_of(said, "far") == Deferred("over quota", 45.0)
    assert outcome_of(Result("deferred", why="x"), "far") == Deferred("x")

    spool = here()
    delays = []
    for after_s in (45.0, 1e9):
        id = spool.send("cloud-1", subject="x")
        with spool.store.write(sync=False) as tx:
            generation = tx.peers.raise_generation("cloud")
        (parcel,) = outbox.lease(spool.store, "cloud", generation=generation, now=NOW, limit=9).parcels
        outbox.settle(spool.store, "cloud", "here", [(parcel, Deferred("x", after_s))], now=NOW)
        delays.append((spool.sent(id).due or 0.0) - NOW)
    assert 45.0 <= delays[0] <= 45.0 * 1.25
    assert delays[1] <= retry.MESSAGE.cap_s * 1.25


def test_a_files_peers_mail_stays_in_its_folder(here: Callable[..., Spool]) -> None:
    """It is not lost and not quarantined: taken when there is room for it, with its name."""
    spool = here("quota_waiting = 1", own='url = "dir:"\noutbox = "/nowhere"')
    clock = Clock(Turned(NOW), lambda: 0.0)
    settings = Settings(spool.home, spool.store, clock)
    gate = FilesGate(spool.store, settings, "cloud", clock=clock, token="t", version="0")
    gate.opened()
    said = [{"from": "cloud-1", "to": "me", "subject": f"Hello {n}"} for n in range(3)]
    files = [Found(f"{n}.json", msgspec.json.encode(each), NOW) for n, each in enumerate(said)]

    assert gate.take(files) == [True, False, False]
    spool.done([spool.inbox(agent="me")[0].id])
    assert gate.take(files) == [True, True, False]
    with spool.store.read() as tx:
        assert tx.ledger.count_quarantined() == 0


def test_check_and_doctor_say_who_is_over_and_what_to_do(here: Callable[..., Spool]) -> None:
    """Whoever wonders where the mail of a peer stays looks there."""
    spool = here("quota_waiting = 1")
    bring(spool, "m1")

    *_, step = check(spool, spool.config.peer("cloud")).steps
    assert (step.step, step.ok) == ("quota", False) and "(quota_waiting)" in step.detail
    found = [each for each in doctor.examine(spool.home, now=NOW, quick=True) if "quota" in each.found]
    assert [(each.topic, each.level) for each in found] == [("peer cloud", "warning")]
    assert "spool done" in step.hint and found[0].remedy == step.hint


@pytest.mark.parametrize("peer", ["cloud", "desk"])
def test_only_who_was_asked_can_answer(here: Callable[..., Spool], peer: str) -> None:
    """Any peer can write the id of a question; it would end the wait for the answer that counts."""
    spool = here()
    asked = spool.send("cloud-1", subject="Well?", requires_response=True)
    bring(spool, "a1", peer=peer, re=asked)

    assert spool.sent(asked).answered is (peer == "cloud")

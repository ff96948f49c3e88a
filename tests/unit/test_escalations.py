"""Which messages a person is told of, how often, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import escalating, outbox, sweep
from spool.api import Spool
from spool.states import State
from spool.store.base import Outgoing
from spool.transports.base import Accepted, Refused
from tests.desk import Turned, arrive, tasks, told
from tests.escalating import (
    ROAD,
    escalating_host,
    escalation,
    ids,
    look,
    notices,
    rules_of,
    tell,
)

DAY_S = 86_400.0


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with the rules as they are where nobody changes them."""
    with escalating_host(tmp_path, now) as made:
        yield made


def send(spool: Spool, to: str = "cloud-1", **more: Any) -> str:
    return spool.send(to, **{"subject": "Redis is missing", "body": "We are blocked.", **more})


def settle(spool: Spool, now: Turned, outcome: Any, *, peer: str = "cloud") -> None:
    """A link to a peer is up and gets this answer for all that waits."""
    with spool.store.write(sync=False) as tx:
        generation = tx.peers.raise_generation(peer)
    load = outbox.lease(spool.store, peer, generation=generation, now=now.at, limit=9)
    outbox.settle(spool.store, peer, "here", [(each, outcome) for each in load.parcels], now=now.at)


def reach(spool: Spool, *, at: float) -> None:
    """The peer was last heard of then."""
    with spool.store.write(sync=False) as tx:
        tx.peers.get("cloud")
        tx.peers.update("cloud", last_contact=at)


def deliver(spool: Spool, now: Turned) -> None:
    settle(spool, now, Accepted(at=5.0, final=True, host="far"))


def sent(spool: Spool, id: str) -> Outgoing:
    return spool.sent(id)


# -- which ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"priority": "P0"}, {"type": "blocker"}])
def test_what_is_urgent_and_not_delivered_is_escalated(spool: Spool, now: Turned, fields: Any) -> None:
    """Neither before its time, nor a second time; whoever tells of it is rung for."""
    id = send(spool, **fields)
    assert look(spool, now, after_s=9.0) == []
    (first,) = look(spool, now, after_s=2.0)
    assert (first.id, first.peer, rules_of(first)) == (id, ROAD, [*fields.values()])
    assert ROAD in tasks(spool)

    assert look(spool, now, after_s=2.0) == [first]


def test_what_was_delivered_in_time_is_nobodys_matter(spool: Spool, now: Turned) -> None:
    """A healthy link opens no issue, however urgent its mail."""
    send(spool, priority="P0", type="blocker")
    deliver(spool, now)
    assert look(spool, now, after_s=60.0) == []


def test_plain_mail_waits_as_long_as_it_likes(spool: Spool, now: Turned) -> None:
    """Until its peer was down for long."""
    send(spool)
    assert look(spool, now, after_s=800.0) == []


def test_a_late_answer_is_escalated(spool: Spool, now: Turned) -> None:
    """Also where the message was read long since; the answer ends it."""
    id = send(spool, deadline="1970-01-12T14:00:00Z", requires_response=True)
    deliver(spool, now)
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    assert look(spool, now) == []
    now.at += 3000.0
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    (found,) = look(spool, now)
    assert (found.id, rules_of(found)) == (id, ["overdue"]) and look(spool, now) == [found]

    arrive(spool, id="msg-a", re=id, now=now.at)
    assert look(spool, now) == []


def test_a_dead_message_is_escalated(spool: Spool, now: Turned) -> None:
    """With what its reason was; what died before anybody asked is past."""
    send(spool)
    settle(spool, now, Refused("no such agent"))
    assert look(spool, now) == []
    id = send(spool)
    settle(spool, now, Refused("no such agent"))
    (found,) = look(spool, now)
    assert (found.id, rules_of(found), found.travels) == (id, ["dead"], False)
    assert found.reasons[0].text == "no such agent"


def test_what_its_sender_took_back_is_not_escalated(spool: Spool, now: Turned) -> None:
    """It died by a person's hand."""
    look(spool, now)
    spool.cancel(send(spool))
    assert look(spool, now) == []


def test_of_all_that_waits_for_a_peer_that_is_down_one_is_escalated(spool: Spool, now: Turned) -> None:
    """The first in line, whatever else waits; another peer has another one."""
    send(spool)
    first = send(spool, priority="P1")
    send(spool)
    other = send(spool, to="desk-1")
    assert look(spool, now, after_s=800.0) == []
    found = look(spool, now, after_s=101.0)
    assert sorted(ids(found)) == sorted([first, other])
    assert all(rules_of(each) == ["peer down"] for each in found)
    assert look(spool, now, after_s=100.0) == found


def test_one_that_died_stands_for_its_peer_no_more(spool: Spool, now: Turned) -> None:
    """Else nobody would be told when the peer is down again."""
    first, second = send(spool), send(spool)
    look(spool, now, after_s=1000.0)
    with spool.store.write(sync=False) as tx:
        tx.outbox.bury(sent(spool, first).seq, now=now.at, reason="expired")
    assert ids(look(spool, now)) == [first, second]


def test_a_peer_that_was_reached_of_late_is_not_down(spool: Spool, now: Turned) -> None:
    """A backlog may take its time."""
    send(spool)
    now.at += 1000.0
    reach(spool, at=now.at - 100.0)
    assert look(spool, now) == []
    assert len(look(spool, now, after_s=801.0)) == 1


def test_after_a_leap_of_the_clock_no_peer_is_down(spool: Spool, now: Turned) -> None:
    """A host that slept for a night has reached nobody, and will in a moment."""
    send(spool)
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    now.at += DAY_S / 3
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    assert look(spool, now) == []
    assert len(look(spool, now, after_s=601.0)) == 1


def test_mail_that_others_sent_is_theirs_to_escalate(spool: Spool, now: Turned) -> None:
    """A relay would open a second issue beside its sender's."""
    arrive(spool, id="msg-r", to="desk-1", priority="P0", type="blocker", now=now.at)
    assert sent(spool, "msg-r").origin == "cloud"
    assert look(spool, now, after_s=2000.0) == []


def test_what_goes_by_the_road_itself_is_not_escalated(spool: Spool, now: Turned) -> None:
    """It is an issue already."""
    send(spool, to="human", priority="P0")
    assert look(spool, now, after_s=2000.0) == []


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"priorities": []}, {"priority": "P0"}),
        ({"types": []}, {"type": "blocker"}),
        ({"overdue": False}, {"deadline": "1970-01-12T14:00:00Z"}),
        ({"peer_down_s": 0}, {}),
    ],
)
def test_each_rule_can_be_left_out(tmp_path: Path, now: Turned, changes: Any, fields: Any) -> None:
    """Who is told of too much reads nothing."""
    with escalating_host(tmp_path, now, **changes) as spool:
        if fields:
            reach(spool, at=now.at + 2900.0)
        sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
        send(spool, **fields)
        now.at += 3000.0
        sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
        assert look(spool, now) == []


def test_dead_letters_can_be_left_out(tmp_path: Path, now: Turned) -> None:
    """They stand in `spool dead list` in any case."""
    with escalating_host(tmp_path, now, dead=False) as spool:
        look(spool, now)
        send(spool)
        settle(spool, now, Refused("no such agent"))
        assert look(spool, now) == []


def test_no_more_are_open_than_the_config_allows(tmp_path: Path, now: Turned) -> None:
    """An agent that calls everything urgent must not fill a repository; the next ones wait their turn."""
    with escalating_host(tmp_path, now, max_open=2) as spool:
        first, second, third = (send(spool, priority="P0", subject=f"s{n}") for n in range(3))
        assert sorted(ids(look(spool, now, after_s=11.0))) == sorted([first, second])
        told(spool, first, "done")
        found = look(spool, now)
        assert first not in ids(found)
        assert sorted(ids(look(spool, now))) == sorted([second, third])


def test_other_rules_are_for_what_was_sent_before_too(tmp_path: Path, now: Turned) -> None:
    """Who writes a rule wants it for what waits now."""
    with escalating_host(tmp_path, now, types=["blocker"]) as spool:
        id = send(spool, type="question")
        assert look(spool, now, after_s=20.0) == []
        path = spool.home / "spool.toml"
        path.write_text(path.read_text().replace('"blocker"', '"question"'))
        spool._reload()
        assert ids(look(spool, now)) == [id]


def test_without_rules_nothing_is_escalated_and_what_is_open_ends(spool: Spool, now: Turned) -> None:
    """The issue is closed all the same."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    path = spool.home / "spool.toml"
    path.write_text(path.read_text().partition("[escalation]")[0])
    spool._reload()
    send(spool, priority="P0")
    assert ids(look(spool, now, after_s=20.0)) == [id]
    told(spool, id, "done", peer="cloud")
    assert look(spool, now) == []


# -- once, and until when ---------------------------------------------------------------------


def test_one_message_has_one_issue_however_many_rules_it_fits(spool: Spool, now: Turned) -> None:
    """A further reason changes what stands there."""
    id = send(spool, priority="P0", deadline="1970-01-12T13:50:00Z")
    (first,) = look(spool, now, after_s=11.0)
    now.at += 3000.0
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    (second,) = look(spool, now)
    assert second.id == id and second.revision > first.revision
    assert rules_of(second) == ["P0", "overdue", "peer down"]


def test_what_becomes_of_a_message_is_told(spool: Spool, now: Turned) -> None:
    """Each step changes what stands there; a try that failed does not."""
    id = send(spool, priority="P0")
    (queued,) = look(spool, now, after_s=11.0)
    assert look(spool, now, after_s=5.0)[0].revision == queued.revision
    deliver(spool, now)
    (received,) = look(spool, now)
    assert received.revision == queued.revision + 1 and "received by far" in received.shown[-1]
    told(spool, id, "read")
    (read,) = look(spool, now)
    assert read.revision == received.revision + 1 and read.shown[-1].startswith("read")


@pytest.mark.parametrize("status", ["done", "rejected"])
def test_it_is_resolved_when_the_message_is_done(spool: Spool, now: Turned, status: str) -> None:
    """Its agent has dealt with it, and so nobody else need."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    told(spool, id, status)
    assert look(spool, now) == []
    assert escalation(spool, id).state == "resolved"


def test_it_is_resolved_when_the_message_is_taken_back(spool: Spool, now: Turned) -> None:
    """Nobody waits for it any more."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    spool.cancel(id)
    assert look(spool, now) == []


def test_what_died_stays_open_until_somebody_has_dealt_with_it(spool: Spool, now: Turned) -> None:
    """A dead message is the one that a person must know of."""
    look(spool, now)
    id = send(spool)
    settle(spool, now, Refused("no such agent"))
    look(spool, now)
    sweep.archive(spool.store, spool.config.host, now=now.at + 2 * DAY_S)
    assert sent(spool, id).archived and ids(look(spool, now, after_s=3 * DAY_S)) == [id]


def test_a_dead_message_that_is_dropped_is_resolved(spool: Spool, now: Turned) -> None:
    """Its row is gone; what stands there says so."""
    look(spool, now)
    id = send(spool)
    settle(spool, now, Refused("no such agent"))
    look(spool, now)
    tell(spool, now)
    spool.drop_dead(id)
    assert look(spool, now) == []
    (notice,) = notices(spool, now)
    assert not notice.open and "dropped here" in notice.body


def test_what_was_escalated_for_its_peer_alone_ends_with_its_delivery(spool: Spool, now: Turned) -> None:
    """The peer is back: whether the message is done is its agents' affair."""
    id = send(spool)
    look(spool, now, after_s=1000.0)
    deliver(spool, now)
    assert look(spool, now) == [] and sent(spool, id).state is State.RECEIVED


def test_one_that_is_resolved_is_opened_again_for_a_new_reason(spool: Spool, now: Turned) -> None:
    """And keeps its issue."""
    id = send(spool, deadline="1970-01-12T15:00:00Z")
    look(spool, now, after_s=1000.0)
    tell(spool, now, number=7)
    deliver(spool, now)
    look(spool, now)
    tell(spool, now)
    now.at += 7000.0
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    now.at += 601.0
    sweep.run(spool.store, spool.config.host, spool.home, now=now.at)
    (again,) = look(spool, now)
    assert (again.id, again.number, again.state) == (id, 7, "open")
    assert rules_of(again) == ["peer down", "overdue"]


def test_two_that_look_at_once_escalate_once(spool: Spool, now: Turned) -> None:
    """A consumer and the far end of a link do so side by side."""
    id = send(spool, priority="P0")
    now.at += 11.0
    with spool.store.read() as tx:
        stale = escalating._look(tx, spool.config, now.at, steady=True)
    assert ids(look(spool, now)) == [id]
    with spool.store.write(sync=True) as tx:
        kept = escalating._keep(tx, spool.config, stale, now.at)
    assert kept.escalated == [] and ids(spool.escalated()) == [id]


# -- what the road is given --------------------------------------------------------------------


def test_the_road_is_given_each_once_it_is_new_or_changed(spool: Spool, now: Turned) -> None:
    """And nothing while what stands there is right."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    (notice,) = tell(spool, now, number=7)
    assert (notice.id, notice.open, notice.number, notice.revision) == (id, True, None, 1)
    assert notices(spool, now) == []
    told(spool, id, "read")
    look(spool, now)
    (changed,) = tell(spool, now)
    assert (changed.open, changed.number, changed.revision) == (True, 7, 2)
    told(spool, id, "done")
    look(spool, now)
    (closed,) = tell(spool, now)
    assert (closed.open, closed.number) == (False, 7) and notices(spool, now) == []


def test_what_was_never_handed_over_is_not_told_once_it_is_resolved(spool: Spool, now: Turned) -> None:
    """No issue is made to be closed."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    told(spool, id, "done")
    look(spool, now)
    assert notices(spool, now) == [] and ROAD in tasks(spool)


def test_what_may_have_been_made_is_looked_for(spool: Spool, now: Turned) -> None:
    """Killed after it made an issue, a process leaves one that nobody here has the number of."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    (notice,) = notices(spool, now)
    told(spool, id, "done")
    look(spool, now)
    (again,) = notices(spool, now)
    assert (again.open, again.number, again.marker) == (False, None, notice.marker)


def test_what_is_held_for_a_person_does_not_travel_in_an_issue(spool: Spool, now: Turned) -> None:
    """Escalated by hand, it is read by people; the agent that it is for gets it once it is released."""
    id = send(spool)
    with spool.store.write(sync=False) as tx:
        tx.loops.keep(sent(spool, id).seq, reason="why")
    assert not spool.escalate(id).travels
    (notice,) = notices(spool, now)
    assert '"m"' not in notice.body


def test_a_late_word_on_an_older_revision_keeps_the_number(spool: Spool, now: Turned) -> None:
    """It changed while it was being posted: what is newer is still to be told."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    (notice,) = notices(spool, now)
    told(spool, id, "read")
    look(spool, now)
    from spool import escalations

    escalations.posted(spool.store, "here", ROAD, notice, number=7, url=None, now=now.at)
    (newer,) = notices(spool, now)
    assert (newer.number, newer.revision) == (7, 2)


def test_the_road_is_rung_for_until_it_has_told(spool: Spool, now: Turned) -> None:
    """A ring that was lost costs two seconds."""
    send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    with spool.store.write(sync=False) as tx:
        assert tx.ledger.rung(ROAD)
    look(spool, now)
    assert ROAD in tasks(spool)
    tell(spool, now)
    with spool.store.write(sync=False) as tx:
        tx.ledger.rung(ROAD)
    look(spool, now)
    assert ROAD not in tasks(spool)


# -- who may say what --------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "state"), [("received", State.RECEIVED), ("done", State.DONE)])
def test_an_ack_by_the_road_counts_for_what_was_escalated(
    spool: Spool, now: Turned, status: str, state: State
) -> None:
    """The far host took the message out of the issue, and so its link carries no second one."""
    id = send(spool, priority="P0")
    told(spool, id, status, peer=ROAD)
    assert sent(spool, id).state is State.QUEUED
    look(spool, now, after_s=11.0)
    told(spool, id, status, peer=ROAD)
    assert sent(spool, id).state is state and sent(spool, id).due is None


def test_that_it_is_dead_is_for_its_own_peer_to_say(spool: Spool, now: Turned) -> None:
    """The link may deliver it still."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    told(spool, id, "dead", peer=ROAD)
    assert sent(spool, id).state is State.QUEUED


def test_another_peers_ack_counts_as_little_as_ever(spool: Spool, now: Turned) -> None:
    """It was neither handed nor escalated to it."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    told(spool, id, "done", peer="desk")
    assert sent(spool, id).state is State.QUEUED


def test_the_road_may_carry_mail_of_all_peers_agents(spool: Spool, now: Turned) -> None:
    """What is escalated there comes this way; nobody speaks for the agents of this host."""
    router = spool._router()
    road, desk = spool.config.peers[ROAD], spool.config.peers["desk"]
    assert all(router.may_speak(road, name) for name in ("cloud-1", "desk-9", "far-2", "human"))
    assert not router.may_speak(road, "me") and not router.may_speak(road, "stranger")
    assert not router.may_speak(desk, "cloud-1")


def test_a_message_that_comes_by_both_ways_is_one(spool: Spool, now: Turned) -> None:
    """Whichever is first: the other one is a copy."""
    arrive(spool, ROAD, id="msg-b", priority="P0", now=now.at)
    arrive(spool, "cloud", id="msg-b", priority="P0", now=now.at)
    assert spool.unread() == 1

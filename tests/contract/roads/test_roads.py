"""What every road between two spools promises, whatever carries it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spool.api import Spool
from spool.config_edit import set_peer
from spool.errors import LinkLost
from spool.gate import Gate
from spool.states import State
from spool.store.base import Parcel
from spool.transports.base import Outcome
from tests.roads import FAR, NEAR, Road
from tests.waiting import soon

WITHIN_S = 30.0


def becomes(spool: Spool, id: str, *states: State) -> bool:
    """Whether a message that was sent gets so far."""
    return soon(lambda: spool.sent(id).state in states, WITHIN_S)


def ends_all(spool: Spool, agent: str, count: int) -> list[str]:
    """Read and end so many messages; their subjects."""
    assert soon(lambda: len(spool.inbox(agent=agent)) >= count, WITHIN_S)
    subjects = []
    for message in spool.receive(agent=agent):
        with message:
            subjects.append(message.subject)
    return subjects


def test_mail_goes_both_ways_once(road: Road) -> None:
    """One side that can dial is enough."""
    there = road.near.send_many([{"to": FAR, "subject": f"out {n}"} for n in range(20)])
    back = road.far.send_many([{"to": NEAR, "subject": f"in {n}"} for n in range(20)])
    road.up()

    assert all(becomes(road.near, id, State.RECEIVED) for id in there)
    assert all(becomes(road.far, id, State.RECEIVED) for id in back)
    assert sorted(ends_all(road.far, FAR, 20)) == sorted(f"out {n}" for n in range(20))
    assert sorted(ends_all(road.near, NEAR, 20)) == sorted(f"in {n}" for n in range(20))


def test_mail_that_is_sent_while_it_is_up_goes_at_once(road: Road) -> None:
    """By the doorbell, both ways: no timer has to come round."""
    road.up()
    first = road.near.send(FAR, subject="first")
    assert becomes(road.near, first, State.RECEIVED)

    out, back = road.near.send(FAR, subject="out"), road.far.send(NEAR, subject="back")

    assert becomes(road.near, out, State.RECEIVED)
    assert becomes(road.far, back, State.RECEIVED)


def test_what_an_agent_ends_is_done_at_its_sender(road: Road) -> None:
    """Acks go the way that mail goes, in both directions."""
    road.up()
    out, back = road.near.send(FAR, subject="out"), road.far.send(NEAR, subject="back")
    ends_all(road.far, FAR, 1)
    ends_all(road.near, NEAR, 1)

    assert becomes(road.near, out, State.DONE)
    assert becomes(road.far, back, State.DONE)


def test_a_message_keeps_its_bytes_and_its_id(road: Road) -> None:
    """Fields that spool does not know, odd characters and line ends in strings travel unchanged."""
    fields = {"commit": "a3b9f21", "artifacts": [1.5, None, {"é": "\u2028"}]}
    id = road.near.send(FAR, subject="Grüße 🙂", body="one\r\ntwo\n\x7f", extra=fields)
    road.up()
    assert becomes(road.near, id, State.RECEIVED)

    assert road.far.inbox(agent=FAR)[0].raw == road.near.sent(id).raw


def test_a_message_whose_answer_is_lost_is_one_message(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is offered again, and the other side knows it by its key and its hash; both ways."""
    lost: list[str] = []
    settle = Gate.settle

    def lose_the_first(gate: Gate, told: Sequence[tuple[Parcel, Outcome]]) -> None:
        if gate.peer_name not in lost:
            lost.append(gate.peer_name)
            raise LinkLost("the answer was lost")
        settle(gate, told)

    monkeypatch.setattr(Gate, "settle", lose_the_first)
    out, back = road.near.send(FAR, subject="out"), road.far.send(NEAR, subject="back")
    road.up()

    assert becomes(road.near, out, State.RECEIVED)
    assert becomes(road.far, back, State.RECEIVED)
    assert sorted(lost) == ["far", "near"]
    assert [each.id for each in road.far.inbox(agent=FAR)] == [out]
    assert [each.id for each in road.near.inbox(agent=NEAR)] == [back]


def test_a_message_for_nobody_there_is_dead_with_the_reason(road: Road) -> None:
    """Its sender is told: nothing waits for ever."""
    set_peer(road.near.home, "far", {"agents": [FAR, "nobody"]})
    with Spool(road.near.home, agent=NEAR) as near:
        id = near.send("nobody", subject="lost")
        road.up()

        assert becomes(near, id, State.DEAD)
        assert "nobody" in (near.sent(id).reason or "")


def test_a_message_of_somebody_else_s_agent_is_not_taken(road: Road) -> None:
    """A peer speaks for its own agents; what it says for others is put aside."""
    set_peer(road.far.home, "near", {"agents": ["other"]})
    id = road.near.send(FAR, subject="forged")
    road.up()

    assert becomes(road.near, id, State.DEAD, State.SENT)

    def put_aside() -> int:
        with road.far.store.read() as tx:
            return tx.ledger.count_quarantined()

    assert soon(lambda: put_aside() == 1, WITHIN_S)
    assert road.far.inbox(agent=FAR) == []


def test_what_is_deferred_goes_later(road: Road) -> None:
    """The far side has no room for it now: it is neither lost nor dead."""
    set_peer(road.far.home, "near", {"agents": [NEAR], "quota_waiting": 1})
    ids = road.near.send_many([{"to": FAR, "subject": each} for each in ("one", "two")])
    road.up()
    assert soon(lambda: len(road.far.inbox(agent=FAR)) == 1, WITHIN_S)
    assert not road.answers or soon(lambda: any(road.near.sent(id).reason for id in ids), WITHIN_S)

    ends_all(road.far, FAR, 1)
    with road.near.store.write(sync=False) as tx:
        for row in (road.near.sent(id) for id in ids):
            tx.outbox.hold(row.seq, due=road.near.now(), reason="")
        tx.ledger.ring("far")

    # Not after its own pause, which is longer than a test.
    assert all(becomes(road.near, id, State.RECEIVED, State.READ, State.DONE) for id in ids)


def test_mail_waits_while_nobody_is_reached(road: Road) -> None:
    """And goes when the way is there again, in whichever order the two come back."""
    road.up()
    first = road.near.send(FAR, subject="first")
    assert becomes(road.near, first, State.RECEIVED)
    road.cut()
    waits = road.near.send(FAR, subject="waits")
    assert soon(lambda: road.near.peer_row("far").state != "linked", WITHIN_S)
    assert road.near.sent(waits).state is State.QUEUED

    road.mend()

    assert becomes(road.near, waits, State.RECEIVED)
    assert [each.id for each in road.far.inbox(agent=FAR)] == [first, waits]


def test_who_is_not_believed_stops_and_goes_on_when_resumed(road: Road) -> None:
    """A login that is refused is never tried blindly again; its mail waits for a person."""
    road.spoil()
    id = road.near.send(FAR, subject="waits")
    road.up()
    assert soon(lambda: road.near.peer_row("far").state == "stopped", WITHIN_S)
    assert road.near.sent(id).state is State.QUEUED

    road.restore()
    road.near.resume_peer("far")

    assert becomes(road.near, id, State.RECEIVED)

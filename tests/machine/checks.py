"""What must hold: after each step, and once everything was mended and has come to rest.

I1  A message whose `send` returned stands in its sender's outbox, in one state, and at rest it is in the
    inbox of its agent or dead with a reason.
I2  No inbox has a message twice, no host takes one for new twice, and no lease is held by two.
I3  What stands in an inbox is what its sender sent, whole.
I4  What a sender's host believes (`received`, `read`, `done`) stands on the disk of the host it is about,
    after a power cut, too. What a host knows of a message, the one that it came from knows or is being told.
I5  States move forward; every message that was sent has one.
I6  No host passes on more acks than it has grounds for, and everything comes to rest.
"""

from __future__ import annotations

from typing import Final

from spool.states import MOVES, ORDER, State
from tests.machine.counts import count
from tests.machine.shapes import NOWHERE, OUTER
from tests.machine.truth import In, Key, Look, Out, Truth

HELD_ORDER: Final = {"unread": 0, "read": 1, "done": 2, "dead": 3}
MEANS: Final = {"unread": State.RECEIVED, "read": State.READ, "done": State.DONE}
PROVEN: Final = (State.RECEIVED, State.READ, State.DONE)
# A message may have been taken where its sender's host was never told so, and ended here meanwhile.
UNKNOWING: Final = ("cancelled", "expired")


def every_step(truth: Truth, before: dict[str, Look], after: dict[str, Look], cut: str | None) -> None:
    """What must hold after each step.

    Args:
        cut: the host whose power went in this step: what was not synced may have gone back.
    """
    _nobody_made_up(truth, after)
    _nothing_missing(truth, after)
    for host, now in after.items():
        then = before[host]
        _inbox_stays(truth, host, then, now, cut=host == cut)
        if host != cut:
            _forward(truth, host, then, now)
    for host, now in after.items():
        for row in now.out.values():
            if row.peer and row.state in PROVEN:
                _proven(truth, after, host, row)
        _told(truth, after, host, now)


def _nobody_made_up(truth: Truth, after: dict[str, Look]) -> None:
    for host, now in after.items():
        for key, row in now.inn.items():
            letter = truth.letters.get(key)
            assert letter is not None, f"I3: {host} has {key}, which nobody sent"
            assert row.body in letter.bodies, f"I3: {host} has {key} with what nobody wrote"
            assert letter.home == host, f"I3: {host} has {key}, which is for {letter.home}"


def _nothing_missing(truth: Truth, after: dict[str, Look]) -> None:
    for key, letter in truth.letters.items():
        if letter.returned and letter.origin:
            assert key in after[letter.origin].out, f"I1: {letter.origin} has lost {key}"


def _inbox_stays(truth: Truth, host: str, then: Look, now: Look, *, cut: bool) -> None:
    for key, row in then.inn.items():
        there = now.inn.get(key)
        assert there is not None, f"I4: {key} was in the inbox of {host} and is gone"
        assert there.body == row.body, f"I3: {key} has changed at {host}"
        back = HELD_ORDER[there.state] < HELD_ORDER[row.state]
        assert cut or not back, f"I5: {key} went from {row.state} to {there.state} at {host}"
        if row.state == "done":
            assert not back, f"I4: {key} was done at {host} and is {there.state}"
            _same_outcome(host, row, there)
    for key, row in now.inn.items():
        _agent_did(truth, key, row)
        best = truth.furthest.get(key, "unread")
        truth.furthest[key] = max(best, row.state, key=HELD_ORDER.__getitem__)


def _agent_did(truth: Truth, key: Key, row: In) -> None:
    if row.state != "unread":
        assert key in truth.touched, f"{key} is {row.state}, and its agent has not seen it"
    if row.state == "done":
        tired = row.outcome == "rejected" and row.note is not None and row.note.startswith("given back")
        assert key in truth.ended or (tired and row.attempts > 5), f"{key} is done, and nobody did that"


def _forward(truth: Truth, host: str, then: Look, now: Look) -> None:
    for key, row in then.out.items():
        there = now.out.get(key)
        assert there is not None, f"I1: {key} was in the outbox of {host} and is gone"
        if there.state is not row.state:
            reached = _reachable(row.state, revived=key in truth.revived)
            assert there.state in reached, f"I5: {key} went from {row.state} to {there.state} at {host}"
            # The table lets `dead` follow on them, for hops that give a message up after all; none does.
            lost = there.state is State.DEAD and row.state in PROVEN
            assert not lost, f"I5: {key} was {row.state} at {host} and is dead: {there.reason}"
        if row.state is State.DONE:
            _same_outcome(host, row, there)


def _same_outcome(host: str, then: In | Out, now: In | Out) -> None:
    same = (then.outcome, then.note) == (now.outcome, now.note)
    assert same, f"I5: {then.key} was {then.outcome} at {host} and is {now.outcome}, its note {now.note!r}"


def _reachable(state: State, *, revived: bool) -> set[State]:
    found, new = {state}, {state}
    while new:
        new = {
            to for old in new for to in MOVES[old] if revived or (old, to) != (State.DEAD, State.QUEUED)
        } - found
        found |= new
    return found


def _proven(truth: Truth, after: dict[str, Look], host: str, row: Out) -> None:
    letter = truth.letters[row.key]
    if letter.home == OUTER:
        assert truth.first[OUTER, row.key] == 1, f"I4: {host} says {row.state} of {row.key}, not there"
        return
    there = None if letter.home == NOWHERE else after[letter.home].inn.get(row.key)
    assert there is not None, f"I4: {host} says {row.state} of {row.key}, which its agent does not have"
    assert there.body == row.body, f"I3: {host} says {row.state} of another {row.key}"
    furthest = ORDER[MEANS[truth.furthest[row.key]]]
    assert ORDER[row.state] <= furthest, f"I4: {host} says {row.state} of {row.key}, and it never was"


def _told(truth: Truth, after: dict[str, Look], host: str, now: Look) -> None:
    """What is known of a message further on is known where it came from, or an ack of it waits."""
    waiting = {(peer, key) for peer, key, _ in now.acks}
    for key, got in now.inn.items():
        if got.peer in after and got.state != "unread":
            _knows(truth, after[got.peer], key, MEANS[got.state], host, told=(got.peer, key) in waiting)
    for key, out in now.out.items():
        if out.origin in after and (out.state in PROVEN or out.state is State.DEAD):
            _knows(truth, after[out.origin], key, out.state, host, told=(out.origin, key) in waiting)


def _knows(truth: Truth, there: Look, key: Key, state: State, host: str, *, told: bool) -> None:
    row = there.out[key]
    if told or (state is State.DEAD and key in truth.retried):
        return
    proven = row.state in PROVEN and ORDER[row.state] >= ORDER[state]
    knows = row.state in (*PROVEN, State.DEAD) if state is State.DEAD else proven
    assert knows, f"I4: {key} is {state} at {host}, {row.state} where it came from, and no ack says so"


def at_rest(truth: Truth, after: dict[str, Look]) -> None:
    """What must hold once every fault is mended and nothing is left to be carried."""
    for key, letter in truth.letters.items():
        if letter.returned and letter.origin:
            _arrived(truth, after, key, after[letter.origin].out[key])
    for host, now in after.items():
        assert now.acks == [], f"I6: {host} is left with acks: {now.acks}"
        for key, row in now.out.items():
            assert row.due is None and row.state is not State.SENT, f"I1: {host} still has {row}"
            if key not in truth.letters or truth.letters[key].origin != host:
                _arrived(truth, after, key, row)
    _no_storm(truth)


def _arrived(truth: Truth, after: dict[str, Look], key: Key, row: Out) -> None:
    least, most = _there(truth, after, key, row)
    if row.state is State.DEAD:
        assert row.reason, f"I1: {key} is dead without a reason"
        count("dead at rest")
        if most is not State.DEAD:
            assert row.reason.startswith(UNKNOWING), f"I1: {key} is {most} there and dead here: {row.reason}"
            assert least is State.RECEIVED, f"I4: the acks of {key} were lost: {least} there, dead here"
            count("ended here and taken there")
        return
    assert most is not State.DEAD, f"I1: {key} is lost: {row.state} here, and it is in no inbox"
    right = ORDER[least] <= ORDER[row.state] <= ORDER[most]
    assert right, f"I4: {key} is {least} there and {row.state} here: an ack was lost"
    count("arrived once")


def _there(truth: Truth, after: dict[str, Look], key: Key, row: Out) -> tuple[State, State]:
    """The state that its sender's host should know of, at least and at most; dead where it is not there."""
    letter = truth.letters[key]
    if letter.home == OUTER:
        state = State.RECEIVED if truth.first[OUTER, key] else State.DEAD
        return state, state
    if letter.home == NOWHERE or (found := after[letter.home].inn.get(key)) is None:
        return State.DEAD, State.DEAD
    if row.state is State.DONE and found.state == "done":
        assert row.outcome == found.outcome, f"I4: {key} is {found.outcome}, its sender says {row.outcome}"
    # A power cut may undo `read`, and the word of it may have gone out before.
    return MEANS[found.state], MEANS[truth.furthest[key]]


def _no_storm(truth: Truth) -> None:
    for (host, key), made in truth.acks.items():
        letter = truth.letters[key]
        # Its own agent gives grounds for two at most: read and done.
        own = 2 if letter.home == host else 1
        grounds = truth.told[host, key] + own
        assert len(made) <= grounds, f"I6: {host} made {len(made)} acks of {key} on {grounds} grounds"

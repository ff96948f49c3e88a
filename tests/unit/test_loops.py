"""The loop guard at work: circles of agents stop, honest threads pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spool.store.base import HELD_TYPE, Session, is_held
from tests.circles import Circle

LIMIT = 16
HOUR_S = 3600.0


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Circle]:
    """Three agents on three hosts."""
    with Circle(tmp_path, "ann", "bob", "cid") as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Circle]:
    """Two agents on two hosts."""
    with Circle(tmp_path, "ann", "bob") as made:
        yield made


NEXT = {"ann": "bob", "bob": "cid", "cid": "ann"}


def forward(circle: Circle) -> Counter[str]:
    """Every agent sends what it gets on to the next, until nobody does; how much of each one's went."""
    went: Counter[str] = Counter()
    for _ in range(500):
        circle.now.at += 2.0
        circle.carry()
        moved = False
        for agent, to in NEXT.items():
            for row in circle.take(agent):
                posted = circle[agent].post([{"to": to, "subject": "On it goes", "re": row.id}])
                went[agent] += not posted[0].held
                moved = True
        if not moved:
            return went
    raise AssertionError(f"it goes on and on: {went}")


def test_a_circle_of_three_stops(three: Circle) -> None:
    """By `re` alone: the thread is filled in where the answered message is known, and goes with it."""
    root = three["ann"].send("bob", subject="Round and round")
    went = forward(three)

    # Ann began it: so it is Bob who has answered once more than anybody else.
    assert went == {"ann": LIMIT, "bob": LIMIT, "cid": LIMIT}
    ((hold, rows),) = three["bob"].held()
    assert (hold.agent, hold.thread, hold.other, hold.turns) == ("bob", root, "cid", LIMIT)
    assert [row.recipient for row in rows] == ["cid"] and all(map(is_held, rows))
    assert three["ann"].held() == three["cid"].held() == []


def test_the_other_side_of_a_circle_is_told_once(three: Circle) -> None:
    """In the thread, from the agent that is held, and wanting no answer."""
    root = three["ann"].send("bob", subject="Round and round")
    forward(three)

    assert three.told("ann") == three.told("bob") == []
    (row,) = three.told("cid")
    assert (row.sender, row.thread, row.re, row.priority) == ("bob", root, None, 3)
    assert b"Do not answer" in row.raw and b"requires_response" not in row.raw


def test_two_that_answer_each_other_stop(two: Circle) -> None:
    """The one that was written to first is held: it has answered most."""
    two["ann"].send("bob", subject="Ping")
    held = None
    for _ in range(100):
        two.now.at += 1.0
        two.carry()
        for agent in ("bob", "ann"):
            for row in two.take(agent):
                posted = two[agent].post_reply(row.id, "And you?")
                held = held or (posted if posted.held else None)

    assert held is not None and held.to == "ann"
    with two["bob"].store.read() as tx:
        assert tx.outbox.counts() == {"received": LIMIT + 1, "queued": 1}
    assert [row.sender for row in two.told("ann")] == ["bob"]


def test_who_answers_the_word_of_a_hold_is_not_held_for_it(two: Circle) -> None:
    """Else one hold would bring the next, all along the circle."""
    two["ann"].send("bob", subject="Ping")
    for _ in range(100):
        two.now.at += 1.0
        two.carry()
        for agent in ("bob", "ann"):
            for row in two[agent].inbox(unread_only=True):
                two[agent].reply(row.id, "And you?")

    assert [hold.agent for hold, _ in two["bob"].held()] == ["bob"]
    assert two["ann"].held() == []


def test_mail_that_calls_itself_the_word_of_a_hold_counts(two: Circle) -> None:
    """One is no mail that was answered, two are: or a peer could keep us going for ever with them."""
    unguarded(two, "ann")
    root = two["ann"].send("bob", subject="Ping")
    two.carry()
    two["bob"].reply(root, "Pong")
    for _ in range(2 * LIMIT):
        assert two["bob"].held() == []
        two.now.at += 1.0
        two["ann"].send("bob", subject="Go on", type=HELD_TYPE, thread=root)
        two.carry()
        two["bob"].send("ann", subject="I do", thread=root)

    assert two["bob"].held() != []


def test_a_peer_that_counts_nothing_changes_nothing(two: Circle) -> None:
    """Each host counts what its own agents do: one that guards is enough for a loop of any length."""
    unguarded(two, "ann")
    talk(two, 100, over_s=60.0)

    assert [hold.agent for hold, _ in two["bob"].held()] == ["bob"]
    assert two["ann"].held() == []


def unguarded(circle: Circle, agent: str) -> None:
    """The host of an agent holds nothing, as one with an older spool or a script."""
    spool = circle[agent]
    spool.config = msgspec.structs.replace(
        spool.config, host=msgspec.structs.replace(spool.config.host, loop_turns=0)
    )


def test_a_busy_thread_passes(two: Circle) -> None:
    """Two hundred reports within an hour are as many turns as there were answers between them: fifteen."""
    root = two["ann"].send("bob", subject="Build it, and say how it goes")
    two.carry()
    for n in range(200):
        two.now.at += HOUR_S / 201
        assert not two["bob"].post([{"to": "ann", "subject": f"{n / 2} %", "thread": root}])[0].held
        two.carry()
        if n % 13 == 12:
            assert not two["ann"].post([{"to": "bob", "subject": "Go on", "thread": root}])[0].held
            two.carry()

    assert two["bob"].unread() == 16 and two["ann"].unread() == 200


def talk(circle: Circle, rounds: int, *, over_s: float) -> int:
    """Two agents answer each other in one thread; how many messages were held."""
    row_id = circle["ann"].send("bob", subject="How is it?")
    held = 0
    for n in range(rounds):
        circle.carry()
        circle.now.at += over_s / rounds
        me, you = ("bob", "ann") if n % 2 == 0 else ("ann", "bob")
        posted = circle[me].post([{"to": you, "subject": "So it is", "re": row_id}])[0]
        row_id, held = posted.id, held + posted.held
    return held


def test_a_long_talk_passes(two: Circle) -> None:
    """Sixty alternations, each of them a turn of either side, over eight hours."""
    assert talk(two, 120, over_s=8 * HOUR_S) == 0


def test_the_same_talk_within_an_hour_is_held(two: Circle) -> None:
    """So that the test before this one says something."""
    assert talk(two, 120, over_s=HOUR_S) > 0


def prompt(circle: Circle, agent: str) -> None:
    """A person types something to an agent's session."""
    now = circle.now.at
    with circle[agent].store.write(sync=False) as tx:
        tx.sessions.put(Session(id="s1", agent=agent, since=now, seen_at=now, prompted_at=now))


def test_a_person_between_is_no_loop(two: Circle) -> None:
    """Thirty turns of both sides within an hour, and somebody types to both after every ten."""
    row_id = two["ann"].send("bob", subject="How is it?")
    for n in range(60):
        two.carry()
        two.now.at += 50.0
        me, you = ("bob", "ann") if n % 2 == 0 else ("ann", "bob")
        if n % 20 == 19:
            prompt(two, "ann")
            prompt(two, "bob")
        posted = two[me].post([{"to": you, "subject": "So it is", "re": row_id}])[0]
        assert not posted.held, n
        row_id = posted.id


def test_released_it_goes_on_until_the_next_limit(three: Circle) -> None:
    """What was held goes; then as many turns as before, and a second hold, told of as the first."""
    three["ann"].send("bob", subject="Round and round")
    forward(three)
    ((hold, (row,)),) = three["bob"].held()
    assert [each.id for each in three["bob"].release(hold)] == [row.id]
    assert three["bob"].held() == []

    three.now.at += HOUR_S
    # Now it is Cid who answers first, and who is held first.
    assert forward(three) == {"ann": LIMIT, "bob": LIMIT, "cid": LIMIT}
    ((second, _),) = three["cid"].held()
    assert (second.thread, second.other) == (hold.thread, "ann")
    assert [row.sender for row in three.told("ann")] == ["cid"]


def test_released_within_the_hour_it_counts_from_zero(two: Circle) -> None:
    """What a person has let pass does not count against the next turn."""
    talk(two, 2 * LIMIT + 1, over_s=HOUR_S / 2)
    ((hold, (row,)),) = two["bob"].held()
    two["bob"].release(hold)
    assert two.carry() == 2  # the message, and the word of its hold

    posted = two["ann"].post([{"to": "bob", "subject": "So it is", "re": row.id}])[0]
    two.carry()
    assert not two["bob"].post([{"to": "ann", "subject": "Is it?", "re": posted.id}])[0].held

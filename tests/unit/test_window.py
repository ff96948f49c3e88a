"""What a link has sent and not had answered: how much that may be, and what each answer is for."""

from __future__ import annotations

import pytest

from spool.errors import LinkLost
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports import frames
from spool.transports.base import Accepted, Deferred, Left, Outcome, Refused
from spool.transports.window import FRAME_BYTES, LEASE, MOST, MOST_BYTES, Window, outcome_of, result_of
from tests.rows import new_ack, new_parcel


def parcel(seq: int = 1, size: int = 10) -> Parcel:
    """A leased message of so many bytes."""
    return new_parcel(seq, raw=b"x" * size)


def ack(seq: int = 1) -> LeasedAck:
    """A leased ack."""
    return LeasedAck(seq, 7, new_ack(f"m{seq}"))


def sent(window: Window, *parcels: Parcel, acks: list[LeasedAck] | None = None) -> list[frames.Frame]:
    """What goes out for a load."""
    return window.pack(Load(list(parcels), acks or []), now=2.0)


def numbers(packed: list[frames.Frame]) -> list[int]:
    """The numbers of frames that are answered."""
    return [one.n for one in packed if isinstance(one, frames.Messages | frames.Acks)]


def accepted(n: int, many: int = 1) -> frames.Results:
    """The answer that all of a frame was taken."""
    return frames.Results(n, [frames.Result("accepted", 5.0, True)] * many)


def test_every_frame_has_a_number_of_its_own() -> None:
    """An answer says nothing but the number; two frames of one number would be answered at once."""
    window = Window()

    given = [window.next_number(), *numbers(sent(window, parcel(), acks=[ack()])), window.next_number()]

    assert given == [1, 2, 3, 4]


def test_acks_go_first_and_all_in_one_frame() -> None:
    """They tell an agent that waits; messages may be long."""
    packed = sent(Window(), parcel(1), acks=[ack(1), ack(2)])

    assert [type(one) for one in packed] == [frames.Acks, frames.Messages]
    assert packed[0] == frames.Acks(1, [new_ack("m1"), new_ack("m2")])


def test_a_window_with_anything_in_it_is_not_empty() -> None:
    """A link that owes an answer, or is owed one, is no idle one."""
    nothing, messages, acks = Window(), Window(), Window()
    sent(messages, parcel())
    sent(acks, acks=[ack()])

    assert [window.is_empty for window in (nothing, messages, acks)] == [True, False, False]


def test_so_many_messages_may_be_unanswered() -> None:
    """A far side that takes and never answers must not make this host lease its whole outbox."""
    window = Window()
    rooms = []
    for start in range(0, MOST, LEASE):
        rooms.append(window.room())
        sent(window, *(parcel(n) for n in range(start, start + LEASE - 1)))

    assert rooms == [LEASE] * 8
    assert window.room() == 8


def test_so_many_bytes_may_be_unanswered() -> None:
    """Long messages fill what the system keeps for a pipe long before their number does."""
    almost, full = Window(), Window()
    sent(almost, *(parcel(n, MOST_BYTES // 4) for n in range(3)), parcel(3, MOST_BYTES // 4 - 1))
    sent(full, *(parcel(n, MOST_BYTES // 4) for n in range(4)))

    assert (almost.room(), full.room()) == (LEASE, 0)


def test_what_is_answered_makes_room_again() -> None:
    """Else a link would carry 2,048 messages, or 8 MiB, and then no more."""
    window = Window()
    first = numbers(sent(window, *(parcel(n, MOST_BYTES // 2) for n in range(2))))
    for n in first:
        window.told(accepted(n), host="far")
    second = numbers(sent(window, *(parcel(n) for n in range(MOST))))
    for n in second:
        window.told(accepted(n, MOST), host="far")

    assert (window.room(), window.is_empty) == (LEASE, True)
    sent(window, *(parcel(n) for n in range(MOST - 5)))
    assert window.room() == 5


def test_a_frame_is_cut_where_it_would_be_too_long() -> None:
    """The far side commits a frame at a time, and a whole one must come over before it can."""
    half = FRAME_BYTES // 2
    packed = sent(Window(), parcel(1, half), parcel(2, half), parcel(3, 1), parcel(4, FRAME_BYTES), parcel(5))

    counts = [len(one.items) for one in packed if isinstance(one, frames.Messages)]
    assert counts == [2, 1, 1, 1]


def test_a_message_longer_than_a_frame_goes_alone() -> None:
    """It is allowed to be: the limit of messages is another one."""
    packed = sent(Window(), parcel(1, FRAME_BYTES + 1), parcel(2))

    assert [len(one.items) for one in packed if isinstance(one, frames.Messages)] == [1, 1]


def test_an_item_says_what_is_left_of_the_lifetime() -> None:
    """The far clock may be another; only a span of time means the same there."""
    packed = sent(Window(), parcel())

    assert isinstance(packed[0], frames.Messages)
    assert packed[0].items[0].t == 98.0


def test_each_message_gets_its_own_answer() -> None:
    """Results have no names, only an order."""
    window = Window()
    one, two = parcel(1), parcel(2)
    (n,) = numbers(sent(window, one, two))

    told = window.told(
        frames.Results(n, [frames.Result("refused", why="no"), frames.Result("deferred")]), host="far"
    )

    assert told == [(one, Refused("no")), (two, Deferred(""))]


def test_a_second_answer_to_a_frame_is_none() -> None:
    """What was settled is settled: the same word again must not count its bytes out twice."""
    window = Window()
    (n,) = numbers(sent(window, parcel()))
    window.told(accepted(n), host="far")

    assert window.told(accepted(n), host="far") == []
    assert window.room() == LEASE


@pytest.mark.parametrize("many", [0, 1, 3])
def test_answers_that_do_not_fit_the_frame_end_the_link(many: int) -> None:
    """Which of them was for which message nobody could say, and all are offered again."""
    window = Window()
    (n,) = numbers(sent(window, parcel(1), parcel(2)))

    with pytest.raises(LinkLost, match=f"frame {n}"):
        window.told(accepted(n, many), host="far")
    assert [one.seq for one in window.empty().parcels] == [1, 2]


def test_acks_are_forgotten_once_they_are_said_to_be_there() -> None:
    """They are dropped by what this returns: twice, or never, would each be wrong."""
    window = Window()
    (n,) = numbers(sent(window, acks=[ack(1), ack(2)]))

    assert window.acks_of(n + 1) is None
    assert window.acks_of(n) == [ack(1), ack(2)]
    assert window.acks_of(n) is None
    assert window.is_empty


def test_all_that_is_unanswered_is_given_back_once() -> None:
    """The next link offers it at once; what stayed behind here would wait for its lease to end."""
    window = Window()
    sent(window, parcel(1, FRAME_BYTES), parcel(2, MOST_BYTES), acks=[ack(1)])
    sent(window, parcel(3), acks=[ack(2)])

    assert window.empty() == Load(
        [parcel(1, FRAME_BYTES), parcel(2, MOST_BYTES), parcel(3)], [ack(1), ack(2)]
    )
    assert window.empty() == Load([], [])
    assert (window.is_empty, window.room()) == (True, LEASE)
    sent(window, *(parcel(n) for n in range(MOST - 3)))
    assert window.room() == 3


@pytest.mark.parametrize(
    "outcome",
    [
        Accepted(at=5.0, final=True, host="far"),
        Accepted(at=5.0, final=False, host="far", again=True),
        Deferred("its disk is full", 30.0),
        Refused("nobody of that name"),
    ],
)
def test_an_outcome_comes_over_as_it_was(outcome: Outcome) -> None:
    """What the far side decided is what the sender's host writes down."""
    assert outcome_of(result_of(outcome), "far") == outcome


def test_what_was_left_in_a_folder_is_accepted_and_not_final() -> None:
    """It is on its way; that it arrived is for its agent's own host to say."""
    assert outcome_of(result_of(Left(5.0)), "far") == Accepted(at=5.0, final=False, host="far")


@pytest.mark.parametrize(("word", "kind"), [("refused", Refused), ("deferred", Deferred)])
def test_a_reason_is_cut_to_what_can_be_kept(word: str, kind: type[Refused | Deferred]) -> None:
    """It is the far side's text, and stands in the database from then on."""
    told = outcome_of(frames.Result(word, why="y" * 1001), "far")

    assert told == kind("y" * 1000)


def test_an_answer_of_a_newer_version_is_no_answer_yet() -> None:
    """To take it for a refusal would end a message that may well be taken by the next try."""
    told = outcome_of(frames.Result("w" * 60), "far")

    assert told == Deferred("an answer this version does not know: " + "w" * 40)

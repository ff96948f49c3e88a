"""One end of a link by itself: what it answers, what it asks, and how it ends; the far end is the test."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spool.clock import Clock
from spool.errors import FarDiskFull, LinkLost, NoSpoolThere, StoreFull, Superseded, TimedOut
from spool.gate import Gate
from spool.message import Ack, Message, seal
from spool.outbox import row_of
from spool.settings import Settings
from spool.store.base import PeerRow
from spool.store.sqlite import SqliteStore
from spool.transports import frames, window
from spool.transports import link as links
from spool.transports.link import Link
from tests.desk import Turned, make_home
from tests.rows import link as newer_link
from tests.rows import new_ack, new_incoming
from tests.waiting import soon

PEERS = '[peers.far]\nagents = ["fay"]\n'
AT = 1_000_000.0
WITHIN_S = 20.0


class Wire:
    """A pipe whose far end is the test: what comes in is put there, what goes out is kept."""

    def __init__(self) -> None:
        self.out: list[frames.Frame] = []
        self.closed = threading.Event()
        self.broken = False
        self._in: queue.Queue[bytes] = queue.Queue()

    def say(self, *said: frames.Frame) -> None:
        """Let frames come, all at once."""
        self._in.put(b"".join(map(frames.encode, said)))

    def send(self, frames_now: bytes) -> None:
        if self.closed.is_set() or self.broken:
            raise LinkLost("far: the pipe is closed")
        self.out += decoded(frames_now)

    def receive(self, max_bytes: int) -> bytes:
        return self._in.get()

    def close(self) -> None:
        self.closed.set()
        self._in.put(b"")

    def last_words(self) -> str:
        return ""

    def exit_status(self) -> int | None:
        return None


def decoded(packed: bytes | None) -> list[frames.Frame]:
    """Frames as the far side reads them."""
    found = [frames.decode(line) for line in (packed or b"").splitlines()]
    assert None not in found
    return [one for one in found if one is not None]


class Near:
    """The host `here` with its end of a link to the peer `far`, whose clock the test turns."""

    def __init__(self, folder: Path) -> None:
        home = make_home(folder, "me", peers=PEERS)
        self.now, self.monotonic, self.wire = Turned(AT), Turned(500.0), Wire()
        self.store = SqliteStore(home)
        clock = Clock(self.now, self.monotonic)
        settings = Settings(home, self.store, clock)
        self.gate = Gate(self.store, settings, "far", clock=clock, token="t-1", version="1")
        self.link = Link(self.wire, self.gate, dialled=True)
        self._running: threading.Thread | None = None
        self.ended: BaseException | None = None

    def greeted(self) -> Near:
        """As it stands behind the far hello; nothing runs."""
        self.gate.arrived(frames.Hello("fars-own", features=list(frames.FEATURES)), dialled=True)
        return self

    def hears(self, *said: frames.Frame) -> None:
        """Take frames as the reader does that found all of them."""
        self.link._take([frames.encode(one)[:-1] for one in said])

    def says(self) -> list[frames.Frame]:
        """What the writer would send until it has no more to say."""
        said: list[frames.Frame] = []
        while packed := decoded(self.link._next()):
            said += packed
        return said

    def runs(self) -> None:
        """Let it run, in threads of its own."""
        self._running = threading.Thread(target=self._run)
        self._running.start()

    def _run(self) -> None:
        try:
            self.link.run()
        except Exception as exc:
            self.ended = exc

    def error(self) -> BaseException | None:
        """What it ended with."""
        assert self._running is not None
        self._running.join(30.0)
        assert not self._running.is_alive(), "it goes on"
        return self.ended

    def put(self, *ids: str) -> None:
        """Messages for the far side."""
        with self.store.write(sync=False) as tx:
            for id in ids:
                message = sealed(id, "me", "fay")
                tx.outbox.put(row_of(message, peer="far", origin=None, now=AT))

    def row(self) -> PeerRow:
        """What the store knows of the peer."""
        with self.store.read() as tx:
            return tx.peers.get("far")

    def states(self) -> dict[str, int]:
        """How many messages of the outbox stand where."""
        with self.store.read() as tx:
            return tx.outbox.counts()

    def leased(self) -> int:
        """How many a new look finds to be leased."""
        with self.store.write(sync=False) as tx:
            generation = tx.peers.get("far").generation
            found = tx.outbox.lease("far", generation=generation, now=AT, until=AT + 1, limit=9)
            tx.outbox.release(found)
        return len(found)


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Near]:
    """One end of a link, which waits for nothing that cannot come."""
    monkeypatch.setattr(links, "LOOK_S", 0.02)
    made = Near(tmp_path)
    yield made
    made.link.end()
    if made._running is not None:
        made._running.join(30.0)
    made.store.close()


def sealed(id: str, sender: str = "fay", to: str = "me") -> Message:
    """A message with all its fields."""
    return seal({"from": sender, "to": to, "body": "x"}, id=id, timestamp="2025-11-13T10:30:45Z")


def mail(n: int, *ids: str) -> frames.Messages:
    """A frame with messages for an agent here."""
    return frames.Messages(
        n, [frames.Item(60.0, m=msgspec.Raw(sealed(id).raw), x=list(sealed(id).filled)) for id in ids]
    )


# -- what is answered ------------------------------------------------------------------------------


def test_each_frame_of_messages_is_answered_by_its_number(near: Near) -> None:
    """They are committed together; but the far side counts by frames, and by the order within each."""
    near.greeted().hears(mail(7, "m1", "m2"), mail(8, "m3"), mail(9, "m1"))

    told = [one for one in near.says() if isinstance(one, frames.Results)]
    assert [(one.n, len(one.items)) for one in told] == [(7, 2), (8, 1), (9, 1)]
    assert [item.again for one in told for item in one.items] == [False, False, False, True]
    assert all(item.r == "accepted" and item.final for one in told for item in one.items)


def test_what_comes_between_messages_is_answered_in_order(near: Near) -> None:
    """A question behind a message is asked of what stands then; each message is there before its answer."""
    key = frames.Key("fay", "m1")
    near.greeted().hears(frames.Query(1, [key]), mail(2, "m1"), frames.Query(3, [key]), mail(4, "m2"))

    said = [one for one in near.says() if isinstance(one, frames.Answers | frames.Results)]
    assert [one.n for one in said] == [1, 2, 3, 4]
    assert [one.items[0].status for one in said if isinstance(one, frames.Answers)] == ["unknown", "received"]


def test_acks_are_answered_once_they_are_on_disk(near: Near) -> None:
    """The far side forgets them by this answer."""
    near.greeted().put("m1")
    near.says()
    near.hears(frames.Acks(5, [Ack(sender="fay", to="me", re="m1", status="read", at=5.0, host="fars-own")]))

    assert frames.Results(5) in near.says()
    assert near.states() == {"read": 1}


def test_the_answer_settles_the_message_and_acks_are_forgotten(near: Near) -> None:
    """Results say by their number only which of the two they are for."""
    near.greeted().put("m1")
    with near.store.write(sync=False) as tx:
        tx.acks.put("far", new_ack("x1", sender="me", to="fay"))
    acks, messages = (one for one in near.says() if isinstance(one, frames.Acks | frames.Messages))

    near.hears(frames.Results(acks.n), frames.Results(messages.n, [frames.Result("accepted", 5.0, True)]))

    assert near.states() == {"received": 1}
    with near.store.read() as tx:
        assert tx.acks.waiting() == {}
    assert near.gate.carried == 2


def test_a_ping_is_answered_where_it_asks(near: Near) -> None:
    """By the clock of this host, from which the far one reckons how far the two are apart."""
    near.greeted().hears(frames.Ping(3, 1.0, echo=True), frames.Ping(4, 1.0))

    assert [one for one in near.says() if isinstance(one, frames.Pong)] == [frames.Pong(3, AT)]


def test_what_a_ping_tells_is_kept_and_what_it_does_not_tell_stays(near: Near) -> None:
    """`status` shows how much waits there; a ping that says nothing of it is no zero."""
    near.greeted().hears(frames.Ping(1, 1.0, unread=3, queued=4), frames.Ping(2, 1.0))

    assert (near.row().far_unread, near.row().far_queued) == (3, 4)


def test_the_agents_of_a_ping_are_heard_without_counts(near: Near) -> None:
    """Each part of it may be missing by itself."""
    near.greeted().hears(frames.Ping(1, 1.0, agents=[frames.AgentNow("fay", 2)]))

    with near.store.read() as tx:
        assert [told.unread for told in tx.presence.told("far")] == [2]


def test_the_clocks_are_compared_by_the_middle_of_an_echo(near: Near) -> None:
    """Half of the way there and back is the best that can be known of one way."""
    near.greeted().link._ping(echo=True)
    (ping,) = (one for one in near.says() if isinstance(one, frames.Ping))
    near.now.at += 4.0
    near.hears(frames.Pong(ping.n, AT + 102.0), frames.Pong(ping.n, AT + 9999.0), frames.Pong(99, 0.0))

    assert near.row().clock_offset == 100.0


def test_a_ping_without_echo_waits_for_no_pong(near: Near) -> None:
    """A pong nobody asked for would move what is known of the far clock."""
    near.greeted().link._ping(echo=False)
    (ping,) = (one for one in near.says() if isinstance(one, frames.Ping))
    before = near.row().clock_offset
    near.hears(frames.Pong(ping.n, AT + 55.0))

    assert not ping.echo
    assert near.row().clock_offset == before


def test_a_frame_of_an_unknown_kind_is_passed_over(near: Near) -> None:
    """What stands around it is taken all the same."""
    near.greeted().link._take([b'{"f":"news"}', frames.encode(mail(1, "m1"))[:-1], b'{"f":"news"}'])

    assert [one.n for one in near.says() if isinstance(one, frames.Results)] == [1]


@pytest.mark.parametrize(
    ("kind", "meant"), [("store_full", FarDiskFull), ("superseded", Superseded), ("no_such", LinkLost)]
)
def test_a_bye_ends_the_link_with_its_reason(near: Near, kind: str, meant: type[Exception]) -> None:
    """When to try again rests on what it was."""
    with pytest.raises(meant, match="no more"):
        near.greeted().hears(frames.Bye(kind, "no more"))


# -- what is sent ----------------------------------------------------------------------------------


def test_mail_that_was_put_is_sent_once(near: Near) -> None:
    """A look finds it; the next one finds it leased."""
    near.greeted().put("m1", "m2")

    said = near.says()
    near.link.poke()
    assert [len(one.items) for one in said if isinstance(one, frames.Messages)] == [2]
    assert not [one for one in near.says() if isinstance(one, frames.Messages)]


def test_more_than_fits_is_looked_for_at_once(near: Near) -> None:
    """Nobody rings again for the rest of a backlog."""
    near.greeted().put(*(f"m{n}" for n in range(300)))

    said = [one for one in near.says() if isinstance(one, frames.Messages)]
    assert sum(len(one.items) for one in said) == 300


def test_where_no_more_may_be_unanswered_no_mail_is_looked_for(
    near: Near, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for nothing would be followed by the next one, at once and without end."""
    monkeypatch.setattr(window, "MOST_BYTES", 0)
    near.greeted().put("m1")

    assert near.link._next() is None
    assert not near.link._look
    assert near.leased() == 1


def test_mail_in_quick_succession_goes_together(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of it at once; what comes within a moment of that shares a lease, a commit and an answer."""
    monkeypatch.setattr(links, "LINGER_S", 5.0)
    near.greeted().put("m1")
    assert near.says()
    for id in ("m2", "m3"):
        near.put(id)
        near.link.poke()
    near.link._send(frames.Pong(1, 1.0))

    near.monotonic.at += 4.9
    # Answers wait for nothing.
    assert near.says() == [frames.Pong(1, 1.0)]
    near.monotonic.at += 0.2
    (messages,) = near.says()
    assert isinstance(messages, frames.Messages) and len(messages.items) == 2


def test_what_was_asked_goes_before_new_mail(near: Near) -> None:
    """The far side waits for answers with its window full; mail can wait."""
    near.greeted().put("m1")
    near.hears(mail(1, "m2"))

    assert [type(one) for one in near.says()][:2] == [frames.Results, frames.Messages]


def test_answers_are_handed_to_the_pipe_in_parts(near: Near) -> None:
    """What is in the pipe's hands is not counted any more: all of it at once would hide who does not read."""
    near.greeted()
    for n in range(300):
        near.link._send(frames.Pong(n, 1.0))

    first, second = decoded(near.link._next()), decoded(near.link._next())
    assert [one.n for one in (*first, *second) if isinstance(one, frames.Pong)] == list(range(300))
    assert len(first) == 256


def test_who_does_not_read_answers_loses_the_link(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept in memory until the far side takes them."""
    frame = frames.Pong(1, 1.0)
    monkeypatch.setattr(links, "UNREAD_BYTES", 2 * len(frames.encode(frame)))
    near.greeted()
    for _ in range(5):
        near.link._send(frame)
        near.link._send(frame)
        near.link._next()

    near.link._send(frame)
    near.link._send(frame)
    with pytest.raises(LinkLost, match="far: it asks on"):
        near.link._send(frame)


def test_a_silent_end_is_heard_of(near: Near) -> None:
    """The far side gives a link up from which nothing comes; what this ping says is only that."""
    near.greeted().says()
    near.monotonic.at += links.PING_S - 0.1
    quiet = near.says()
    near.monotonic.at += 0.1
    assert near.link._next() is None
    (ping,) = near.says()

    assert not quiet
    assert isinstance(ping, frames.Ping)
    assert (ping.echo, ping.unread, ping.agents, ping.clock) == (False, None, None, AT)


def test_a_ping_that_tells_says_what_waits_here(near: Near) -> None:
    """For the far side's `status`."""
    near.greeted().put("m1", "m2")
    with near.store.write(sync=False) as tx:
        tx.inbox.put(new_incoming(agent="me"))
    near.link._ping(echo=True)

    (ping,) = (one for one in near.says() if isinstance(one, frames.Ping))
    assert (ping.echo, ping.unread, ping.queued, ping.clock) == (True, 1, 2, AT)
    assert [one.name for one in ping.agents or []] == ["me"]


def test_it_is_quiet_only_where_nothing_is_on_its_way(near: Near) -> None:
    """A link that is dialled for what there is ends by this, and must not end before an answer came."""
    near.greeted().put("m1")
    looks = near.link.quiet_for()
    (messages,) = (one for one in near.says() if isinstance(one, frames.Messages))
    near.monotonic.at += 50.0
    waits = near.link.quiet_for()
    near.hears(frames.Results(messages.n, [frames.Result("accepted", 5.0, True)]))
    assert near.link._next() is None
    near.says()
    near.monotonic.at += 3.0

    assert (looks, waits, near.link.quiet_for()) == (0.0, 0.0, 3.0)
    near.link._send(frames.Pong(1, 1.0))
    assert near.link.quiet_for() == 0.0


@pytest.mark.parametrize("said", [mail(1, "m1"), frames.Acks(1, [])])
def test_what_comes_counts_as_a_move(near: Near, said: frames.Frame) -> None:
    """Who sends is not done yet."""
    near.greeted().says()
    near.monotonic.at += 50.0
    near.hears(said)
    near.says()

    assert near.link.quiet_for() == 0.0


def test_it_is_asked_once_about_what_is_long_on_its_way(near: Near) -> None:
    """A relay that lost it says so, and it is offered again."""
    near.greeted().put("m1")
    (messages,) = (one for one in near.says() if isinstance(one, frames.Messages))
    near.hears(frames.Results(messages.n, [frames.Result("accepted", 5.0)]))
    near.now.at += 3601.0
    near.link._ask_where_it_stands()
    near.link._ask_where_it_stands()

    (query,) = (one for one in near.says() if isinstance(one, frames.Query))
    assert query.items == [frames.Key("me", "m1")]
    near.hears(frames.Answers(query.n, [frames.Answer("me", "m1", "unknown")]))
    near.monotonic.at += 1.0
    assert [len(one.items) for one in near.says() if isinstance(one, frames.Messages)] == [1]


# -- from hello to the end -------------------------------------------------------------------------


def test_it_greets_carries_and_gives_back_what_was_not_answered(near: Near) -> None:
    """The whole of it in its own threads; the next link offers at once what this one has not settled."""
    near.put("m1")
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT), mail(1, "m2"))
    assert soon(lambda: any(isinstance(one, frames.Messages) for one in near.wire.out), WITHIN_S)
    assert soon(lambda: any(isinstance(one, frames.Results) for one in near.wire.out), WITHIN_S)
    up, before = near.link.up.is_set(), near.leased()
    near.wire.close()

    assert isinstance(near.wire.out[0], frames.Hello)
    first = next(one for one in near.wire.out if isinstance(one, frames.Ping))
    assert (first.echo, first.queued) == (True, 1)
    assert (up, before) == (True, 0)
    assert isinstance(near.error(), LinkLost)
    assert near.leased() == 1
    assert (near.row().state, near.row().holder) == ("waiting", None)


def test_ended_on_purpose_it_ends_without_an_error(near: Near) -> None:
    """`spool down` is no failure of the peer."""
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))
    assert soon(near.link.up.is_set, WITHIN_S)
    near.link.end()

    assert near.error() is None
    assert near.wire.closed.is_set()


def test_the_first_reason_is_why_it_ended(near: Near) -> None:
    """What follows an end is mostly that the pipe is closed, which says nothing."""
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))
    assert soon(near.link.up.is_set, WITHIN_S)
    near.link.end(TimedOut("far: the first"))
    near.link.end(TimedOut("far: the second"))

    assert str(near.error()).startswith("far: the first")


def test_without_a_hello_it_gives_up(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that hangs would hold the peer for ever."""
    monkeypatch.setattr(links, "HELLO_S", 0.05)
    near.runs()

    error = near.error()
    assert isinstance(error, TimedOut)
    assert "no hello" in str(error)
    assert not near.link.up.is_set()


def test_an_end_before_hello_is_no_spool_there(near: Near) -> None:
    """Most likely it is not installed; whoever closes first, this is what the person has to know."""
    near.wire.broken = True
    near.wire.close()
    near.runs()

    assert isinstance(near.error(), NoSpoolThere)


def test_a_far_side_that_falls_silent_is_given_up(near: Near) -> None:
    """A cut line tells nobody; mail for the peer would wait behind it."""
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))
    assert soon(near.link.up.is_set, WITHIN_S)
    near.monotonic.at += links.DEAD_S + 0.1

    error = near.error()
    assert isinstance(error, LinkLost)
    assert "nothing heard" in str(error)


def test_a_newer_link_takes_over_and_the_far_side_is_told(near: Near) -> None:
    """Two that carry for one peer would each give back what the other one holds."""
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))
    assert soon(near.link.up.is_set, WITHIN_S)
    newer_link(near.store, "far")

    assert isinstance(near.error(), Superseded)
    assert [one.kind for one in near.wire.out if isinstance(one, frames.Bye)] == ["superseded"]


def test_a_link_that_lives_is_held_on_to(near: Near) -> None:
    """Else another process takes it for dead after twelve seconds."""
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))
    assert soon(near.link.up.is_set, WITHIN_S)
    near.now.at += 100.0
    near.monotonic.at += links.HOLD_EVERY_S
    assert soon(lambda: near.row().holder_until == AT + 112.0, WITHIN_S)
    silent = near.row().last_contact
    near.monotonic.at += links.HOLD_EVERY_S
    near.wire.say(frames.Ping(1, AT))

    assert silent == AT
    assert soon(lambda: near.row().last_contact == AT + 100.0, WITHIN_S)


def test_where_the_store_fails_the_link_ends_with_what_it_said(
    near: Near, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The far side keeps what was not answered; a person reads here which disk is full."""

    def full(*_: object) -> None:
        raise StoreFull("the disk is full", hint="make room")

    monkeypatch.setattr(near.gate, "take_acks", full)
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT), frames.Acks(1, []))

    error = near.error()
    assert isinstance(error, LinkLost)
    assert str(error).startswith("the store here failed: the disk is full")
    assert error.hint == "make room"


def test_a_store_that_fails_at_the_end_hides_no_reason(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was leased is free when its time is over; why the link ended is what a person asks."""

    def full(*_: object) -> None:
        raise StoreFull("the disk is full", hint="make room")

    near.put("m1")
    monkeypatch.setattr(near.gate, "left", full)
    monkeypatch.setattr(near.gate, "release", full)
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT), frames.Bye("superseded", "another one"))

    assert isinstance(near.error(), Superseded)


def test_a_defect_of_the_writer_ends_the_link(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the link would stand for ever and carry nothing."""

    def broken(limit: int) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(near.gate, "load", broken)
    near.runs()
    near.wire.say(frames.Hello("fars-own", clock=AT))

    assert "a defect of this side" in str(near.error())

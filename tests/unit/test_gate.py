"""What one link may ask of this host: who it may be, what it is told, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import presence
from spool.clock import Clock
from spool.doorbell import Bell
from spool.errors import NotAuthorised, StoreFull, Superseded, VersionSkew
from spool.gate import HEALTHY_S, HOLD_S, MAX_AGENTS, SILENT_S, Gate
from spool.inbox import Arrival
from spool.message import Ack, seal
from spool.settings import Settings
from spool.states import State
from spool.store.base import Outgoing, PeerRow, Seen
from spool.store.sqlite import SqliteStore
from spool.transports.base import Accepted, Deferred
from spool.transports.frames import FEATURES, VERSION, AgentNow, Answer, Hello, Key
from tests.desk import Turned, make_home
from tests.rows import link, new_ack, new_incoming, put, put_in, row

AT = 1_000_000.0
PEERS = """
[peers.far]
url = "ssh://u@far"
agents = ["fay"]

[peers.away]

[peers.other]
"""


class Here:
    """The host `here` with the agent `me`; its peer `far` may be dialled, the others tell their names."""

    def __init__(self, folder: Path) -> None:
        self.home = make_home(folder, "me", peers=PEERS)
        self.now = Turned(AT)
        self.store = SqliteStore(self.home)
        self.clock = Clock(self.now, self.now)
        self.settings = Settings(self.home, self.store, self.clock)
        self.far = self.gate("far")

    def gate(self, peer: str, token: str = "t-1") -> Gate:
        return Gate(self.store, self.settings, peer, clock=self.clock, token=token, version="1.2")

    def up(self, **more: Any) -> Gate:
        """The link to `far` is up."""
        self.far.arrived(Hello("fars-own", **more), dialled=True)
        return self.far

    def row(self, peer: str = "far") -> PeerRow:
        with self.store.read() as tx:
            return tx.peers.get(peer)

    def set(self, peer: str = "far", **values: Any) -> None:
        with self.store.write(sync=False) as tx:
            tx.peers.update(peer, **values)

    def advance(self, id: str, state: State, **more: Any) -> None:
        values = {"now": AT, "there": 5.0, "host": "far", **more}
        with self.store.write(sync=False) as tx:
            tx.outbox.advance(row(self.store, id).seq, id, state, **values)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A host with a gate for the peer `far`."""
    made = Here(tmp_path)
    yield made
    made.store.close()


def arrival(id: str = "m1", **fields: Any) -> Arrival:
    given = {"from": "fay", "to": "me", "body": "x", **fields}
    sealed = seal(given, id=id, timestamp="2025-11-13T10:30:45Z")
    return Arrival(sealed.raw, sealed.filled, 60.0, ())


# -- hello -----------------------------------------------------------------------------------------


def test_the_hello_says_who_this_is(here: Here) -> None:
    """And whether it can dial: of two links at once both sides must keep the same."""
    assert here.far.hello() == Hello(
        "here", spool="1.2", agents=["me"], features=list(FEATURES), clock=AT, dials=True
    )
    assert not here.gate("away").hello().dials


def test_a_hello_makes_this_the_only_link(here: Here) -> None:
    """What is known of the peer stands in its row; what was wrong with it before does not any more."""
    here.set(state="waiting", failures=3, retry_at=AT + 9, error_kind="unreachable", error="no")
    here.far.arrived(
        Hello("fars-own", spool="v" * 50, clock=AT + 2.5, features=["attachments"]), dialled=True
    )

    assert here.row() == PeerRow(
        name="far",
        generation=1,
        holder="t-1",
        holder_until=AT + HOLD_S,
        dialled=True,
        state="linked",
        last_contact=AT,
        linked_at=AT,
        failures=3,
        far_host="fars-own",
        far_version="v" * 40,
        clock_offset=2.5,
    )
    assert (here.far.far_host, here.far.far_takes_files(), here.far.current()) == ("fars-own", True, True)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"least": VERSION}, None),
        ({"v": 1}, None),
        ({"v": 99}, None),
        ({"least": VERSION + 1, "v": 99}, VersionSkew),
        ({"v": 0, "least": 0}, VersionSkew),
        ({"host": "here"}, NotAuthorised),
        ({"host": "no name!"}, NotAuthorised),
        ({"host": ""}, NotAuthorised),
    ],
)
def test_who_cannot_be_spoken_with_gets_no_link(
    here: Here, said: dict[str, Any], meant: type[Exception] | None
) -> None:
    """An older link stays as it is then."""
    hello = Hello(**{"host": "fars-own", **said})
    if meant is None:
        here.far.arrived(hello, dialled=True)
    else:
        with pytest.raises(meant, match="far"):
            here.far.arrived(hello, dialled=True)

    assert here.row().generation == (1 if meant is None else 0)
    assert (here.far.far_host, here.far.far_takes_files()) == ("fars-own" if meant is None else "", False)


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ({}, True),
        ({"dials": False}, False),
        ({"url": False}, False),
        ({"dialled": True}, False),
        ({"state": "waiting"}, False),
        ({"ours": False}, False),
        ({"holder": None}, False),
        ({"holder": "consumer-1-0"}, False),
        ({"ahead_s": 0.0}, False),
        ({"ahead_s": 2 * HOLD_S}, True),
        ({"ahead_s": 2 * HOLD_S + 0.1}, False),
    ],
)
def test_of_two_links_that_of_the_first_name_stays(here: Here, change: dict[str, Any], stays: bool) -> None:
    """`here` sorts before `zed`: the link that this host dialled stays, if it is one and lives."""
    peer = "far" if change.get("url", True) else "away"
    alive = presence.Presence(here.home / "run", "consumer", now=0.0, version="1")
    here.set(
        peer,
        state=change.get("state", "linked"),
        dialled=change.get("ours", True),
        holder=change.get("holder", alive.token),
        holder_until=AT + change.get("ahead_s", 5.0),
    )
    hello = Hello("zed", dials=change.get("dials", True))
    gate = here.gate(peer)
    try:
        if stays:
            with pytest.raises(Superseded, match="the link of here stays"):
                gate.arrived(hello, dialled=change.get("dialled", False))
        else:
            gate.arrived(hello, dialled=change.get("dialled", False))
    finally:
        alive.close()
    assert here.row(peer).generation == (0 if stays else 1)


@pytest.mark.parametrize(("dialled", "stays"), [(True, True), (False, False)])
def test_where_the_far_name_comes_first_its_link_stays(here: Here, dialled: bool, stays: bool) -> None:
    """The one that this host dials gives way to it."""
    alive = presence.Presence(here.home / "run", "serve", now=0.0, version="1")
    here.set(state="linked", dialled=False, holder=alive.token, holder_until=AT + 5)
    try:
        if stays:
            with pytest.raises(Superseded, match="the link of abel stays"):
                here.far.arrived(Hello("abel", dials=True), dialled=dialled)
        else:
            here.far.arrived(Hello("abel", dials=True), dialled=dialled)
    finally:
        alive.close()


def test_a_peer_has_the_names_that_nobody_told_before(here: Here) -> None:
    """Each once, as many as are kept, and none that is no name."""
    here.gate("away").arrived(Hello("a", agents=["ann", "b*"]), dialled=False)
    many = [f"n{n}" for n in range(MAX_AGENTS)]
    here.gate("other").arrived(
        Hello("o", agents=["ann", "bob", "x*y*", "no name!", *many, "n0", "z"]), dialled=False
    )
    here.gate("away").arrived(Hello("a", agents=["ann", "dan"]), dialled=False)

    assert here.row("other").far_agents == many
    assert here.row("away").far_agents == ["ann", "dan"]


def test_a_peer_of_the_config_takes_no_name_away(here: Here) -> None:
    """What it tells is not how its agents are found: the config is."""
    here.up(agents=["ann"])
    here.gate("away").arrived(Hello("a", agents=["ann"]), dialled=False)

    assert here.row("away").far_agents == ["ann"]


# -- holding on, and leaving -----------------------------------------------------------------------


@pytest.mark.parametrize("heard", [True, False])
def test_a_hold_lasts_a_while(here: Here, heard: bool) -> None:
    """Contact was when something was heard, and not when this side spoke."""
    gate = here.up()
    here.now.at += 5.0
    gate.hold(heard=heard)

    assert (here.row().holder_until, here.row().last_contact) == (AT + 5 + HOLD_S, AT + 5 if heard else AT)


@pytest.mark.parametrize("lost", ["link", "holder"])
def test_who_lost_the_peer_holds_it_no_more(here: Here, lost: str) -> None:
    """To a newer link, or to another process; and at its end it changes nothing of theirs."""
    gate = here.up()
    if lost == "link":
        link(here.store, "far")
    else:
        here.set(holder="t-2")
    with pytest.raises(Superseded, match="far"):
        gate.hold(heard=True)
    before = here.row()
    gate.left("over")

    assert gate.current() is (lost == "holder")
    assert here.row() == before


@pytest.mark.parametrize(
    ("lived_s", "carried", "failures"), [(5.0, 0, 3), (5.0, 1, 0), (HEALTHY_S - 0.1, 0, 3), (HEALTHY_S, 0, 0)]
)
def test_a_link_that_was_good_ends_the_row_of_failures(
    here: Here, lived_s: float, carried: int, failures: int
) -> None:
    """One that was up for a moment, and carried nothing, is itself one of them."""
    here.set(failures=3)
    gate = here.up()
    here.now.at += lived_s
    gate.take_acks([new_ack("m1")] * carried)
    gate.left("over")

    row = here.row()
    assert (row.state, row.holder, row.holder_until, row.failures) == ("waiting", None, 0.0, failures)


def test_what_a_person_stopped_stays_so(here: Here) -> None:
    """The end of the link is its consequence."""
    gate = here.up()
    here.set(state="stopped")
    gate.left("over")

    assert here.row().state == "stopped"


def test_who_never_had_a_link_leaves_nothing(here: Here) -> None:
    """It may have been refused because of the one that stands."""
    here.set(state="linked", holder="t-1", holder_until=AT + 9)
    here.far.left("refused")

    assert (here.row().state, here.row().holder) == ("linked", "t-1")


# -- mail ------------------------------------------------------------------------------------------


def test_mail_that_came_rings_and_counts(here: Here) -> None:
    """Somebody waits for it; a copy wakes nobody."""
    with Bell(here.home / "run") as bell:
        gate = here.up()
        assert [type(each) for each in gate.accept([arrival("m1"), arrival("m2")])] == [Accepted] * 2
        assert bell.wait(0.0)
        gate.accept([arrival("m1")])
        assert not bell.wait(0.0)

    assert gate.carried == 3


def test_a_message_is_taken_with_the_files_that_came_with_it(here: Here) -> None:
    """Before they are here it waits; one whose files were never brought only names them."""
    file = {"name": "f", "bytes": 1, "sha256": "a" * 64}
    gate = here.up()
    named = arrival("m1", attachments=[file])
    brought = arrival("m2", attachments=[file])._replace(attached=True)
    before = gate.accept([named, brought])
    here.far.freight.folder.root.mkdir(mode=0o700, exist_ok=True)
    here.far.freight.folder.path("a" * 64).write_bytes(b"x")

    assert [type(each) for each in before] == [Accepted, Deferred]
    assert [type(each) for each in gate.accept([brought])] == [Accepted]
    with here.store.read() as tx:
        assert tx.attachments.shown_to("a" * 64, "me")


def test_a_full_disk_defers_all(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link goes on: acks and answers may free it."""

    def full() -> int:
        raise StoreFull("the disk is full", hint="make room")

    monkeypatch.setattr(here.store, "free_bytes", full)
    outcomes = here.up().accept([arrival("m1"), arrival("m2")])

    assert outcomes == [Deferred("the far disk is full")] * 2


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("origin", [None, "other"])
def test_an_answer_rings_those_it_concerns(here: Here, carries: bool, origin: str | None) -> None:
    """Who waits for a state, always; who carries, only where an ack of it has to go on."""
    put(here.store, "m1", peer="far", origin=origin, expires_at=AT + 99)
    gate = here.up()
    load = gate.load(9)
    with Bell(here.home / "run", carries=carries) as bell:
        gate.settle([(parcel, Accepted(5.0, True, "fars-own")) for parcel in load.parcels])
        assert bell.wait(0.0) is (not carries or origin is not None)

    assert (gate.carried, row(here.store).state) == (1, State.RECEIVED)


def test_acks_ring_whoever_waits_for_them(here: Here) -> None:
    """Even where they move nothing any more."""
    gate = here.up()
    with Bell(here.home / "run") as bell:
        gate.take_acks(iter([new_ack("m1"), new_ack("m2")]))
        assert bell.wait(0.0)

    assert gate.carried == 2


def test_acks_that_are_there_are_dropped(here: Here) -> None:
    """And what they were is counted as carried."""
    gate = here.up()
    with here.store.write(sync=False) as tx:
        tx.acks.put("far", new_ack("m1"))
    gate.drop_acks(leased.seq for leased in gate.load(9).acks)
    with here.store.read() as tx:
        assert tx.acks.waiting() == {}
    assert gate.carried == 1


def test_what_was_not_answered_is_given_back(here: Here) -> None:
    """At once, for the next look."""
    put(here.store, "m1", peer="far", expires_at=AT + 99)
    gate = here.up()
    load = gate.load(9)
    assert gate.load(9) == ([], [])
    gate.release(load)

    assert [parcel.id for parcel in gate.load(9).parcels] == ["m1"]


# -- questions and answers -------------------------------------------------------------------------


def test_what_is_silent_is_asked_for_once_an_hour(here: Here) -> None:
    """Of this peer, oldest first, so many at a time."""
    gate = here.up()
    for id, peer in (("m1", "far"), ("m2", "far"), ("m3", "other")):
        put(here.store, id, peer=peer, expires_at=AT + 1e6)
        here.advance(id, State.SENT)
    here.now.at += SILENT_S - 0.1
    early = gate.questions()
    here.now.at += 0.1

    assert early == []
    assert gate.questions(limit=1) == [Key("me", "m1")]
    assert gate.questions() == [Key("me", "m2")]
    assert gate.questions() == []


def answer(here: Here, id: str, sender: str = "fay") -> Answer:
    """What the far side is told of a message."""
    (told,) = here.far.answer([Key(sender, id)])
    assert (told.sender, told.id) == (sender, id)
    return told


@pytest.mark.parametrize(
    ("moves", "told"),
    [
        ((), ("received", 1.0, None, None)),
        (("read",), ("read", 2.0, None, None)),
        (("done",), ("done", 3.0, "done", "n")),
        (("read", "rejected"), ("rejected", 3.0, "rejected", "n")),
    ],
)
def test_it_is_told_how_far_a_message_got_here(
    here: Here, moves: tuple[str, ...], told: tuple[str, float, str | None, str | None]
) -> None:
    """With when that was, and what its agent said of it."""
    (seq,) = put_in(here.store, "m1", sender="fay", peer="far")
    with here.store.write(sync=False) as tx:
        for move in moves:
            if move == "read":
                tx.inbox.mark_read(seq, now=2.0)
            else:
                tx.inbox.finish(seq, now=3.0, outcome=move, note="n")

    found = answer(here, "m1")
    assert (found.status, found.at, found.outcome, found.note) == told
    assert found.host == "here"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, ("sent", None, None)),
        (State.SENT, ("sent", None, None)),
        (State.RECEIVED, ("received", 5.0, "far")),
        (State.READ, ("read", 5.0, "far")),
        (State.DONE, ("done", 5.0, "far")),
    ],
)
def test_it_is_told_how_far_a_relayed_message_got(
    here: Here, state: State | None, told: tuple[str, float | None, str | None]
) -> None:
    """By the clock of the host of its agent, and in that host's name."""
    put(here.store, "m1", sender="fay", peer="other", origin="far")
    if state is not None:
        with here.store.write(sync=False) as tx:
            found = tx.outbox.exact("m1", "fay")
            assert found is not None
            tx.outbox.advance(found.seq, "m1", state, now=AT, there=5.0, host="far")
            if state is State.DONE:
                tx.outbox.finish("m1", "fay", outcome="done", note="n")

    answered = answer(here, "m1")
    assert (answered.status, answered.at, answered.host) == told
    assert (answered.outcome, answered.note) == (("done", "n") if state is State.DONE else (None, None))


def test_it_is_told_why_a_relayed_message_is_dead(here: Here) -> None:
    """In the words of who ended it."""
    (seq,) = put(here.store, "m1", sender="fay", peer="other", origin="far")
    with here.store.write(sync=False) as tx:
        tx.outbox.bury(seq, now=AT, reason="expired")

    assert (answer(here, "m1").status, answer(here, "m1").note) == ("dead", "expired")


def test_it_is_told_nothing_of_what_others_brought(here: Here) -> None:
    """The same message by another way is known by its record alone, and only of its own agents."""
    put_in(here.store, "m1", sender="zoe", peer="other")
    put(here.store, "m2", sender="zoe", peer="far", origin="other")
    with here.store.write(sync=True) as tx:
        for sender, id, final in (("fay", "m3", True), ("fay", "m4", False), ("zoe", "m5", True)):
            tx.ledger.remember(sender, id, Seen(b"d" * 32, 7.0, final))

    assert [answer(here, id, "zoe").status for id in ("m1", "m2", "m5", "m9")] == ["unknown"] * 4
    assert [(answer(here, id).status, answer(here, id).at, answer(here, id).host) for id in ("m3", "m4")] == [
        ("received", 7.0, "here"),
        ("sent", 7.0, "here"),
    ]


def outgoing(here: Here, id: str) -> Outgoing:
    return row(here.store, id)


def test_what_the_far_side_knows_of_our_messages_is_believed(here: Here) -> None:
    """As an ack would be; that it is on its way there says nothing new."""
    gate = here.up()
    for id in ("m1", "m2"):
        put(here.store, id, peer="far", expires_at=AT + 99)
        here.advance(id, State.SENT)
    gate.take_answers(
        [
            Answer("me", "m1", "done", 5.0, "fars-own", "merged", "n"),
            Answer("me", "m2", "sent", 5.0, "fars-own"),
        ]
    )

    done = outgoing(here, "m1")
    assert (done.state, done.outcome, done.note, done.done_there, done.far_host) == (
        State.DONE,
        "merged",
        "n",
        5.0,
        "fars-own",
    )
    assert (outgoing(here, "m2").state, outgoing(here, "m2").due) == (State.SENT, None)


def test_what_is_unknown_there_is_offered_again(here: Here) -> None:
    """Of what went to that peer; what is archived has ended."""
    gate = here.up()
    for id, peer in (("m1", "far"), ("m2", "other"), ("m3", "far")):
        put(here.store, id, peer=peer, expires_at=AT + 99)
        here.advance(id, State.SENT)
    with here.store.write(sync=False) as tx:
        tx.outbox.bury(outgoing(here, "m3").seq, now=AT, reason="x")
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=9)
    gate.take_answers([Answer("me", id, "unknown") for id in ("m1", "m2", "m3", "m4")])

    assert [outgoing(here, id).due for id in ("m1", "m2", "m3")] == [AT, None, None]
    assert gate.carried == 0


# -- what is told of a host ------------------------------------------------------------------------


def test_what_waits_here_is_told(here: Here) -> None:
    """For that peer, and for the agents here."""
    put(here.store, "m1", "m2", peer="far", expires_at=AT + 99)
    put(here.store, "m3", peer="other", expires_at=AT + 99)
    put_in(here.store, "i1", "i2", received_at=AT - 5.0)
    with here.store.write(sync=False) as tx:
        tx.inbox.put(new_incoming("i3", agent="gone"))

    assert here.up().counts() == (3, 2, [AgentNow("me", 2, 5.0, 0)])


@pytest.mark.parametrize(
    ("told", "row"),
    [
        ({"unread": 3, "queued": None}, (3, 8, 9.0)),
        ({"unread": None, "queued": 0}, (7, 0, 9.0)),
        ({"unread": None, "queued": None, "offset_s": -1.0}, (7, 8, -1.0)),
        ({"unread": None, "queued": None}, (7, 8, 9.0)),
    ],
)
def test_what_is_not_told_stays_as_it_was(
    here: Here, told: dict[str, Any], row: tuple[int, int, float]
) -> None:
    """Each number by itself; no word is no zero."""
    gate = here.up()
    here.set(far_unread=7, far_queued=8, clock_offset=9.0)
    gate.told_counts(**told)
    found = here.row()

    assert (found.far_unread, found.far_queued, found.clock_offset) == row


def test_what_a_peer_says_of_its_agents_is_kept_with_its_time(here: Here) -> None:
    """Of those it may speak for; an empty word takes back the one before."""
    gate = here.up()
    gate.told_counts(unread=None, queued=None, agents=[AgentNow("fay", 2, 5.0, 1), AgentNow("zoe", 1)])
    with here.store.read() as tx:
        first = [
            (each.agent, each.unread, each.oldest_s, each.sessions, each.at)
            for each in tx.presence.told("far")
        ]
    gate.told_counts(unread=None, queued=None, agents=[])
    with here.store.read() as tx:
        then = tx.presence.told("far")

    assert (first, then) == ([("fay", 2, 5.0, 1, AT)], [])


def test_an_ack_of_an_unnamed_host_is_one_of_nobody(here: Here) -> None:
    """It counts as a proof, and says no name that could be believed."""
    gate = here.up()
    put(here.store, "m1", peer="far", expires_at=AT + 99)
    gate.take_answers([Answer("me", "m1", "received", 5.0)])
    gate.take_acks([Ack(sender="fay", to="me", re="m1", status="read", at=6.0)])

    found = outgoing(here, "m1")
    assert (found.state, found.received_there, found.read_there, found.far_host) == (
        State.READ,
        5.0,
        6.0,
        None,
    )

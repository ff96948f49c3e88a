"""What an answer of the next hop, or an ack, makes of a message; and who else is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import log, outbox
from spool.message import Ack, Attachment, seal
from spool.outbox import LEASE_S, MAX_NOTE, MAX_WORD
from spool.states import State
from spool.store import sqlite, sqlite_outbox
from spool.store.base import Event, Parcel, Store, Unproven
from spool.store.sqlite import SqliteStore
from spool.transports.base import Accepted, Deferred, Left, Outcome, Refused
from tests.rows import link, new_ack, new_outgoing, new_parcel, put, row

NOW = 50.0
DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a link to the peer `p`."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    sqlite.create(home)
    opened = SqliteStore(home)
    link(opened)
    yield opened
    opened.close()


def leased(store: Store, *ids: str, origin: str | None = None, **more: Any) -> list[Parcel]:
    """Messages on their way over the peer `p`; `origin` is the peer that brought them here to be relayed."""
    put(store, *ids, origin=origin, **more)
    load = outbox.lease(store, "p", generation=1, now=10.0, limit=100)
    return [parcel for parcel in load.parcels if parcel.id in ids]


def settle(store: Store, *told: tuple[Parcel, Outcome]) -> bool:
    return outbox.settle(store, "p", "here", told, now=NOW)


def acks(store: Store, peer: str = "q") -> list[Ack]:
    """The acks that wait for a peer."""
    link(store, peer)
    with store.write(sync=False) as tx:
        generation = tx.peers.get(peer).generation
        found = tx.acks.lease(peer, generation=generation, now=NOW, until=NOW + 1, limit=100)
        tx.acks.release(found)
    return [each.ack for each in found]


def rings(store: Store, peer: str) -> bool:
    """Whether a push task of a peer stands."""
    with store.read() as tx:
        return tx.ledger.has_task(peer)


def events(store: Store, id: str = "m1") -> list[Event]:
    with store.read() as tx:
        return tx.ledger.events(id, "me")


def heard(store: Store) -> dict[str, str]:
    """Of which agents of the peer `p` there was word, and what they had done."""
    with store.read() as tx:
        return {each.agent: each.what for each in tx.presence.heard("p")}


def told(store: Store, *said: Ack, peer: str = "p") -> None:
    outbox.apply_acks(store, peer, said, now=NOW)


# -- what the next hop answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state", "there", "host"),
    [
        (Accepted(at=49.0, final=True, host="far"), State.RECEIVED, 49.0, "far"),
        (Accepted(at=49.0, final=False, host="hub"), State.SENT, None, None),
        (Left(at=49.0), State.SENT, None, None),
    ],
)
def test_what_was_taken_moves_on(
    store: Store, outcome: Outcome, state: State, there: float | None, host: str | None
) -> None:
    """Only the last host's word is a receipt; another hop's says that it is on its way."""
    (parcel,) = leased(store, "m1")

    assert settle(store, (parcel, outcome)) is False
    found = row(store)
    assert (found.state, found.sent_at, found.received_there, found.far_host) == (state, NOW, there, host)


def test_what_was_deferred_waits_with_its_reason(store: Store) -> None:
    """And `trace` tells of the try, by its number."""
    (parcel,) = leased(store, "m1")
    settle(store, (parcel, Deferred("its disk is full", 400.0)))

    found = row(store)
    assert found.due is not None and NOW + 400.0 <= found.due <= NOW + 500.0
    assert (found.state, found.reason) == (State.QUEUED, "its disk is full")
    assert events(store) == [Event("m1", "me", NOW, "here", "p", "queued", "deferred", 1, "its disk is full")]


def test_a_deferral_without_a_time_waits_longer_each_time(store: Store) -> None:
    """By the number of the try."""
    (parcel,) = leased(store, "m1")
    settle(store, (parcel._replace(attempts=8), Deferred("later")))

    assert (row(store).due or 0.0) > NOW + 60.0


@pytest.mark.parametrize("attached", [True, False])
def test_the_files_of_what_was_deferred_are_asked_for_again(store: Store, attached: bool) -> None:
    """They may be gone there: the message would wait for them for ever."""
    (parcel,) = leased(store, "m1")
    file = Attachment(name="a", bytes=3, sha256="0" * 64)
    with store.write(sync=False) as tx:
        tx.attachments.attach(parcel.seq, "p", (file,))
        tx.attachments.arrived("p", file.sha256)
    settle(store, (parcel._replace(attached=attached), Deferred("later")))

    with store.read() as tx:
        assert [each.there for each in tx.attachments.attached(parcel.seq)] == [not attached]


def test_what_was_refused_is_dead_with_the_reason(store: Store) -> None:
    """Trying again would be refused again."""
    (parcel,) = leased(store, "m1")

    assert settle(store, (parcel, Refused("nobody of that name"))) is False
    assert (row(store).state, row(store).reason, row(store).dead_at) == (
        State.DEAD,
        "nobody of that name",
        NOW,
    )
    assert events(store) == [Event("m1", "me", NOW, "here", "p", "queued", "dead", 1, "nobody of that name")]


def test_a_refusal_that_comes_too_late_says_nothing(store: Store) -> None:
    """The lease is another link's by now, which may have had it taken."""
    (parcel,) = leased(store, "m1", origin="q")

    assert settle(store, (parcel._replace(lease=1), Refused("no"))) is False
    assert (row(store).state, events(store), acks(store)) == (State.QUEUED, [], [])


@pytest.mark.parametrize(
    ("outcome", "ack"),
    [
        (
            Accepted(at=49.0, final=True, host="far"),
            Ack(sender="you", to="me", re="m1", status="received", at=49.0, host="far"),
        ),
        (Refused("no"), Ack(sender="you", to="me", re="m1", status="dead", at=NOW, host="here", note="no")),
        (Accepted(at=49.0, final=False, host="hub"), None),
        (Left(at=49.0), None),
        (Deferred("later"), None),
    ],
)
def test_who_brought_a_relayed_message_is_told_how_it_ended(
    store: Store, outcome: Outcome, ack: Ack | None
) -> None:
    """Its sender's host knows by that alone; what is not decided yet is no word to anybody."""
    (parcel,) = leased(store, "m1", origin="q", recipient="you@far")

    assert settle(store, (parcel, outcome)) is (ack is not None)
    assert rings(store, "q") is (ack is not None)
    assert acks(store) == ([] if ack is None else [ack])


@pytest.mark.parametrize("order", [["own", "relayed"], ["relayed", "own"]])
def test_one_relayed_message_of_a_batch_is_enough_to_ring(store: Store, order: list[str]) -> None:
    """Wherever it stands in it."""
    parcels = {
        "own": leased(store, "own")[0],
        "relayed": leased(store, "relayed", origin="q")[0],
    }
    done = Accepted(at=49.0, final=True, host="far")

    assert settle(store, *((parcels[name], done) for name in order)) is True


@pytest.mark.parametrize(
    ("outcome", "origin", "events"),
    [
        (Accepted(49.0, True, "far"), None, ["message.sent", "message.received"]),
        (Accepted(49.0, False, "hub"), None, ["message.sent"]),
        (Accepted(49.0, True, "far"), "q", ["message.relayed"]),
        (Left(49.0), None, ["message.sent"]),
        (Deferred("why"), None, ["message.deferred"]),
        (Refused("why"), None, ["message.dead"]),
    ],
)
def test_the_log_says_what_became_of_it(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome,
    origin: str | None,
    events: list[str],
) -> None:
    """One event per fact: where the next hop is the last one, its answer says both."""
    said: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(log, "batch", lambda event, many, **more: said.update({event: {**many[0], **more}}))
    for level in ("warning", "error"):
        monkeypatch.setattr(log, level, lambda event, **more: said.update({event: more}))
    (parcel,) = leased(store, "m1", origin=origin)
    said.clear()
    settle(store, (parcel, outcome))

    assert list(said) == events
    for event, more in said.items():
        states = {"message.deferred": "queued", "message.dead": "dead"}
        assert (more["id"], more["peer"]) == ("m1", "p")
        assert more["state"] == states.get(event, event.removeprefix("message."))
        assert more.get("error", "why") == "why"
        if isinstance(outcome, Accepted):
            assert more["latency_ms"] == (NOW - parcel.queued_at) * 1000


# -- leasing, and giving back ----------------------------------------------------------------------


def test_a_look_takes_messages_acks_and_the_task(store: Store) -> None:
    """A message committed after this puts a new task there; one that stayed would ring for nothing."""
    put(store, "m1")
    with store.write(sync=False) as tx:
        tx.acks.put("p", new_ack())
        tx.ledger.ring("p")
    load = outbox.lease(store, "p", generation=1, now=10.0, limit=9)

    assert ([each.id for each in load.parcels], [each.ack.re for each in load.acks]) == (["m1"], ["m1"])
    assert not rings(store, "p")
    assert outbox.lease(store, "p", generation=1, now=10.0 + LEASE_S - 0.1, limit=9) == ([], [])
    again = outbox.lease(store, "p", generation=1, now=10.0 + LEASE_S, limit=9)
    assert (len(again.parcels), len(again.acks)) == (1, 1)


def test_a_look_takes_no_more_than_it_may(store: Store) -> None:
    """Of each kind."""
    put(store, "m1", "m2", "m3")
    with store.write(sync=False) as tx:
        for n in range(3):
            tx.acks.put("p", new_ack(f"a{n}"))
    load = outbox.lease(store, "p", generation=1, now=10.0, limit=2)

    assert (len(load.parcels), len(load.acks)) == (2, 2)


def test_a_task_without_work_is_taken_away(store: Store) -> None:
    """It would ring each second."""
    with store.write(sync=False) as tx:
        tx.ledger.ring("p")
        tx.ledger.ring("q")

    assert outbox.lease(store, "p", generation=1, now=10.0, limit=9) == ([], [])
    assert (rings(store, "p"), rings(store, "q")) == (False, True)


def test_what_is_given_back_is_offered_at_once(store: Store) -> None:
    """Messages and acks; each alone is enough."""
    put(store, "m1")
    with store.write(sync=False) as tx:
        tx.acks.put("p", new_ack())
    load = outbox.lease(store, "p", generation=1, now=10.0, limit=9)
    outbox.release(store, load._replace(acks=[]))
    first = outbox.lease(store, "p", generation=1, now=11.0, limit=9)
    outbox.release(store, load._replace(parcels=[]))
    second = outbox.lease(store, "p", generation=1, now=12.0, limit=9)

    assert ([each.id for each in first.parcels], first.acks) == (["m1"], [])
    assert (second.parcels, [each.ack.re for each in second.acks]) == ([], ["m1"])


# -- acks ------------------------------------------------------------------------------------------


def test_an_ack_moves_a_message_of_the_peer_that_brings_it(store: Store) -> None:
    """No other peer can say that it was read, whatever message it names."""
    put(store, "m1", "m2")
    told(store, new_ack("m1", "read", sender="you", to="me"), peer="q")
    told(
        store, new_ack("nobody", "read", sender="you", to="me"), new_ack("m2", "read", sender="you", to="me")
    )

    assert (row(store, "m1").state, row(store, "m2").state) == (State.QUEUED, State.READ)
    assert (row(store, "m2").read_at, row(store, "m2").read_there, row(store, "m2").far_host) == (
        NOW,
        2.0,
        "here",
    )


@pytest.mark.parametrize(
    ("status", "outcome", "kept"),
    [
        ("done", None, "done"),
        ("processed", None, "done"),
        ("rejected", None, "rejected"),
        ("done", "merged", "merged"),
    ],
)
def test_an_end_is_kept_with_its_outcome(store: Store, status: str, outcome: str | None, kept: str) -> None:
    """What the agent said of it, or at least whether it did the work."""
    put(store, "m1")
    told(store, new_ack(status=status, to="me", outcome=outcome, note="n"))

    assert (row(store).state, row(store).outcome, row(store).note) == (State.DONE, kept, "n")


def test_an_end_that_is_told_again_changes_nothing(store: Store) -> None:
    """The first one counts; two hosts may have carried it."""
    put(store, "m1")
    told(store, new_ack(status="done", to="me", outcome="first"))
    told(store, new_ack(status="rejected", to="me", outcome="second", note="n"))

    assert (row(store).outcome, row(store).note) == ("first", None)


@pytest.mark.parametrize("status", ["received", "read", "done", "dead"])
def test_an_ack_of_a_relayed_message_is_passed_on(store: Store, status: str) -> None:
    """To the peer that brought it, with a ring; one of this host's own has nobody else to tell."""
    put(store, "m1", origin="q")
    put(store, "own")
    told(store, new_ack("own", status, to="me"))
    assert not rings(store, "q")
    told(store, new_ack("m1", status, sender="you", to="me", outcome="o", note="n"))

    assert rings(store, "q")
    assert acks(store) == [new_ack("m1", status, sender="you", to="me", outcome="o", note="n")]


def test_an_ack_of_an_unknown_kind_is_not_passed_on(store: Store) -> None:
    """It could be said in any number of ways, each of them a row."""
    put(store, "m1", origin="q")
    told(store, new_ack(status="sneezed", to="me"))

    assert (row(store).state, acks(store), rings(store, "q")) == (State.QUEUED, [], False)


def test_an_ack_is_cut_to_what_can_be_kept(store: Store) -> None:
    """What it says is the far side's text, and goes on to the next peer from here."""
    put(store, "m1", origin="q", recipient="you@far")
    long = Ack(
        sender="no name at all",
        to="me",
        re="m1",
        status="done",
        at=2.0,
        host="no host either",
        outcome="o" * (MAX_WORD + 1),
        note="n" * (MAX_NOTE + 1),
    )
    told(store, long)

    assert acks(store) == [
        Ack(
            sender="you",
            to="me",
            re="m1",
            status="done",
            at=2.0,
            outcome="o" * MAX_WORD,
            note="n" * MAX_NOTE,
        )
    ]


def test_what_an_agent_read_or_ended_is_word_of_it(store: Store) -> None:
    """That its host received something is none, nor is an old word; each agent by its own name."""
    for id, recipient in (("m1", "ann@far"), ("m2", "bob"), ("m3", "cy"), ("m4", "dee")):
        put(store, id, recipient=recipient)
    told(store, new_ack("m4", "read", to="me"))
    with store.write(sync=False) as tx:
        tx.presence.forget("p")
    told(
        store,
        new_ack("m1", "read", to="me"),
        new_ack("m2", "done", to="me"),
        new_ack("m3", "received", to="me"),
        new_ack("m4", "read", to="me"),
    )

    assert heard(store) == {"ann": "read", "bob": "done"}


@pytest.mark.parametrize(
    ("proven", "state"),
    [
        (None, State.DEAD),
        (Ack(sender="you", to="me", re="m1", status="received", at=2.0, host=None), State.DEAD),
        (Ack(sender="you", to="me", re="m1", status="received", at=2.0, host="far"), State.RECEIVED),
        (Ack(sender="you", to="me", re="m1", status="read", at=2.0, host="far"), State.READ),
    ],
)
def test_a_late_word_of_death_undoes_no_proof(store: Store, proven: Ack | None, state: State) -> None:
    """Over a link that had stalled it may come last; the agent's own host has said more."""
    put(store, "m1")
    told(store, *([proven] if proven else []))
    told(store, new_ack(status="dead", to="me", host="hub", note="expired there"))

    assert row(store).state is state
    dead = [
        Event("m1", "me", NOW, "hub", "p", "received" if proven else "queued", "dead", None, "expired there")
    ]
    assert events(store) == (dead if state is State.DEAD else [])


def test_a_death_without_a_reason_says_where_it_was(store: Store) -> None:
    """A person who reads `dead` asks why."""
    put(store, "m1")
    told(store, new_ack(status="dead", to="me"))

    assert row(store).reason == "dead at a later hop"


def test_a_proof_finds_an_archived_message(store: Store) -> None:
    """An agent may take a year; a word of death changes nothing that has ended."""
    put(store, "m1", "m2")
    with store.write(sync=False) as tx:
        for id in ("m1", "m2"):
            tx.outbox.bury(row(store, id).seq, now=20.0, reason="because")
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=9)
    told(store, new_ack("m1", "done", to="me", outcome="late"), new_ack("m2", "dead", to="me", note="again"))

    assert (row(store, "m1").state, row(store, "m1").outcome, row(store, "m1").done_there) == (
        State.DONE,
        "late",
        2.0,
    )
    assert (row(store, "m2").reason, events(store, "m2")) == ("because", [])


# -- what is told without an answer ----------------------------------------------------------------


def inferred(store: Store, *ids: str) -> None:
    outbox.infer_received(
        store, "p", "here", [(Unproven(1, id, "me", 20.0, 99.0), "its file is gone") for id in ids], now=NOW
    )


def test_what_became_of_a_file_is_a_receipt(store: Store) -> None:
    """A peer of folders says nothing; that it is only a guess, and why, stands in the trace."""
    put(store, "m1", origin="q", recipient="you@far")
    with store.write(sync=False) as tx:
        tx.outbox.advance(row(store).seq, "m1", State.SENT, now=20.0, there=None, host=None)
    inferred(store, "m1", "nobody")

    found = row(store)
    assert (found.state, found.received_at, found.received_there, found.far_host) == (
        State.RECEIVED,
        NOW,
        None,
        None,
    )
    assert events(store) == [
        Event("m1", "me", NOW, "here", "p", "received", "inferred", None, "its file is gone")
    ]
    assert acks(store) == [Ack(sender="you", to="me", re="m1", status="received")]


@pytest.mark.parametrize("state", [State.QUEUED, State.READ, State.DEAD])
def test_what_is_not_on_its_way_is_not_guessed_at(store: Store, state: State) -> None:
    """It was offered again, or more is known of it than a folder shows; the next one is looked at."""
    put(store, "m1", "m2")
    with store.write(sync=False) as tx:
        if state is State.READ:
            tx.outbox.advance(row(store).seq, "m1", state, now=20.0, there=None, host=None)
        if state is State.DEAD:
            tx.outbox.bury(row(store).seq, now=20.0, reason="because")
        tx.outbox.advance(row(store, "m2").seq, "m2", State.SENT, now=20.0, there=None, host=None)
    inferred(store, "m1", "m2")

    assert (row(store).state, row(store, "m2").state, events(store)) == (state, State.RECEIVED, [])


@pytest.mark.parametrize("origin", [None, "q"])
def test_what_this_host_gives_up_is_told_to_who_brought_it(store: Store, origin: str | None) -> None:
    """Its sender's host waits for a word; once, for it can be given up only once."""
    put(store, "m1", origin=origin, recipient="you@far")
    with store.write(sync=False) as tx:
        first = outbox.bury(tx, row(store), "here", now=NOW, reason="expired")
        again = outbox.bury(tx, row(store), "here", now=NOW, reason="twice")

    assert (first, again, row(store).reason) == (True, False, "expired")
    assert events(store) == [Event("m1", "me", NOW, "here", "p", "queued", "dead", 0, "expired")]
    dead = Ack(sender="you", to="me", re="m1", status="dead", at=NOW, host="here", note="expired")
    assert acks(store) == ([dead] if origin else [])
    assert rings(store, "q") is (origin is not None)


def test_only_so_many_of_the_latest_are_looked_at_for_a_question(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index would cost every message; an answer by its subject alone comes soon or never."""
    monkeypatch.setattr(sqlite_outbox, "ASKED_LATELY", 2)
    for n in range(4):
        put(store, f"m{n}", raw=b'{"subject":"' + str(n).encode() + b'"}')

    with store.read() as tx:
        found = [tx.outbox.asked("me", "you", str(n)) for n in range(4)]
    assert found == [None, None, "m2", "m3"]


# -- the row of a message --------------------------------------------------------------------------


def sealed(**more: Any) -> Any:
    return seal({"from": "me", "to": "you", "body": "x", **more}, id="m1", timestamp="2025-11-13T10:30:45Z")


def test_a_row_says_what_its_message_says() -> None:
    """Nothing of it is read out of the bytes again before it is shown."""
    message = sealed(priority="P1", re="m0", thread="t", type="question", deadline="1970-01-02T00:00:00Z")
    made = outbox.row_of(message, peer="p", origin="q", now=5.0, lifetime_s=60.0, hops=["a", "b"])

    assert made == new_outgoing(
        "m1",
        origin="q",
        type="question",
        priority=1,
        queued_at=5.0,
        expires_at=65.0,
        deadline_at=DAY_S,
        hops='["a","b"]',
        re="m0",
        thread="t",
        filled=msgspec.json.encode(message.filled).decode(),
        digest=message.digest,
        raw=message.raw,
    )


@pytest.mark.parametrize(
    ("origin", "expires", "at"),
    [(None, "1970-01-02T00:00:00Z", DAY_S), (None, None, 65.0), ("q", "1970-01-02T00:00:00Z", 65.0)],
)
def test_a_message_ends_when_it_says_so_on_its_own_host(
    origin: str | None, expires: str | None, at: float
) -> None:
    """A relay counts what is left by its own clock: the sender's may be another."""
    more = {"expires": expires} if expires else {}
    made = outbox.row_of(sealed(**more), peer="p", origin=origin, now=5.0, lifetime_s=60.0)

    assert made.expires_at == at
    assert made.deadline_at is None


def test_a_row_of_the_log_names_the_message(store: Store) -> None:
    """The words by which a person greps, of a try and of a row alike."""
    put(store, "m1", re="m0")
    words = {
        "id": "m1",
        "from": "me",
        "to": "you",
        "type": "message",
        "priority": "P2",
        "re": "m0",
        "peer": "p",
    }

    assert outbox.keys(new_parcel(re="m0", attempts=3), peer="p") == {**words, "attempt": 3}
    assert outbox.out_keys(row(store), peer="p") == {**words, "attempt": 0}

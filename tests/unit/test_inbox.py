"""What becomes of a message that a peer brings, and of what an agent here does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import inbox
from spool.api import Spool
from spool.foreign import Found
from spool.inbox import LEASE_S, MAX_ATTEMPTS, Arrival, Taken
from spool.message import MAX_HOPS, Ack, seal
from spool.states import Held, State
from spool.store.base import Heard, Incoming, Quarantined, Seen, Store
from spool.transports.base import Accepted, Deferred, Refused
from tests.desk import Turned, acks, clocked, make_home, tasks
from tests.rows import new_outgoing, put, put_in

NOW = 1_000_000.0
DAY_S = 86_400.0
PEERS = """
[peers.cloud]
agents = ["cloud-*"]

[peers.desk]
agents = ["desk-*"]

[peers.drop]
url = "dir:"
inbox = "/nowhere/in"
outbox = "/nowhere/out"
agents = ["drop-*"]
acks = true
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Make the host `here` with the agent `me`; what is given goes into its [host]."""
    made: list[Spool] = []

    def anew(host: str = "", peers: str = PEERS) -> Spool:
        made.append(clocked(make_home(tmp_path, "me", "you", peers=peers, host=host), Turned(NOW)))
        return made[-1]

    yield anew
    for each in made:
        each.close()


@pytest.fixture
def spool(make: Callable[..., Spool]) -> Spool:
    """The host `here`."""
    return make()


def arrival(
    id: str = "m1", *, hops: tuple[str, ...] = (), ttl_s: float = 60.0, file: str = "", **fields: Any
) -> Arrival:
    """A message as a peer brings it, or as it lay in a file of this name."""
    given = {"from": "cloud-1", "to": "me", "subject": "Hello", "body": "x", **fields}
    sealed = seal(given, id=id, timestamp="2025-11-13T10:30:45Z")
    found = Found(file, b"as it lay there", 5.0) if file else None
    return Arrival(sealed.raw, sealed.filled, ttl_s, hops, file=found)


def bring(spool: Spool, *arrivals: Arrival, peer: str = "cloud", now: float = NOW) -> Taken:
    """A batch of it."""
    config = spool.config
    return inbox.accept(spool.store, config, spool._router(), config.peer(peer), arrivals, now=now)


def refused(taken: Taken) -> str:
    """Why the only one of a batch was refused."""
    (outcome,) = taken.outcomes
    assert isinstance(outcome, Refused)
    return outcome.reason


def quarantined(spool: Spool) -> list[Quarantined]:
    with spool.store.read() as tx:
        return tx.ledger.quarantined()


def row(store: Store, id: str = "m1", sender: str = "cloud-1") -> Incoming:
    with store.read() as tx:
        found = tx.inbox.exact(id, sender)
    assert found is not None
    return found


def heard(spool: Spool, peer: str = "cloud") -> list[Heard]:
    with spool.store.read() as tx:
        return tx.presence.heard(peer)


# -- what is taken ---------------------------------------------------------------------------------


def test_a_message_for_an_agent_here_is_stored_whole(spool: Spool) -> None:
    """With what came beside its bytes, and the record by which a copy is known."""
    came = arrival(
        hops=("a", "b"), priority="P1", re="m0", thread="t", type="answer", deadline="1970-01-02T00:00:00Z"
    )
    taken = bring(spool, came)
    found = row(spool.store)

    assert taken == Taken([Accepted(at=NOW, final=True, host="here")], True)
    assert (found.agent, found.recipient, found.peer, found.received_at) == ("me", "me", "cloud", NOW)
    assert (found.type, found.priority, found.re, found.thread) == ("answer", 1, "m0", "t")
    assert (found.hops, found.raw, found.deadline_at) == (["a", "b"], came.raw, DAY_S)
    assert sorted(found.filled) == sorted(came.filled)
    with spool.store.read() as tx:
        assert tx.ledger.seen("cloud-1", "m1") == Seen(found.digest, NOW, True)
    assert heard(spool) == [Heard("cloud-1", NOW, "message")]


def test_a_copy_is_answered_as_the_first_one_was(spool: Spool) -> None:
    """A host that lost our answer asks again; it is no news of the agent, and nothing rings."""
    bring(spool, arrival())
    taken = bring(spool, arrival(), now=NOW + 50.0)

    assert taken == Taken([Accepted(at=NOW, final=True, host="here", again=True)], False)
    assert heard(spool) == [Heard("cloud-1", NOW, "message")]


def test_the_same_id_with_other_bytes_is_refused_and_kept(spool: Spool) -> None:
    """Whichever of the two was meant, neither is lost."""
    bring(spool, arrival())
    other = arrival(body="other")

    assert "taken by another message" in refused(bring(spool, other, now=NOW + 1))
    (kept,) = quarantined(spool)
    assert (kept.at, kept.peer, kept.name, kept.raw) == (NOW + 1, "cloud", "m1", other.raw)
    assert "taken by another message" in kept.reason


def test_of_a_batch_each_has_its_own_outcome(spool: Spool) -> None:
    """In its order; one that is refused stands before nothing."""
    outcomes = bring(spool, arrival("m1"), arrival("m2", to="nobody"), arrival("m3"), arrival("m1")).outcomes

    assert [type(each) for each in outcomes] == [Accepted, Refused, Accepted, Accepted]


def test_what_is_no_message_is_kept_with_its_reason(spool: Spool) -> None:
    """As far as a message may be long: whoever sends more does not fill this disk."""
    junk = Arrival(b"{" * 200_000, (), 60.0, ())
    refused(bring(spool, junk))

    (kept,) = quarantined(spool)
    assert (kept.name, kept.peer, len(kept.raw)) == (None, "cloud", spool.config.host.max_message_bytes)
    assert kept.reason.startswith("too large")


def test_a_name_that_is_not_the_peer_s_is_refused_and_kept(spool: Spool) -> None:
    """A peer speaks for its own agents."""
    came = arrival(**{"from": "desk-1"})

    assert "may not be spoken for by cloud" in refused(bring(spool, came))
    assert [(kept.name, kept.raw) for kept in quarantined(spool)] == [("m1", came.raw)]


@pytest.mark.parametrize("hops", [("h",) * (MAX_HOPS + 1), ("no host!",), ("ok", "")])
def test_a_way_that_is_none_is_refused(spool: Spool, hops: tuple[str, ...]) -> None:
    """It travels on beside the bytes."""
    assert refused(bring(spool, arrival(hops=hops))).startswith("hops:")


def test_as_many_hops_as_may_be_are_no_reason(spool: Spool) -> None:
    """Here it ends."""
    assert isinstance(bring(spool, arrival(hops=("h",) * MAX_HOPS)).outcomes[0], Accepted)


def test_below_the_low_water_mark_all_wait(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is taken must still fit when its answer is written."""
    spool = make(host="low_water_mb = 64")
    for free, outcome in ((64 * 1024 * 1024 - 1, Deferred), (64 * 1024 * 1024 + 200_000_000, Accepted)):
        monkeypatch.setattr(spool.store, "free_bytes", lambda free=free: free)
        assert [type(each) for each in bring(spool, arrival(), arrival("m2")).outcomes] == [outcome] * 2


def test_a_row_without_its_record_is_known_by_itself(spool: Spool) -> None:
    """A clock set far back wrote a record that is soon forgotten; another one stands from now on."""
    for to in ("me", "desk-1"):
        id = f"for-{to}"
        bring(spool, arrival(id, to=to))
        with spool.store.write(sync=True) as tx:
            tx.sweepings.forget_seen(before=NOW + 1, limit=9)
        final = to == "me"
        (outcome,) = bring(spool, arrival(id, to=to), now=NOW + 9).outcomes

        assert outcome == Accepted(at=NOW + 9, final=final, host="here", again=True)
        with spool.store.read() as tx:
            record = tx.ledger.seen("cloud-1", id)
        assert record is not None and (record.at, record.final) == (NOW + 9, final)


def test_our_own_message_does_not_come_back_as_another_s(spool: Spool) -> None:
    """It would go round for ever, or stand twice."""
    put(spool.store, "m1", sender="cloud-1", recipient="desk-1", peer="desk")

    assert refused(bring(spool, arrival(to="desk-1"))) == "id: this host has sent it itself"
    assert [kept.name for kept in quarantined(spool)] == ["m1"]


# -- what is answered by its subject ---------------------------------------------------------------


def asked(spool: Spool) -> None:
    """A question of `me` to `cloud-1`."""
    put(spool.store, "q1", recipient="cloud-1", peer="cloud", thread="t1", raw=b'{"subject":"Is it ready?"}')


def answered(spool: Spool) -> bool:
    with spool.store.read() as tx:
        found = tx.outbox.exact("q1", "me")
    return found is not None and found.answered


def test_an_answer_by_its_subject_belongs_to_the_question(spool: Spool) -> None:
    """Scripts answer so; who waits for it, and the thread, find it."""
    asked(spool)
    bring(spool, arrival(subject="Re: Is it ready?"))

    assert (row(spool.store).re, row(spool.store).thread, answered(spool)) == ("q1", "t1", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "RE: Is it ready?"},
        {"subject": "Re: Is it?"},
        {"subject": "Is it ready?"},
        {"from": "cloud-2", "subject": "Re: Is it ready?"},
        {"to": "you", "subject": "Re: Is it ready?"},
    ],
)
def test_what_only_looks_like_an_answer_is_none(spool: Spool, fields: dict[str, str]) -> None:
    """Of whom was asked, to who asked, and to that question."""
    asked(spool)
    bring(spool, arrival(**fields))

    assert row(spool.store, sender=fields.get("from", "cloud-1")).re is None
    assert not answered(spool)


def test_an_answer_that_names_its_question_stays_as_it_is(spool: Spool) -> None:
    """What it says is not overruled by its subject, nor the thread that it names by that of the question."""
    asked(spool)
    bring(spool, arrival("a1", subject="Re: Is it ready?", re="another"))
    bring(spool, arrival("a2", subject="x", re="q1", thread="own"))

    assert (row(spool.store, "a1").re, row(spool.store, "a2").thread) == ("another", "own")
    assert answered(spool)


# -- what goes on ----------------------------------------------------------------------------------


def test_a_message_for_another_peer_goes_on(spool: Spool) -> None:
    """With one hop more, for as long as is left of its lifetime; who brought it is told what came of it."""
    came = arrival(to="desk-1", hops=("a",), ttl_s=60.0)
    taken = bring(spool, came)
    with spool.store.read() as tx:
        found = tx.outbox.exact("m1", "cloud-1")

    assert taken == Taken([Accepted(at=NOW, final=False, host="here")], True)
    assert found is not None
    assert (found.peer, found.origin, found.hops, found.expires_at) == (
        "desk",
        "cloud",
        ["a", "here"],
        NOW + 60,
    )
    assert tasks(spool) == {"desk"}
    assert heard(spool) == [Heard("cloud-1", NOW, "message")]
    with spool.store.read() as tx:
        assert tx.ledger.seen("cloud-1", "m1") == Seen(found.digest, NOW, False)


@pytest.mark.parametrize(("ttl_s", "left_s"), [(-5.0, 0.0), (1e12, 30 * DAY_S)])
def test_a_relayed_message_lives_no_longer_than_its_copy_is_known(
    spool: Spool, ttl_s: float, left_s: float
) -> None:
    """After that a copy would be taken for a new one."""
    bring(spool, arrival(to="desk-1", ttl_s=ttl_s))
    with spool.store.read() as tx:
        found = tx.outbox.exact("m1", "cloud-1")

    assert found is not None and found.expires_at == NOW + left_s
    assert spool.config.host.dedup_s == 30 * DAY_S


@pytest.mark.parametrize(
    ("to", "hops", "why"),
    [
        ("cloud-2", (), "loop: cloud-2 would go back from here to cloud"),
        ("desk-1", ("here",), "loop:"),
        ("desk-1", ("h",) * MAX_HOPS, f"more than {MAX_HOPS} hops: h h"),
        ("nobody", (), "nobody here or on a peer"),
    ],
)
def test_what_cannot_go_on_is_refused(spool: Spool, to: str, hops: tuple[str, ...], why: str) -> None:
    """Its sender keeps it, and is told why; nothing of it is kept here."""
    assert refused(bring(spool, arrival(to=to, hops=hops))).startswith(why)
    assert quarantined(spool) == []


def test_one_hop_less_goes_on(spool: Spool) -> None:
    """The next host still takes it."""
    assert isinstance(bring(spool, arrival(to="desk-1", hops=("h",) * (MAX_HOPS - 1))).outcomes[0], Accepted)


def test_a_host_that_does_not_relay_says_so(make: Callable[..., Spool]) -> None:
    """For its own agents it takes mail all the same."""
    spool = make(host="relay = false")

    assert "does not relay" in refused(bring(spool, arrival(to="desk-1")))
    assert isinstance(bring(spool, arrival("m2")).outcomes[0], Accepted)


# -- what lay in a folder --------------------------------------------------------------------------


def test_a_file_that_cannot_go_anywhere_is_kept_as_it_lay_there(spool: Spool) -> None:
    """Nobody can be told, and its name may be any bytes."""
    came = arrival(to="nobody", file="odd-\udcff.json", **{"from": "drop-1"})

    assert "nobody" in refused(bring(spool, came, peer="drop"))
    (kept,) = quarantined(spool)
    assert (kept.name, kept.raw, kept.peer) == ("odd-\\xff.json", b"as it lay there", "drop")


def test_a_message_from_a_folder_is_acknowledged(spool: Spool) -> None:
    """In a file of its own: a link answers by itself, folders cannot. A copy is, with the first time."""
    for at in (NOW, NOW + 50.0):
        taken = bring(spool, arrival(to="me@here", **{"from": "drop-1"}), peer="drop", now=at)
        assert taken.rang
        assert tasks(spool) == {"drop"}
        assert acks(spool, "drop") == [
            Ack(sender="me", to="drop-1", re="m1", status="received", at=NOW, host="here")
        ]
        with spool.store.write(sync=False) as tx:
            tx.ledger.rung("drop")
            link = tx.peers.raise_generation("drop")
            leased = tx.acks.lease("drop", generation=link, now=at, until=at, limit=9)
            tx.acks.drop([each.seq for each in leased])


def test_a_message_from_a_link_or_of_who_wants_none_is_not_acknowledged(make: Callable[..., Spool]) -> None:
    """The answer on the link has said it, and other scripts do not know these files."""
    spool = make(peers=PEERS.replace("acks = true", "acks = false"))
    bring(spool, arrival())
    bring(spool, arrival("m2", **{"from": "drop-1"}), peer="drop")

    assert (acks(spool, "cloud"), acks(spool, "drop"), tasks(spool)) == ([], [], set())


# -- what an agent does with it --------------------------------------------------------------------


def take(spool: Spool, *, now: float = NOW) -> tuple[Incoming | None, bool]:
    return inbox.take(spool.store, "here", "me", now=now)


def test_a_message_that_is_taken_is_read_and_its_sender_told(spool: Spool) -> None:
    """Once, however often it is taken."""
    bring(spool, arrival())
    first, rang = take(spool)
    assert first is not None and (first.id, first.lease_until, rang) == ("m1", NOW + LEASE_S, True)
    assert acks(spool) == [Ack(sender="me", to="cloud-1", re="m1", status="read", at=NOW, host="here")]
    assert tasks(spool) == {"cloud"}
    assert heard(spool, "") == [Heard("me", NOW, "read")]

    assert take(spool, now=NOW + LEASE_S - 1) == (None, False)
    again, rang = take(spool, now=NOW + LEASE_S)
    assert again is not None and (again.attempts, rang) == (2, False)
    assert (row(spool.store).state, row(spool.store).read_at) == (Held.READ, NOW)


def test_two_takes_have_two_leases(spool: Spool) -> None:
    """Who comes late with the first one has lost it."""
    bring(spool, arrival("m1"), arrival("m2"))
    leases = {found.lease for found, _ in (take(spool), take(spool)) if found is not None}

    assert len(leases) == 2


def test_what_was_given_back_too_often_is_rejected_and_the_next_one_taken(spool: Spool) -> None:
    """A message that kills its reader must not do so for ever; its sender reads why."""
    bring(spool, arrival("bad"), arrival("good"))
    for n in range(MAX_ATTEMPTS):
        found, _ = take(spool, now=NOW + n * LEASE_S)
        assert found is not None and found.id == "bad"
        with spool.store.write(sync=False) as tx:
            tx.inbox.give_back(found.seq, found.lease)
    with spool.store.write(sync=False) as tx:
        tx.ledger.rung("cloud")
    at = NOW + MAX_ATTEMPTS * LEASE_S
    found, rang = take(spool, now=at)

    assert found is not None and (found.id, rang) == ("good", True)
    note = f"given back {MAX_ATTEMPTS} times"
    bad = row(spool.store, "bad")
    assert (bad.state, bad.outcome, bad.note, bad.done_at) == (Held.DONE, "rejected", note, at)
    rejected = Ack(
        sender="me",
        to="cloud-1",
        re="bad",
        status="rejected",
        at=at,
        host="here",
        outcome="rejected",
        note=note,
    )
    assert rejected in acks(spool)


def test_where_only_such_a_one_is_left_none_is_taken(spool: Spool) -> None:
    """That its sender is told rings all the same."""
    bring(spool, arrival("bad"))
    with spool.store.write(sync=False) as tx:
        for n in range(MAX_ATTEMPTS):
            tx.inbox.take("me", now=NOW, until=NOW, lease=n + 1)

    assert take(spool) == (None, True)


def test_what_is_shown_whole_is_read(spool: Spool) -> None:
    """One that was read before makes no second ack; one new one is enough to ring."""
    bring(spool, arrival("m1"), arrival("m2"))
    one, two = row(spool.store, "m1"), row(spool.store, "m2")

    assert inbox.mark_read(spool.store, "here", [one], now=NOW) is True
    with spool.store.write(sync=False) as tx:
        tx.ledger.rung("cloud")
    assert inbox.mark_read(spool.store, "here", [two, one], now=NOW + 1) is True
    assert inbox.mark_read(spool.store, "here", [two, one], now=NOW + 2) is False
    assert [(ack.re, ack.at) for ack in acks(spool)] == [("m1", NOW), ("m2", NOW + 1)]


@pytest.mark.parametrize(
    ("outcome", "status"), [("done", "done"), ("merged", "done"), ("rejected", "rejected")]
)
def test_an_end_is_told_with_its_outcome_and_note(spool: Spool, outcome: str, status: str) -> None:
    """Only by who holds it, and once."""
    bring(spool, arrival())
    found, _ = take(spool)
    assert found is not None
    with spool.store.write(sync=True) as tx:
        lost = inbox.finish(tx, "here", found, now=NOW, outcome=outcome, note="n", lease=found.lease + 1)
        first = inbox.finish(tx, "here", found, now=NOW + 5, outcome=outcome, note="n", lease=found.lease)
        again = inbox.finish(tx, "here", found, now=NOW + 6, outcome=outcome, note="n")

    # The task for the ack of `read` stands there already.
    assert (lost, first, again) == (None, False, None)
    ended = row(spool.store)
    assert (ended.state, ended.outcome, ended.note, ended.done_at) == (Held.DONE, outcome, "n", NOW + 5)
    told = Ack(
        sender="me", to="cloud-1", re="m1", status=status, at=NOW + 5, host="here", outcome=outcome, note="n"
    )
    assert acks(spool)[-1] == told
    assert heard(spool, "") == [Heard("me", NOW + 5, "done")]


def test_what_an_agent_of_this_host_sent_is_moved_at_once(spool: Spool) -> None:
    """No peer carries that word: the row of its sender is in the same database."""
    put_in(spool.store, "m1", peer=None)
    with spool.store.write(sync=True) as tx:
        tx.outbox.put_local(new_outgoing("m1", sender="you", recipient="me", peer=""), at=1.0, host="here")
    found, rang = take(spool)
    assert found is not None and not rang
    with spool.store.write(sync=True) as tx:
        assert inbox.finish(tx, "here", found, now=NOW + 5, outcome="merged", note="n") is False
        sent = tx.outbox.exact("m1", "you")

    assert sent is not None
    assert (sent.state, sent.outcome, sent.note, sent.far_host) == (State.DONE, "merged", "n", "here")
    assert (sent.read_at, sent.done_at, sent.done_there) == (NOW, NOW + 5, NOW + 5)


def test_what_nobody_here_sent_any_more_ends_all_the_same(spool: Spool) -> None:
    """Its sender's row may be gone; the work is done."""
    (seq,) = put_in(spool.store, "m1", peer=None)
    with spool.store.write(sync=True) as tx:
        found = tx.inbox.exact("m1", "you")
        assert found is not None and found.seq == seq
        assert inbox.finish(tx, "here", found, now=NOW, outcome="done", note=None) is False


def test_a_row_of_the_log_names_the_message(spool: Spool) -> None:
    """The words by which a person greps, alike on both sides."""
    bring(spool, arrival(re="m0"))
    usual = {"id": "m1", "from": "cloud-1", "to": "me", "type": "message", "priority": "P2", "re": "m0"}

    assert inbox.in_keys(row(spool.store), error="e") == {**usual, "peer": "cloud", "error": "e"}
    sealed = seal(
        {"from": "cloud-1", "to": "me", "body": "x", "re": "m0"}, id="m1", timestamp="2025-11-13T10:30:45Z"
    )
    assert inbox.keys(sealed, state="unread") == {**usual, "state": "unread"}

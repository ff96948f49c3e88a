"""What every store promises of files: no message goes before them, and what they take is counted."""

from __future__ import annotations

from spool.message import Attachment
from spool.states import State
from spool.store.base import Outgoing, Shipment, Store
from tests.rows import lease, link, put, put_in, row

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def attach(store: Store, seq: int, *files: tuple[str, int], peer: str = "p") -> None:
    with store.write(sync=False) as tx:
        tx.attachments.attach(seq, peer, [Attachment("name", size, sha256) for sha256, size in files])


def due(store: Store, *, peer: str = "p", now: float = 10.0, limit: int = 8) -> list[str]:
    with store.read() as tx:
        return [file.sha256 for file in tx.attachments.due(peer, now=now, limit=limit)]


def arrived(store: Store, sha256: str, peer: str = "p") -> None:
    with store.write(sync=False) as tx:
        tx.attachments.arrived(peer, sha256)


def unneeded(store: Store, now: float = 10_000.0) -> list[str]:
    with store.read() as tx:
        return sorted(tx.attachments.unneeded(whole_before=now, part_before=now, limit=100))


def test_a_message_goes_only_after_all_its_files(store: Store) -> None:
    """Its reader would have words about a file and no file. Other mail flows past it."""
    link(store)
    first, _ = put(store, "m1", "m2")
    attach(store, first, (A, 1), (B, 2))

    (parcel,) = lease(store)
    assert (parcel.id, parcel.attached) == ("m2", False)
    arrived(store, A)
    assert lease(store) == []
    arrived(store, B)
    (parcel,) = lease(store)
    assert (parcel.id, parcel.attached) == ("m1", True)


def test_a_message_that_waits_for_a_file_is_not_due(store: Store) -> None:
    """Else every look at the peer would find work and lease nothing."""
    link(store)
    (seq,) = put(store, "m1")
    attach(store, seq, (A, 1))
    with store.read() as tx:
        assert not tx.sweepings.due("p", now=10.0)
    arrived(store, A)
    with store.read() as tx:
        assert tx.sweepings.due("p", now=10.0)


def test_the_file_of_the_most_urgent_message_goes_first(store: Store) -> None:
    """A file that several need is named once; what is at the peer, not at all."""
    calm, urgent, both = put(store, "m1"), put(store, "m2", priority=0), put(store, "m3", priority=3)
    attach(store, calm[0], (A, 1))
    attach(store, urgent[0], (B, 2))
    attach(store, both[0], (A, 1), (C, 3))

    assert due(store) == [B, A, C]
    assert due(store, limit=1) == [B]
    assert due(store, peer="q") == []
    arrived(store, B)
    assert due(store) == [A, C]


def test_files_of_what_is_not_carried_now_are_not_due(store: Store) -> None:
    """Not of what expired, waits for later, or is dead."""
    expired, later, dead = put(store, "m1", expires_at=5.0), put(store, "m2"), put(store, "m3")
    for (seq,), sha256 in ((expired, A), (later, B), (dead, C)):
        attach(store, seq, (sha256, 1))
    with store.write(sync=False) as tx:
        assert tx.outbox.hold(later[0], due=20.0, reason="no room there")
        assert tx.outbox.bury(dead[0], now=2.0, reason="cancelled")
        assert not tx.outbox.hold(dead[0], due=20.0, reason="no room there")

    assert due(store, now=10.0) == []
    assert due(store, now=20.0) == [B]
    assert (row(store, "m2").reason, row(store, "m2").attempts) == ("no room there", 1)


def test_two_peers_each_need_a_file(store: Store) -> None:
    """That one has it says nothing of the other."""
    link(store, "p")
    link(store, "q")
    for peer in ("p", "q"):
        (seq,) = put(store, f"to-{peer}", peer=peer)
        attach(store, seq, (A, 1), peer=peer)
    arrived(store, A, "p")

    assert due(store, peer="q") == [A]
    assert [parcel.id for parcel in lease(store, peer="p")] == ["to-p"]
    assert lease(store, peer="q") == []


def test_who_waits_for_a_file_is_known(store: Store) -> None:
    """Where it can never be brought, just these are dead."""
    (one,), (two,), _ = put(store, "m1"), put(store, "m2"), put(store, "m3")
    attach(store, one, (A, 1))
    attach(store, two, (A, 1), (B, 1))

    def waiting(sha256: str) -> list[Outgoing]:
        with store.read() as tx:
            return tx.attachments.waiting("p", sha256)

    assert {each.id for each in waiting(A)} == {"m1", "m2"}
    assert [each.id for each in waiting(B)] == ["m2"]
    assert waiting(B)[0].state is State.QUEUED
    arrived(store, B)
    assert waiting(B) == []


def test_what_came_there_is_told_and_taken_back(store: Store) -> None:
    """How much of it, how often in vain, and that it may be gone again."""
    (seq,) = put(store, "m1")
    attach(store, seq, (A, 100))
    with store.write(sync=False) as tx:
        tx.attachments.got("p", A, 40)
        assert tx.attachments.attached(seq) == [Shipment(A, 100, False, 40)]
        assert [tx.attachments.damaged("p", A) for _ in range(2)] == [1, 2]
        assert tx.attachments.attached(seq) == [Shipment(A, 100, False, 0)]
        tx.attachments.arrived("p", A)
        assert tx.attachments.attached(seq) == [Shipment(A, 100, True, 100)]
        tx.attachments.lost([seq])
        assert tx.attachments.attached(seq) == [Shipment(A, 100, False, 0)]
        assert tx.attachments.damaged("p", A) == 1


def test_room_is_counted_from_the_start(store: Store) -> None:
    """A file on its way counts whole, once, for everybody and for the peer that brings it."""
    with store.write(sync=False) as tx:
        tx.attachments.reserve(A, peer="", size=10, now=1.0)
        tx.attachments.reserve("part", peer="p", size=100, now=1.0)
        tx.attachments.reserve("part", peer="p", size=200, now=2.0)
        assert (tx.attachments.used(), tx.attachments.used("p"), tx.attachments.used("q")) == (210, 200, 0)
        assert (tx.attachments.used(least=100), tx.attachments.used("p", least=500)) == (300, 500)
        assert (tx.attachments.reserved("part"), tx.attachments.reserved("none")) == (200, None)
        tx.attachments.free("part")
        tx.attachments.free("part")
        assert (tx.attachments.used(), tx.attachments.names()) == (10, {A})


def test_files_that_a_live_message_needs_stay(store: Store) -> None:
    """Of the outbox until it has arrived for good, of the inbox until it is archived."""
    (out,), (held,) = put(store, "m1"), put_in(store, "m2")
    attach(store, out, (A, 1))
    with store.write(sync=False) as tx:
        tx.attachments.enclose(held, [Attachment("name", 1, B)])
        for name in (A, B, C):
            tx.attachments.reserve(name, peer="", size=1, now=1.0)

    assert unneeded(store) == [C]
    with store.write(sync=False) as tx:
        tx.outbox.advance(out, "m1", State.SENT, now=2.0, there=None, host=None)
    assert unneeded(store) == [C]
    with store.write(sync=False) as tx:
        tx.outbox.advance(out, "m1", State.RECEIVED, now=2.0, there=None, host=None)
        tx.inbox.finish(held, now=2.0, outcome="done", note=None)
    assert unneeded(store) == [A, C]
    with store.write(sync=False) as tx:
        tx.sweepings.archive(before=1e12, stale_before=0.0, limit=100)
        tx.attachments.forget()
    assert unneeded(store) == [A, B, C]


def test_what_was_wanted_lately_stays(store: Store) -> None:
    """Its message may be on its way; what is not whole waits longer."""
    with store.write(sync=False) as tx:
        tx.attachments.reserve(A, peer="p", size=1, now=100.0)
        tx.attachments.reserve("part", peer="p", size=1, now=100.0)
        assert tx.attachments.unneeded(whole_before=99.0, part_before=99.0, limit=9) == []
        assert tx.attachments.unneeded(whole_before=100.0, part_before=99.0, limit=9) == [A]
        assert tx.attachments.unneeded(whole_before=99.0, part_before=100.0, limit=9) == ["part"]
        tx.attachments.wanted(A, now=200.0)
        assert tx.attachments.unneeded(whole_before=100.0, part_before=99.0, limit=9) == []


def test_what_is_kept_of_messages_that_went_is_forgotten(store: Store) -> None:
    """Else it would grow with every file that was ever sent."""
    (dead,), (live,) = put(store, "m1"), put(store, "m2")
    attach(store, dead, (A, 1))
    attach(store, live, (A, 1))
    with store.write(sync=False) as tx:
        tx.outbox.bury(dead, now=2.0, reason="cancelled")
        tx.attachments.forget()
        assert tx.attachments.attached(dead)  # it may be tried again
        tx.outbox.drop(dead)
        tx.attachments.forget()
        assert not tx.attachments.attached(dead)
        assert tx.attachments.attached(live)


def test_a_file_is_as_urgent_as_the_most_urgent_message_that_needs_it(store: Store) -> None:
    """Not as the one that can wait longest; then by age, in the same way."""
    for id, priority, file in (("m1", 3, A), ("m2", 2, B), ("m3", 0, A), ("m4", 2, C), ("m5", 2, B)):
        attach(store, put(store, id, priority=priority)[0], (file, 1))

    assert due(store) == [A, B, C]


def test_what_is_known_of_a_file_is_known_of_it_at_one_peer(store: Store) -> None:
    """How much came, and that it came wrong: another peer, or file, has nothing to do with it."""
    first, second = put(store, "m1"), put(store, "m2", peer="q")
    attach(store, first[0], (A, 10), (B, 10))
    attach(store, second[0], (A, 10), peer="q")
    with store.write(sync=False) as tx:
        for peer, file in (("p", A), ("p", B), ("q", A)):
            tx.attachments.got(peer, file, 7)
        wrong = [tx.attachments.damaged(peer, A) for peer in ("p", "p", "q")]
        tx.attachments.got("p", B, 99)

    with store.read() as tx:
        assert wrong == [1, 2, 1]
        assert [each.got for each in tx.attachments.attached(first[0])] == [0, 10]
        assert [each.got for each in tx.attachments.attached(second[0])] == [0]


def test_so_many_files_are_found_unneeded_at_a_time(store: Store) -> None:
    """Each of them is a file to remove; the next look finds the rest."""
    with store.write(sync=False) as tx:
        for name in (A, B, C):
            tx.attachments.reserve(name, peer="p", size=1, now=1.0)

    with store.read() as tx:
        assert len(tx.attachments.unneeded(whole_before=9.0, part_before=9.0, limit=2)) == 2

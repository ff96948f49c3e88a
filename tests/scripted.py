"""A script of all that the store and the desk over it promise, one operation after the other.

A step may be tried again after it failed; what it owes to whoever asked is promised at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from spool import attachments, outbox, sweep
from spool.errors import StoreFull
from spool.inbox import Arrival
from spool.message import Ack, format_time, seal
from spool.store import sqlite
from spool.store.base import KeptFile
from spool.transports.base import Accepted, Deferred, Left, Outcome, Refused
from spool.transports.frames import AgentNow, Answer, Hello
from tests.world import World

Step = Callable[[World], None]
STEPS: Final[list[Step]] = []
DAY_S: Final = 86_400.0


def step(call: Step) -> Step:
    """Add it to the script."""
    STEPS.append(call)
    return call


def arrival(id: str, to: str = "me", body: str = "text", **fields: Any) -> Arrival:
    """A message of `cloud-1`, as a link hands it over."""
    given = {"from": "cloud-1", "to": to, "subject": f"About {id}", "body": body, **fields}
    sealed = seal(given, id=id, timestamp="2025-11-13T10:30:45Z")
    return Arrival(sealed.raw, sealed.filled, ttl_s=DAY_S, hops=[])


def accept(w: World, *arrivals: Arrival) -> list[Outcome]:
    """Take them from the peer `cloud`."""
    outcomes = w.gate.accept(arrivals)
    if outcomes == [Deferred("the far disk is full")] * len(outcomes):
        # So a link says it to the far side, which offers them again.
        raise StoreFull("said to the far side")
    return outcomes


def ack(id: str, status: str, **more: Any) -> Ack:
    """A peer's word on a message of `me`."""
    return Ack(sender="cloud-1", to="me", re=id, status=status, at=5.0, host="cloud", **more)


# -- sending ----------------------------------------------------------------------------------


@step
def send(w: World) -> None:
    """One message, longer than a page."""
    w.named["first"] = w.spool.send("cloud-1", subject="First", body="word " * 1200)
    w.sent(w.named["first"])


@step
def send_with_an_id(w: World) -> None:
    """Said twice, sent once."""
    for _ in range(2):
        assert w.spool.send("cloud-2", subject="Own", body="b", id="own-1", deadline="2099-01-01T00:00:00Z")
    w.sent("own-1")


@step
def send_many(w: World) -> None:
    """All or none, to both peers."""
    drafts = [{"to": f"{to}-1", "id": f"many-{n}", "body": "m" * 300} for n in range(4) for to in ("desk",)]
    drafts += [{"to": "cloud-1", "id": f"much-{n}", "body": "m" * 300} for n in range(5)]
    w.sent(*w.spool.send_many(drafts))


@step
def send_here(w: World) -> None:
    """To an agent of this host: both sides at once."""
    w.spool.send("you", id="here-1", subject="Here", body="b", requires_response=True)
    w.sent("here-1")
    w.promise("inbox here-1", "SELECT 1 FROM inbox WHERE id = 'here-1' AND agent = 'you'")


@step
def send_with_a_file(w: World) -> None:
    """The file's room is counted, and the row waits for it."""
    path = w.home / "given.txt"
    path.write_text("a file\n" * 100)
    w.spool.send("cloud-1", id="file-1", body="b", attach=[path])
    w.sent("file-1")
    w.promise("attached", "SELECT 1 FROM attached JOIN outbox ON seq = outbox WHERE id = 'file-1'")


# -- carrying ---------------------------------------------------------------------------------


@step
def link_up(w: World) -> None:
    """A hello came."""
    w.gate.arrived(Hello(host="cloud", agents=["cloud-9"], spool="0", clock=w.now()), dialled=False)
    w.generation = w.gate._generation


@step
def lease(w: World) -> None:
    """Messages for the link, and what came of each kind."""
    w.named["load"] = w.gate.load(20)
    assert len(w.named["load"].parcels) >= 6


@step
def settle(w: World) -> None:
    """Received, sent, left, deferred, refused."""
    first, *rest = w.named["load"].parcels
    outcomes = [Accepted(9.0, False, "cloud"), Left(9.0), Deferred("busy there"), Refused("not wanted")]
    told = [(first, Accepted(9.0, True, "cloud")), *zip(rest, outcomes, strict=False)]
    w.gate.settle(told)
    w.named["dead"] = rest[3].id
    w.named["at rest"] = rest[0].id


@step
def release(w: World) -> None:
    """What was not answered is free for the next link."""
    w.gate.release(w.named["load"])


@step
def files(w: World) -> None:
    """A file is brought: a part of it, damaged once, all of it; one that comes, too."""
    (shipment, *_) = w.gate.freight.due()
    w.gate.freight.got(shipment.sha256, 10)
    w.gate.freight.damaged(shipment.sha256)
    w.gate.freight.defer(shipment.sha256, "no room there")
    w.gate.freight.there(shipment.sha256)


@step
def files_in(w: World) -> None:
    """Room for a file that a peer brings, wanted, counted whole and given up."""
    with w.tx() as tx:
        tx.attachments.reserve("part-1", peer="cloud", size=5000, now=w.now())
    with w.tx() as tx:
        tx.attachments.wanted("part-1", now=w.now() + 1)
        tx.attachments.free("part-1")
        tx.attachments.reserve("e" * 64, peer="cloud", size=5000, now=w.now())


@step
def hold_the_link(w: World) -> None:
    """Every few seconds, with what the far side tells of itself."""
    w.gate.hold(heard=True)
    w.gate.told_counts(unread=3, queued=1, offset_s=0.5, agents=[AgentNow("cloud-1", 3, 9.0, 1)])
    w.gate.counts()


# -- taking -----------------------------------------------------------------------------------


@step
def take_new(w: World) -> None:
    """Three messages in one commit, one of them to be relayed."""
    taken = accept(w, *(arrival(f"in-{n}", body="w " * 900) for n in range(2)), arrival("over-1", "desk-1"))
    assert [type(each) for each in taken] == [Accepted] * 3
    w.came("in-0", "in-1")
    w.sent("over-1")
    w.promise("seen over-1", "SELECT 1 FROM seen WHERE id = 'over-1'")


@step
def take_more(w: World) -> None:
    """Enough to give back, to reject and to leave alone."""
    taken = accept(w, *(arrival(f"in-{n}", priority="P1") for n in range(2, 9)))
    assert all(isinstance(each, Accepted) and not each.again for each in taken)
    w.came(*(f"in-{n}" for n in range(2, 9)))


@step
def take_again(w: World) -> None:
    """A copy is known, one with other content kept apart, and so is what is no message."""
    broken = Arrival(b"{no json", [], ttl_s=DAY_S, hops=[])
    again, other, odd = accept(w, arrival("in-2", priority="P1"), arrival("in-3", body="other"), broken)
    assert isinstance(again, Accepted) and again.again
    assert isinstance(other, Refused) and isinstance(odd, Refused)
    w.promise("quarantined", "SELECT 1 FROM quarantine WHERE name = 'in-3'")
    w.promise("quarantined raw", "SELECT 1 FROM quarantine WHERE raw = ?", b"{no json")


@step
def take_acks(w: World) -> None:
    """Read, done, one that is not known, and one of what was at rest."""
    first, at_rest = w.named["first"], w.named["at rest"]
    told = [ack(first, "read"), ack(at_rest, "received"), ack("own-1", "done", note="thanks")]
    w.gate.take_acks([*told, ack("nobody", "read")])
    w.promise("read", "SELECT 1 FROM outbox WHERE id = ? AND read_at IS NOT NULL", first)
    w.promise("received", "SELECT 1 FROM outbox WHERE id = ? AND received_at IS NOT NULL", at_rest)
    w.promise("done", "SELECT 1 FROM outbox WHERE id = 'own-1' AND state = 'done' AND note = 'thanks'")


@step
def questions(w: World) -> None:
    """How far did ours get, and theirs; one is not known there any more."""
    w.now.at += 4000
    asked = w.gate.questions()
    w.gate.answer(asked)
    lost = [Answer(each.sender, each.id, "unknown") for each in asked[:1]]
    w.gate.take_answers([*lost, Answer("me", w.named["first"], "done", 7.0, "cloud", "done")])


@step
def infer(w: World) -> None:
    """A file that went tells that its message was received."""
    with w.spool.store.read() as tx:
        unproven = tx.outbox.unproven("cloud", after=0, limit=10)
    outbox.infer_received(
        w.spool.store, "cloud", "here", [(one, "its file is gone") for one in unproven], now=w.now()
    )


# -- reading ----------------------------------------------------------------------------------


@step
def read(w: World) -> None:
    """Shown, not done: not synced."""
    w.spool.read(w.spool.inbox(limit=2))


@step
def receive(w: World) -> None:
    """One in a block, done at its end."""
    for delivery in w.spool.receive(limit=1):
        with delivery:
            w.named["received"] = delivery.id
    w.ended(w.named["received"])
    w.owes(w.named["received"], "done")


@step
def give_back(w: World) -> None:
    """The agent broke down: it is free again."""
    for delivery in w.spool.receive(limit=1):
        try:
            with delivery:
                w.spool._renew(delivery.row, 60.0)
                raise LookupError
        except LookupError:
            continue


@step
def done(w: World) -> None:
    """Several at once, and one rejected."""
    rows = [row.id for row in w.spool.inbox(limit=10)]
    w.spool.done(rows[:2], note="well")
    w.ended(*rows[:2])
    w.spool.done(rows[2:3], outcome="rejected", note="no")
    w.ended(rows[2])
    w.owes(rows[0], "done")
    w.owes(rows[2], "rejected")


@step
def reply(w: World) -> None:
    """An answer and the end of what is answered, in one."""
    id = w.spool.inbox()[0].id
    w.named["answer"] = w.spool.reply(id, "Yes.")
    w.sent(w.named["answer"])
    w.ended(id)


@step
def carry_acks(w: World) -> None:
    """The peer has them on disk, so they are forgotten."""
    acks = w.gate.load(0).acks or w.gate.load(50).acks
    for each in acks:
        w.withdraw(f"ack {each.ack.re}")
    w.gate.drop_acks([each.seq for each in acks])


# -- mending ----------------------------------------------------------------------------------


@step
def cancel(w: World) -> None:
    """Taken back while it waits."""
    w.spool.cancel("many-0")
    w.promise("cancelled", "SELECT 1 FROM outbox WHERE id = 'many-0' AND state = 'dead'")


@step
def retry(w: World) -> None:
    """A dead one lives again."""
    w.spool.retry_dead(w.named["dead"])
    w.promise("revived", "SELECT 1 FROM outbox WHERE id = ? AND state <> 'dead'", w.named["dead"])


@step
def drop(w: World) -> None:
    """A dead one goes for good, and so does one of the quarantine."""
    for label in ("sent many-0", "cancelled", "quarantined raw"):
        w.withdraw(label)
    with w.spool.store.read() as tx:
        there = tx.outbox.exact("many-0", "me") is not None
    if there:
        w.spool.drop_dead("many-0")
    w.promise("dropped", "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE id = 'many-0')")
    if (found := [each for each in w.spool.quarantined() if each.raw == b"{no json"]) != []:
        w.spool.drop_quarantined(found[0].n)


@step
def resume(w: World) -> None:
    """A peer that stopped is dialled again."""
    w.spool.resume_peer("desk")


@step
def kept_files(w: World) -> None:
    """Files of a files peer that could not be removed."""
    with w.tx(sync=True) as tx:
        tx.kept_files.put("drop", KeptFile("a.json", 5, 6.0, b"d" * 32, w.now()))
        tx.kept_files.put("drop", KeptFile("b.json", 5, 6.0, b"e" * 32, w.now()))
    with w.tx() as tx:
        tx.kept_files.drop("drop", ["a.json"])
    w.promise("kept", "SELECT 1 FROM kept_files WHERE name = ?", b"b.json")


# -- sessions and threads ---------------------------------------------------------------------


@step
def attend(w: World) -> None:
    """A session comes, is told of its mail, is written to and works."""
    w.spool.attend("s1", client="test", cwd="/tmp")
    w.spool.announce("s1", w.spool.news("s1"), "told")
    w.spool.note_prompt("s1")
    w.spool.note_busy("s1", False)


@step
def leave(w: World) -> None:
    """It goes, and another one is bound in its place."""
    w.spool.leave("s1")
    w.spool.attend("s2", client="test")
    w.spool.forget_told("s2")


@step
def turns(w: World) -> None:
    """Two agents answer each other until the third turn is held."""
    for n in range(3):
        accept(w, arrival(f"turn-{n}", thread="thread-1"))
        w.came(f"turn-{n}")
        w.spool.send("cloud-1", id=f"back-{n}", thread="thread-1", body="b")
        w.sent(f"back-{n}")
    w.promise("held", "SELECT 1 FROM outbox WHERE id = 'back-2' AND state = 'queued'")
    assert w.spool.held()


@step
def let_go(w: World) -> None:
    """A person has looked."""
    for hold, _ in w.spool.held():
        w.spool.release(hold)
    w.promise("released", "SELECT 1 FROM outbox WHERE id = 'back-2' AND due IS NOT NULL")


@step
def hold_again(w: World) -> None:
    """And this time it is dropped."""
    w.withdraw("released")
    w.withdraw("held")
    for n in range(3, 6):
        accept(w, arrival(f"turn-{n}", thread="thread-1"))
        w.spool.send("cloud-1", id=f"back-{n}", thread="thread-1", body="b")
    for hold, _ in w.spool.held():
        w.spool.drop_held(hold)
    w.promise("held and dropped", "SELECT 1 FROM outbox WHERE id = 'back-5' AND state = 'dead'")


# -- what is past -----------------------------------------------------------------------------


@step
def sweep_up(w: World) -> None:
    """What is overdue, past its lifetime or waits long; the first look only tells that the clock leapt."""
    sweep.run(w.spool.store, w.spool.config.host, w.home, now=w.now())
    soon = format_time(w.now() + 60)
    w.spool.send("cloud-1", id="short-1", body="b", expires=soon, deadline=soon)
    w.now.at += 700
    sweep.run(w.spool.store, w.spool.config.host, w.home, now=w.now())
    w.promise("expired", "SELECT 1 FROM outbox WHERE id = 'short-1' AND state = 'dead'")


@step
def archive(w: World) -> None:
    """What ended goes to the archive with its words; what is forgotten is forgotten."""
    for label, promise in w.promises.items():
        if (
            "FROM outbox WHERE" in promise.sql
            or "FROM inbox WHERE" in promise.sql
            or "attached" in promise.sql
        ):
            w.withdraw(label)
    w.spool.archive(older_than_s=0.0)


@step
def search(w: World) -> None:
    """Over the archive and what lives."""
    assert w.spool.search("word") and w.spool.archived()
    assert w.spool.thread("thread-1")


@step
def forget_files(w: World) -> None:
    """No message needs it any more."""
    attachments.forget(w.spool.store, w.home, now=w.now() + 10 * DAY_S)


@step
def forget_peer(w: World) -> None:
    """It left the config; what waits for it dies."""
    w.spool.forget_peer("desk")
    w.promise("buried", "SELECT 1 FROM outbox WHERE id = 'many-1' AND state = 'dead'")


# -- the file itself --------------------------------------------------------------------------


@step
def queue(w: World) -> None:
    """Huey puts a task and takes it."""
    w.queue.enqueue(b"task-1", 9)
    w.queue.put_data("k", b"v")
    assert w.queue.dequeue() is not None


@step
def check(w: World) -> None:
    """What a consumer asks of the file."""
    w.spool.store.check_version()
    w.spool.store.quick_check()


@step
def checkpoint(w: World) -> None:
    """The log goes into the file, and is emptied."""
    with w.spool.store.read() as tx:
        assert tx.outbox.counts()
    store = w.spool.store
    with store._lock, sqlite.translated(store.path):
        connection, _ = store._connection("full")
        store._log.write_back(connection)
        store._log.empty(connection)


@step
def reopen(w: World) -> None:
    """Closed by the last process, which writes the log back, and opened by the next one."""
    w.close()
    w.open()


@step
def link_down(w: World) -> None:
    """And the next one comes up; what the old one held is free."""
    w.gate.left("it broke")
    w.gate.arrived(Hello(host="cloud", agents=[], spool="0", clock=w.now()), dialled=False)
    w.generation = w.gate._generation
    w.gate.release(w.gate.load(3))


@step
def send_last(w: World) -> None:
    """All goes on as before."""
    w.sent(w.spool.send("cloud-1", id="last-1", body="b"))
    accept(w, arrival("last-in"))
    w.came("last-in")

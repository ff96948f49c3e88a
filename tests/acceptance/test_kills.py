"""2,000 messages while everything that carries them is killed with -9, again and again.

Two homes, a real sshd between them, a consumer on each. Senders on both sides, in processes of
their own, get their messages in bursts; on the far side a reader is done with each, so that acks
travel too. Round by round one of these is killed with SIGKILL: the near consumer, the far
consumer, the far `spool serve`, the sshd process of the session; a killed consumer is started
again, everything else comes back by itself. Now and then a sender is killed as well: what it had
printed counts.

How a kill lands: the victim is stopped (SIGSTOP) at a random moment, the databases are looked at,
then it is killed. Stopped it can do nothing more, so it dies where it was stopped, and what was
leased and not answered when it died is counted exactly, not guessed. In most rounds it is held
stopped for up to HUNT_S until something is in flight, as on a host that hangs before it dies; in
the others it is killed at once, whatever there is. In flight is a message or an ack with a lease
that has not run out, of the link that is up, in either database; leases that killed links left
behind do not count.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final

import apsw
import pytest

from spool.store.sqlite import SqliteStore
from tests import databases
from tests.agents import EACH, MANY, Reader, Sender
from tests.databases import in_flight, one
from tests.hosts import Consumer, Host, dials_by_ssh, hosts, until
from tests.sshd import Sshd
from tests.victims import gone, mentioning, session_of, stopped

KINDS: Final = ("near consumer", "far consumer", "far serve", "sshd session")
KILLS_EACH: Final = 13
AT_LEAST_EACH: Final = 10
AT_LEAST_IN_FLIGHT: Final = 30
MESSAGES_EACH_WAY: Final = 1000
HUNT_S: Final = 0.5
LINK_S: Final = 30.0
SETTLE_S: Final = 30.0


class Field:
    """The two hosts, their consumers and senders, and what was killed so far."""

    def __init__(self, near: Host, far: Host, sshd: Sshd, folder: Path, rng: random.Random) -> None:
        self.near, self.far = near, far
        self.rng = rng
        self.consumers: dict[Host, Consumer] = {host: host.start() for host in (near, far)}
        self.senders = (
            Sender(near.home, "alice", "bob", folder / "alice"),
            Sender(far.home, "bob", "alice", folder / "bob"),
        )
        self.kills: Counter[str] = Counter()
        self.kills_in_flight: Counter[str] = Counter()
        self.senders_killed = 0

    def serve(self) -> int | None:
        """The `spool serve` that holds the link, where both sides say that it is up."""
        near = databases.holder(self.near.home, "far")
        far = databases.holder(self.far.home, "near")
        if near is None or far is None or near[1] != self.consumers[self.near].pid or gone(far[1]):
            return None
        return far[1]

    def victim(self, kind: str) -> int | None:
        """The process to be killed; None where it is not there now."""
        serve = self.serve()
        match kind:
            case "near consumer":
                return self.consumers[self.near].pid
            case "far consumer":
                return self.consumers[self.far].pid
            case "far serve":
                return serve
            case _:
                return session_of(serve) if serve is not None else None

    def in_flight(self) -> int:
        """Messages and acks, leased and not answered, either way."""
        return in_flight(self.near.home) + in_flight(self.far.home)

    def burst(self) -> None:
        """Give the senders something to do."""
        for sender in self.senders:
            sender.send(self.rng.choice((EACH, EACH, MANY)), self.rng.randint(12, 36))

    def kill(self, kind: str, *, hunt: bool) -> None:
        """One round: a burst, and a kill in the middle of it."""
        deadline = time.monotonic() + LINK_S
        while not self._hit(kind, hunt):
            assert time.monotonic() < deadline, f"no {kind} to kill for {LINK_S:.0f} s"
        if self.rng.random() < 0.15:
            self.rng.choice(self.senders).kill()
            self.senders_killed += 1
        time.sleep(self.rng.uniform(0.0, 0.2))
        self._restart()

    def _hit(self, kind: str, hunt: bool) -> bool:
        until(lambda: self.serve() is not None, LINK_S, f"no link for {LINK_S:.0f} s before {kind}")
        self.burst()
        time.sleep(self.rng.uniform(0.0, 0.04))
        if (pid := self.victim(kind)) is None:
            return False
        with stopped(pid) as stands:
            if not stands:
                return False
            deadline = time.monotonic() + (HUNT_S if hunt else 0.0)
            while not (carried := self.in_flight()) and time.monotonic() < deadline:
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
        self._bury(pid)
        self.kills[kind] += 1
        self.kills_in_flight[kind] += carried > 0
        return True

    def _bury(self, pid: int) -> None:
        for consumer in self.consumers.values():
            if consumer.pid == pid:
                consumer.process.wait(10)
        until(lambda: gone(pid))

    def _restart(self) -> None:
        for host, consumer in self.consumers.items():
            if (status := consumer.process.poll()) is not None:
                assert status == -signal.SIGKILL, consumer.out.read_text()
                self.consumers[host] = host.start()

    def forgive(self) -> None:
        """Whoever logs in so often is made to wait for a quarter of an hour: not what is asked here."""
        with contextlib.closing(SqliteStore(self.near.home)) as store, store.write(sync=False) as tx:
            tx.ledger.set_fact("logins:far", "")

    def send_the_rest(self) -> None:
        """Bring both senders to their number."""
        for sender in self.senders:
            sender.finish()
            if (missing := MESSAGES_EACH_WAY - len(sender.ids())) > 0:
                sender.send(MANY, missing)
                sender.finish()

    def settle(self, reader: Reader) -> None:
        """Wait until nothing is on its way and the reader has read everything."""

        def settled() -> bool:
            came = one(self.far.home, "SELECT count(*) FROM inbox WHERE agent = 'bob'")
            return (
                databases.waiting(self.near.home) == databases.waiting(self.far.home) == 0
                and len(reader.ids()) == came
                and databases.waiting(self.far.home) == 0
            )

        until(settled, SETTLE_S, "mail is still on its way")


@pytest.mark.timeout(180)
def test_nothing_is_lost_and_nothing_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must-show 4: every printed id is in the far inbox exactly once and is known as received."""
    seed = int(os.environ.get("SPOOL_SEED") or random.randrange(2**32))
    with capsys.disabled():
        print(f"\nkills: SPOOL_SEED={seed}", flush=True)
    begun = time.monotonic()
    with (
        Sshd(tmp_path / "sshd") as sshd,
        hosts(tmp_path, near=["alice"], far=["bob"]) as (near, far),
        contextlib.closing(Reader(far.home, "bob", tmp_path / "read.ids")) as reader,
    ):
        dials_by_ssh(near, far, sshd, near_agents=["alice"], far_agents=["bob"])
        field = Field(near, far, sshd, tmp_path, random.Random(seed))
        rounds = [kind for kind in KINDS for _ in range(KILLS_EACH)]
        field.rng.shuffle(rounds)
        for kind in rounds:
            field.kill(kind, hunt=field.rng.random() < 0.8)
            field.forgive()
        sent_meanwhile = [len(sender.ids()) for sender in field.senders]
        field.send_the_rest()
        field.settle(reader)
    took = time.monotonic() - begun

    again = sum(len(host.log("message.duplicate")) for host in (near, far))
    with capsys.disabled():
        for kind in KINDS:
            print(f"  {kind:<14}{field.kills[kind]:>3} killed, {field.kills_in_flight[kind]:>2} in flight")
        print(
            f"  {field.kills.total()} kills, {field.kills_in_flight.total()} while mail was in flight;"
            f" {field.senders_killed} senders; {' + '.join(map(str, sent_meanwhile))} messages printed"
            f" meanwhile, {again} carried twice and absorbed; {took:.1f} s"
        )
    assert min(field.kills.values()) >= AT_LEAST_EACH and field.kills.total() >= 50
    assert field.kills_in_flight.total() >= AT_LEAST_IN_FLIGHT
    assert not mentioning(str(tmp_path)), "a process was left over"
    with (
        contextlib.closing(databases.copy(near.home, tmp_path / "near.copy")) as here,
        contextlib.closing(databases.copy(far.home, tmp_path / "far.copy")) as there,
    ):
        for database in (here, there):
            check_database(database)
        for sender, source, target in zip(field.senders, (here, there), (there, here), strict=True):
            check_arrived(sender.ids(), source, target)
        check_read(reader.ids(), here, there)


def check_database(database: apsw.Connection) -> None:
    """Whole, and at rest."""
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for nothing in (
        "SELECT id, state FROM outbox WHERE due IS NOT NULL OR state IN ('queued', 'sent', 'dead')",
        "SELECT * FROM acks",
        "SELECT * FROM quarantine",
        "SELECT data, count(*) FROM task GROUP BY data HAVING count(*) > 1",
        # What came from a peer and what was seen are the same messages.
        "SELECT sender, id, digest FROM inbox EXCEPT SELECT sender, id, digest FROM seen",
        "SELECT sender, id, digest FROM seen EXCEPT SELECT sender, id, digest FROM inbox",
        "SELECT seq FROM outbox_archive UNION ALL SELECT seq FROM inbox_archive",
    ):
        assert database.execute(nothing).fetchall() == [], nothing
    pushes = database.execute("SELECT count(*) FROM task WHERE data LIKE '%push%'").get
    assert pushes <= database.execute("SELECT count(*) FROM peers").get == 1


def check_arrived(printed: list[str], source: apsw.Connection, target: apsw.Connection) -> None:
    """Every printed id once in the far inbox, and nothing there that the near outbox does not have."""
    assert len(printed) == len(set(printed)) >= MESSAGES_EACH_WAY
    inbox = Counter(id for (id,) in target.execute("SELECT id FROM inbox"))
    assert [id for id in printed if inbox[id] != 1] == []
    assert [id for id, times in inbox.items() if times != 1] == []
    states = dict(source.execute("SELECT id, state FROM outbox").fetchall())
    assert [id for id in printed if states.get(id) not in ("received", "read", "done")] == []
    assert states.keys() == inbox.keys()


def check_read(read: list[str], here: apsw.Connection, there: apsw.Connection) -> None:
    """What the reader was done with is done on both sides, each once."""
    assert len(read) == len(set(read))
    for database, table in ((there, "inbox"), (here, "outbox")):
        done = {id for (id,) in database.execute(f"SELECT id FROM {table} WHERE state = 'done'")}
        assert done == set(read), table

"""Two spools over a real sshd; the near consumer, the far `spool serve` or a `spool send` is killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from spool import authorized
from tests import databases
from tests.hosts import CLI, Host
from tests.kills import tracer
from tests.kills.actors import read_all, send
from tests.kills.ground import Ground, drive, end, run
from tests.kills.points import Story, Verdict, judge
from tests.kills.truth import Truth, body_of
from tests.sshd import Sshd

FILE_BYTES: Final = 150_000
_ON_ITS_WAY: Final = (
    "SELECT (SELECT count(*) FROM outbox WHERE due IS NOT NULL OR state NOT IN ('done', 'dead'))"
    " + (SELECT count(*) FROM acks)"
)


class Linked:
    """`near` dials `far`. On both sides mail waits, on both an ack of a message that came before.

    Attributes:
        file: what an attachment is made of.
    """

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self.ground = Ground(folder)
        self.near = Host(self.ground.homes, "near", "alice")
        self.far = Host(self.ground.homes, "far", "bob")
        self.file = folder / "file.bin"
        self.file.write_bytes(bytes(range(250)) * (FILE_BYTES // 250))
        self._link(sshd)
        self._before = Truth({})

    def _link(self, sshd: Sshd) -> None:
        command = [*self.ground.far_victim("serve"), *CLI]
        sshd.authorize(
            authorized.line_for(self.near.made.public_key, peer="near", command=command, home=self.far.home)
        )
        url = f"ssh://{sshd.user}@127.0.0.1:{sshd.port}"
        self.near.peer("far", url=url, agents=["bob"], host_key=sshd.host_key)
        self.far.peer("near", agents=["alice"])

    def prepare(self, *, waiting: bool) -> None:
        """Let both know each other; `waiting` leaves mail, a file and an ack to carry on both sides."""
        truth = Truth({})
        send(truth, self.near, self.far, to="bob", subject="there before")
        send(truth, self.far, self.near, to="alice", subject="here before")
        started = self.ground.start(self.near.home)
        assert drive(lambda: None, lambda: self._arrived(2)) is not None, "the link does not come up"
        if not waiting:
            assert drive(lambda: self.act(truth), self.settled) is not None, "the acks do not come"
        end(started)
        if waiting:
            read_all(truth, self.far, "bob")
            read_all(truth, self.near, "alice")
            for n in range(2):
                send(truth, self.near, self.far, to="bob", subject=f"waits here {n}")
                send(truth, self.far, self.near, to="alice", subject=f"waits there {n}")
            send(truth, self.near, self.far, to="bob", subject="a file from here", attach=self.file)
            send(truth, self.far, self.near, to="alice", subject="a file from there", attach=self.file)
        self._before = truth
        self.ground.keep()

    def _arrived(self, count: int) -> bool:
        stored = [databases.one(host.home, "SELECT count(*) FROM inbox") for host in (self.near, self.far)]
        return count == sum(map(int, stored))

    def truth(self) -> Truth:
        """What is promised and was done before the kill."""
        truth = Truth(self._before.promised)
        truth.given.update(self._before.given)
        return truth

    def act(self, truth: Truth) -> None:
        """Both agents read; somebody looks."""
        read_all(truth, self.near, "alice")
        read_all(truth, self.far, "bob")
        truth.look(self.near, self.far)

    def is_up(self) -> bool:
        """Whether the link stands."""
        return bool(databases.one(self.near.home, "SELECT state = 'linked' FROM peers WHERE name = 'far'"))

    def settled(self) -> bool:
        """Whether nothing is on its way and every message has ended."""
        return not any(databases.one(host.home, _ON_ITS_WAY) for host in (self.near, self.far))

    def mend(self, truth: Truth, kill_at: int, met: list[str]) -> Verdict:
        """Let a link come up unharmed, and judge when all is carried, or after a while if it never is."""
        took_s = drive(lambda: self.act(truth), self.settled)
        self.ground.end()
        truth.at_rest(self.near, self.far)
        truth.check_mail(self.near, self.far)
        truth.check_mail(self.far, self.near)
        return judge(kill_at, met, truth.wrong, took_s, truth.counted(self.near, self.far))


class Linking:
    """The victim carries mail: the near consumer or the far `spool serve`."""

    def __init__(self, hosts: Linked, victim: str) -> None:
        self._hosts = hosts
        self._victim = victim
        hosts.prepare(waiting=True)

    def point(self, kill_at: int) -> Verdict:
        """Mail goes both ways, some is sent meanwhile, and the victim dies on the way or at its end."""
        hosts = self._hosts
        hosts.ground.restore()
        truth, folder = hosts.truth(), hosts.ground.arm(self._victim, kill_at)
        before = hosts.ground.victim("consumer") if self._victim == "consumer" else []
        started = hosts.ground.start(hosts.near.home, *before)
        sent: list[str] = []
        act = self._with_mail_between(truth, sent)

        def is_over() -> bool:
            return tracer.ended(folder) or hosts.settled()

        if drive(act, is_over) is None:
            truth.wrong.append("something was stuck before the kill")
        if self._victim == "consumer" or not tracer.ended(folder):
            end(started)
        if drive(lambda: None, lambda: tracer.ended(folder)) is None:
            truth.wrong.append("the victim was not over")
        truth.after_a_death(hosts.near, hosts.far)
        if started.poll() is not None:
            hosts.ground.start(hosts.near.home)
        drive(act, lambda: bool(sent))
        return hosts.mend(truth, kill_at, tracer.met(folder))

    def _with_mail_between(self, truth: Truth, sent: list[str]) -> Callable[[], None]:
        """The agents; once the link is up they also send one message each."""
        hosts = self._hosts

        def act() -> None:
            if not sent and hosts.is_up():
                sent.append(send(truth, hosts.near, hosts.far, to="bob", subject="sent meanwhile, here"))
                sent.append(send(truth, hosts.far, hosts.near, to="alice", subject="sent meanwhile, there"))
            hosts.act(truth)

        return act


class Sending:
    """The victim is `spool send`, alone or beside a consumer; what has ids of its own is then sent again."""

    def __init__(self, hosts: Linked, *, beside: bool, args: list[str], ids: list[str]) -> None:
        self._hosts = hosts
        self._beside = beside
        self._args = args
        self._ids = ids
        hosts.prepare(waiting=False)

    def point(self, kill_at: int) -> Verdict:
        """It dies; what it printed is there, what it did not print is there whole or not at all."""
        hosts = self._hosts
        hosts.ground.restore()
        truth, folder = hosts.truth(), hosts.ground.arm("send", kill_at)
        if self._beside:
            hosts.ground.start(hosts.near.home)
            assert drive(lambda: None, hosts.is_up) is not None, "the link does not come up"
        self._promise(truth, self._send())
        truth.after_a_death(hosts.near, hosts.far)
        if self._ids:
            again = self._send()
            if again.stdout.split() != self._ids:
                truth.wrong.append(f"sent again: {again.returncode} {again.stdout!r} {again.stderr!r}")
            self._promise(truth, again)
        if not self._beside:
            hosts.ground.start(hosts.near.home)
        return hosts.mend(truth, kill_at, tracer.met(folder))

    def _send(self) -> subprocess.CompletedProcess[str]:
        command = [*CLI, "--home", str(self._hosts.near.home), "send", *self._args]
        return run([*self._hosts.ground.victim("send"), *command])

    def _promise(self, truth: Truth, done: subprocess.CompletedProcess[str]) -> None:
        # A line that the kill cut short promises nothing.
        for line in done.stdout.splitlines(keepends=True):
            if line.endswith("\n"):
                truth.promised[line.strip()] = (self._hosts.near, self._hosts.far)


@contextlib.contextmanager
def _linked(folder: Path) -> Iterator[Linked]:
    with Sshd(folder / "sshd") as sshd:
        hosts = Linked(folder, sshd)
        try:
            yield hosts
        finally:
            hosts.ground.end()


def linking(victim: str) -> Story:
    """The story of a victim that carries mail."""

    @contextlib.contextmanager
    def story(folder: Path) -> Iterator[Linking]:
        with _linked(folder) as hosts:
            yield Linking(hosts, victim)

    return story


@contextlib.contextmanager
def sending_one(folder: Path) -> Iterator[Sending]:
    """One message without an id of its own, and no consumer runs."""
    with _linked(folder) as hosts:
        yield Sending(hosts, beside=False, args=["bob", "-s", "one", "-b", body_of("one")], ids=[])


@contextlib.contextmanager
def sending_a_file(folder: Path) -> Iterator[Sending]:
    """One message with a file, and no consumer runs."""
    with _linked(folder) as hosts:
        args = ["bob", "-s", "one", "-b", body_of("one"), "--id", "own-1", "--attach", str(hosts.file)]
        yield Sending(hosts, beside=False, args=args, ids=["own-1"])


@contextlib.contextmanager
def sending_two(folder: Path) -> Iterator[Sending]:
    """Two messages in one commit, while a consumer runs."""
    ids = ["own-1", "own-2"]
    file = folder / "two.jsonl"
    said = [{"id": id, "to": "bob", "subject": id, "body": body_of(id)} for id in ids]
    with _linked(folder) as hosts:
        file.write_text("".join(json.dumps(each) + "\n" for each in said))
        yield Sending(hosts, beside=True, args=["--message", str(file)], ids=ids)

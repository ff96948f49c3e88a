"""A files peer over a real sshd, and a kill of the far `sftp-server` or of the consumer that talks to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests import databases
from tests.hosts import Host
from tests.kills import tracer
from tests.kills.ground import Ground, drive, end
from tests.kills.points import Gone, Story, Verdict, judge
from tests.kills.truth import body_of, whole
from tests.sshd import Sshd

SENT: Final = bytes(range(250)) * 600
LEFT: Final = bytes(range(200)) * 700
MESSAGES: Final = 3
_SERVERS: Final = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "sftp-server")


def sftp_server() -> str | None:
    """Where OpenSSH's sftp-server lies, if it does."""
    return next(filter(None, map(shutil.which, _SERVERS)), None)


class Folders:
    """Here a spool, there two folders; mail waits here (`push`), files lie there (`pull`), or both.

    The point's victim is "sftp", the first server that sshd starts, or "consumer".
    """

    def __init__(self, folder: Path, victim: str, *, push: bool, pull: bool) -> None:
        self.ground = Ground(folder)
        self._victim = victim
        self._push = push
        self._pull = pull
        self._near = Host(self.ground.homes, "near", "al")
        self._inbox = self.ground.homes / "there" / "inbox"
        self._outbox = self.ground.homes / "there" / "outbox"
        self._file = folder / "file.bin"
        self._file.write_bytes(SENT)
        self._kept: list[str] = []
        self._forget()

    def _forget(self) -> None:
        """Nothing has happened yet since the homes were put back."""
        self._ids, self._given, self._wrong = list(self._kept), Counter[str](), list[str]()
        self._has_more = False

    def subsystem(self) -> str:
        """The line that lets sshd start the victim."""
        server = sftp_server()
        assert server is not None, "no sftp-server here: install openssh-sftp-server"
        return f"Subsystem sftp {shlex.join([*self.ground.far_victim('sftp'), server])}"

    def prepare(self, sshd: Sshd) -> None:
        """Let the peer be known, and mail and files wait."""
        for made in (self._inbox, self._outbox / "attachments"):
            made.mkdir(parents=True)
        sshd.authorize(self._near.made.public_key)
        self._near.peer(
            "far",
            url=f"sftp://{sshd.user}@127.0.0.1:{sshd.port}",
            host_key=sshd.host_key,
            agents=["bo"],
            inbox=str(self._inbox),
            outbox=str(self._outbox),
            poll_s=1.0,
        )
        for n in range(MESSAGES if self._push else 0):
            self._kept.append(self._send(f"waits here {n}", attach=n == 0))
        for n in range(MESSAGES if self._pull else 0):
            self._leave(f"lies there {n}", attach=n == 0)
        self.ground.keep()

    def point(self, kill_at: int) -> Verdict:
        """Mail waits and more comes; the victim dies, and all is published once and taken once."""
        self.ground.restore()
        self._forget()
        folder = self.ground.arm(self._victim, kill_at)
        before = self.ground.victim("consumer") if self._victim == "consumer" else []
        started = self.ground.start(self._near.home, *before)
        if drive(self._act, lambda: tracer.ended(folder) or self._settled()) is None:
            self._wrong.append("something was stuck before the kill")
        if self._victim == "consumer" or not tracer.ended(folder):
            end(started)
        if drive(lambda: None, lambda: tracer.ended(folder)) is None:
            self._wrong.append("the victim was not over")
        self._after_a_death()
        if started.poll() is not None:
            self.ground.start(self._near.home)
        if (took_s := drive(self._act, self._settled)) is None:
            self._wrong.append(f"{self._left()} are left there")
        self.ground.end()
        self._at_rest()
        return judge(kill_at, tracer.met(folder), self._wrong, took_s, self._counted())

    def _send(self, subject: str, *, attach: bool = False) -> str:
        with self._near.api() as spool:
            files = [self._file] if attach else []
            return spool.send("bo", subject=subject, body=body_of(subject), attach=files)

    def _leave(self, subject: str, *, attach: bool = False) -> None:
        """As a script there does that writes whole files."""
        said: dict[str, Any] = {"from": "bo", "to": "al", "subject": subject, "body": body_of(subject)}
        if attach:
            name = hashlib.sha256(LEFT).hexdigest()
            said["attachments"] = [{"name": "file.bin", "bytes": len(LEFT), "sha256": name}]
            (self._outbox / "attachments" / name).write_bytes(LEFT)
        hidden = self._outbox / ".new"
        hidden.write_text(json.dumps(said))
        hidden.rename(self._outbox / f"{subject.replace(' ', '-')}.json")

    def _act(self) -> None:
        """The agent here; once the peer is reached one more message is sent and one more file written."""
        reached = databases.one(self._near.home, "SELECT state FROM peers WHERE name = 'far'") == "linked"
        if reached and not self._has_more:
            self._has_more = True
            if self._push:
                self._ids.append(self._send("sent meanwhile"))
            if self._pull:
                self._leave("left meanwhile")
        self._read()

    def _read(self) -> None:
        if not databases.one(self._near.home, "SELECT count(*) FROM inbox WHERE state = 'unread'"):
            return
        with self._near.api("al") as spool:
            for message in spool.receive(timeout=0.0):
                with message:
                    self._given[message.subject] += 1

    def _left(self) -> list[str]:
        """The names of the files that are still to be taken, hidden ones too."""
        return [path.name for path in self._outbox.rglob("*") if path.is_file()]

    def _settled(self) -> bool:
        waiting = databases.one(self._near.home, "SELECT count(*) FROM outbox WHERE due IS NOT NULL")
        return self._has_more and not waiting and not self._left()

    def _after_a_death(self) -> None:
        self._check_folders()
        for id, state in databases.rows(self._near.home, "SELECT id, state FROM outbox"):
            if state != "queued" and not (self._inbox / f"{id}.json").exists():
                self._wrong.append(f"{id} is {state} here and not published there")
        here = self._subjects()
        for subject in self._files():
            name = f"{subject.replace(' ', '-')}.json"
            if not here[subject] and not any(name in each for each in self._left()):
                self._wrong.append(f"{name} is neither here nor there")

    def _at_rest(self) -> None:
        self._check_folders()
        published = sorted(path.stem for path in self._published())
        if published != sorted(self._ids):
            self._wrong.append(f"published are {published}, and sent were {sorted(self._ids)}")
        for found in (self._subjects(), self._given):
            if found != Counter(self._files()):
                self._wrong.append(f"taken are {found}, and left were {self._files()}")
        for what in (
            "SELECT peer, reason FROM quarantine",
            "SELECT id, reason FROM outbox WHERE state = 'dead'",
        ):
            self._wrong += [f"{row}" for row in databases.rows(self._near.home, what)]
        self._check_files()

    def _check_folders(self) -> None:
        """Whoever reads `*.json` there meets only whole messages, and the database here is in order."""
        for path in self._published():
            if not whole(path.read_bytes()):
                self._wrong.append(f"{path} is not whole")
        if (found := databases.one(self._near.home, "PRAGMA integrity_check")) != "ok":
            self._wrong.append(f"the database: {found}")

    def _check_files(self) -> None:
        asked = ((self._push, self._inbox, SENT), (self._pull, self._near.home, LEFT))
        for is_asked, folder, file in asked:
            path = folder / "attachments" / hashlib.sha256(file).hexdigest()
            if is_asked and (not path.exists() or path.read_bytes() != file):
                self._wrong.append(f"{path} is not there whole, and its message is")

    def _published(self) -> list[Path]:
        return list(self._inbox.glob("[!.]*.json"))

    def _files(self) -> list[str]:
        lying = [f"lies there {n}" for n in range(MESSAGES)]
        return [*lying, *(["left meanwhile"] if self._has_more else [])] if self._pull else []

    def _subjects(self) -> Counter[str]:
        rows = databases.rows(self._near.home, "SELECT raw FROM inbox")
        return Counter(json.loads(raw)["subject"] for (raw,) in rows)

    def _counted(self) -> Gone:
        stored, published = self._subjects(), {path.stem for path in self._published()}
        lost = len(set(self._ids) - published) + len(set(self._files()) - set(stored))
        return Gone(lost, sum(max(times, self._given[subject]) > 1 for subject, times in stored.items()))


def files(victim: str, *, push: bool = False, pull: bool = False) -> Story:
    """The story of a victim that publishes, takes, or does both."""

    @contextlib.contextmanager
    def story(folder: Path) -> Iterator[Folders]:
        stage = Folders(folder, victim, push=push, pull=pull)
        with Sshd(folder / "sshd", sftp=False, config=stage.subsystem()) as sshd:
            try:
                stage.prepare(sshd)
                yield stage
            finally:
                stage.ground.end()

    return story

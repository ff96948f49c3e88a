r"""A folder whose owner means harm: files, links, pipes and names of any kind, taken by the real taker.

An input is a script of steps, parted by \x1e: a letter, a name, \x1f, and what it holds;
`!` looks at once and `~` a minute later.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool import foreign, log
from spool.api import Spool
from spool.clock import Clock
from spool.errors import SpoolError
from spool.files_gate import FilesGate
from spool.foreign import FileAck, Found, NotWhole
from spool.store.base import Tx
from spool.transports.base import Left
from spool.transports.directory import Directory
from spool.transports.take import PATIENCE_S, REFUSED, Taker
from tests.desk import make_home
from tests.fuzz.ground import NOW, Ground, Place, logged

MAX_BYTES: Final = 2048
PEERS: Final = """
[peers.cloud]
url = "dir:"
inbox = "/nowhere/in"
outbox = "/nowhere/out"
agents = ["cloud-*"]

[peers.desk]
agents = ["desk-*"]
"""
SECRET: Final = b'{"from":"cloud-1","to":"me","subject":"from outside"}'
_STEP: Final = b"\x1e"
_NAME: Final = b"\x1f"
_STEPS: Final = 24
_SPARSE: Final = 10 * 1024**3
_ROUNDS: Final = 3


class Turned:
    """A clock that never jumps, and goes only where it is turned."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Folders:
    """The target."""

    most_bytes = 16 * 1024

    def __init__(self, ground: Ground, scratch: Path) -> None:
        self._ground = ground
        self._outside = scratch / "outside"
        self._outside.mkdir(exist_ok=True)

    def __call__(self, raw: bytes) -> str:
        now = Turned()
        with self._ground.fresh(monotonic=now) as place:
            outbox = place.home / "outbox"
            outbox.mkdir()
            (self._outside / "secret.json").write_bytes(SECRET)
            gate = FilesGate(place.store, place.settings, "cloud", clock=place.clock, token="t", version="0")
            gate.opened()
            taker = Taker(
                Directory(0o600), str(outbox), gate, host="here", max_bytes=MAX_BYTES, monotonic=now
            )
            left, kept = _Left(outbox, self._outside), 0
            for step in raw.split(_STEP)[:_STEPS]:
                if step in (b"!", b"~"):
                    kept += _take(taker, now, 1, wait_s=1.0 if step == b"!" else PATIENCE_S + 1)
                else:
                    left.put(step)
            kept += _take(taker, now, _ROUNDS, wait_s=PATIENCE_S + 1)
            word = left.check(place)
            assert [*self._outside.iterdir()] == [self._outside / "secret.json"], "something went out"
            assert (self._outside / "secret.json").read_bytes() == SECRET, "something was changed outside"
        return f"{word}/{min(kept, 3)}"

    def memory(self, size: int) -> int:
        """The store's pages, and each file read twice."""
        return 24 * 1024 * 1024 + 100 * size


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Folders]:
    """The taker of a host that has published a question, so that there is something to answer."""
    first = make_home(scratch / "first", "me", peers=PEERS, host=f"max_message_bytes = {MAX_BYTES}")
    ground = Ground(scratch, first)
    with Spool(first, agent="me", clock=Clock(lambda: NOW, lambda: 0.0)) as spool:
        spool.send("cloud-1", subject="one", id="sent-1")
    with ground.fresh() as place:
        gate = FilesGate(place.store, place.settings, "cloud", clock=place.clock, token="t", version="0")
        gate.opened()
        gate.settle([(parcel, Left(NOW)) for parcel in gate.load(10).parcels])
    with logged(scratch / "logs"):
        log.info("fuzz.began")
        yield Folders(ground, scratch)


def _take(taker: Taker, now: Turned, rounds: int, *, wait_s: float) -> int:
    """Look, and look again: what never becomes whole is taken for what it is when enough time has passed."""
    count = 0
    for _ in range(2 * rounds):
        count += taker.take()
        now.at += wait_s
    return count


class _Left:
    """What was left in the folder, by name, and what was there before it was written over."""

    def __init__(self, outbox: Path, outside: Path) -> None:
        self._outbox = os.fsencode(outbox)
        self._outside = os.fsencode(outside)
        self._files: dict[bytes, bytes] = {}
        self._others: set[bytes] = set()
        self._hidden: dict[bytes, bytes] = {}

    def put(self, step: bytes) -> None:
        """Take one step of the script; what the file system itself refuses is no step."""
        name, _, content = step[1:].partition(_NAME)
        if not name or b"/" in name or b"\0" in name or name in (b".", b"..") or self._is_taken(name):
            return
        with contextlib.suppress(OSError):
            self._make(step[:1], name, content)

    def _is_taken(self, name: bytes) -> bool:
        """Whether something else bears the name: each is made once, and a file may be written to again."""
        return name in self._others or name in self._hidden or self._is_hidden_by_us(name)

    @staticmethod
    def _is_hidden_by_us(name: bytes) -> bool:
        return name.startswith(REFUSED.encode())

    def _make(self, kind: bytes, name: bytes, content: bytes) -> None:
        path = self._outbox + b"/" + name
        match kind:
            case b"l" if not os.path.lexists(path):
                os.symlink(self._outside + b"/" + (content.strip(b"/\0") or b"secret.json"), path)
                self._others.add(name)
            case b"p" if not os.path.lexists(path):
                os.mkfifo(path)
                self._others.add(name)
            case b"d" if not os.path.lexists(path):
                os.mkdir(path)
                self._others.add(name)
            case b"h" if not os.path.lexists(path):
                os.link(self._outside + b"/secret.json", path)
                self._note(name, SECRET)
            case b"s" if not os.path.lexists(path):
                with open(path, "wb") as file:
                    file.truncate(_SPARSE)
                self._note(name, None)
            case b"f":
                with open(path, "wb") as file:
                    file.write(content)
                os.utime(path, (NOW, NOW))
                self._note(name, content)
            case b"a" if name in self._files and os.path.lexists(path):
                with open(path, "ab") as file:
                    file.write(content)
                self._note(name, self._files[name] + content)
            case _:
                return

    def _note(self, name: bytes, content: bytes | None) -> None:
        kept = content if content is not None else b"\0" * (MAX_BYTES + 1)
        if name.startswith(b".") or not name.endswith(b".json"):
            self._hidden[name] = kept
        else:
            self._files[name] = kept

    def check(self, place: Place) -> str:
        """Everything is where it was left, or it is mail, an ack, or in the quarantine."""
        words = set()
        for name in self._others:
            assert os.path.lexists(self._outbox + b"/" + name), f"{name!r} is gone, and was no file"
        with place.store.read() as tx:
            for name, content in self._files.items():
                words.add(self._became(tx, name, content))
            for name, content in self._hidden.items():
                if not os.path.lexists(self._outbox + b"/" + name):
                    assert name.startswith(b".spool-here~"), f"{name!r} was hidden, and is gone"
                    words.add(self._became(tx, name.split(b"~", 2)[-1], content))
        return "+".join(sorted(words)) or "nothing"

    def _became(self, tx: Tx, name: bytes, content: bytes) -> str:
        path = self._outbox + b"/" + name
        if os.path.lexists(path) and not _starts_with(path, content):
            raise AssertionError(f"{name!r} was changed where it stands")
        head = content[:MAX_BYTES]
        if any(row.raw == head for row in tx.ledger.quarantined()):
            return "quarantined"
        if os.path.lexists(path):
            return "stays"
        if self._is_claimed(name, content):
            return "waits"
        try:
            found = foreign.read(Found(os.fsdecode(name), content, NOW), max_bytes=MAX_BYTES)
        except (NotWhole, SpoolError) as exc:
            raise AssertionError(f"{name!r} is gone: {exc}") from exc
        if isinstance(found, FileAck):
            return "ack"
        assert tx.ledger.seen(found.sender, found.id), f"{name!r} is gone, and no mail"
        row = tx.inbox.exact(found.id, found.sender) or tx.outbox.exact(found.id, found.sender)
        assert row is not None and row.digest == found.digest, f"{name!r} is gone, and became something else"
        return "mail"

    def _is_claimed(self, name: bytes, content: bytes) -> bool:
        """Whether it stands there under the hidden name of a claim, until its attachments come."""
        short = os.fsencode(foreign.short_name(os.fsdecode(name)))
        return any(
            each.startswith(b".spool-here~")
            and each.endswith(b"~" + short)
            and _starts_with(self._outbox + b"/" + each, content)
            for each in os.listdir(self._outbox)
            if each not in self._others
        )


def _starts_with(path: bytes, content: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(content)) == content

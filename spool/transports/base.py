"""What a transport promises: a pipe to the far spool, or the folders of a peer; and outcomes per message."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec

from spool.config import Peer
from spool.errors import LinkError


class Accepted(msgspec.Struct, frozen=True):
    """The next hop has it on disk.

    `at` is when, by the far clock; `final` says that hop is the host of the agent it is for,
    `host` is that host's name; `again` says it was there before.
    """

    at: float
    final: bool
    host: str
    again: bool = False


class Left(msgspec.Struct, frozen=True):
    """Published where the other side will look; no proof yet."""

    at: float


class Deferred(msgspec.Struct, frozen=True):
    """Try later; not before `after_s` seconds, where the other side says so."""

    reason: str
    after_s: float = 0.0


class Refused(msgspec.Struct, frozen=True):
    """Never; the reason is for the sender."""

    reason: str


Outcome = Accepted | Left | Deferred | Refused


class Exchange(Protocol):
    """What exchanges mail with one peer, whatever the road; the carrier runs it in a thread of its own.

    Attributes:
        up: set once the peer was reached.
    """

    up: threading.Event

    def poke(self) -> None:
        """Look for work now: somebody rang."""

    def quiet_for(self) -> float:
        """Seconds since something last moved; 0 while there is work, and before the first look is over."""

    def end(self, why: LinkError | None = None) -> None:
        """End it, from any thread, as often as one likes; the first reason counts."""

    def run(self) -> None:
        """Exchange in the caller's thread until it ends.

        Raises:
            LinkError: why it ended; nothing where this side ended it on purpose.
        """


class Ticking(Protocol):
    """An exchange that does its timed work when the home's timer says so."""

    def tick(self) -> None:
        """The timer's word: what is due is done."""


class Pipe(Protocol):
    """Bytes both ways to a far `spool serve`. Two threads use it: one sends, one receives."""

    def send(self, frames: bytes) -> None:
        """Write all of it; blocks while the far side does not read.

        Raises:
            LinkLost: the pipe is closed or broke.
        """

    def receive(self, max_bytes: int) -> bytes:
        """Return what has come, at least one byte; b"" when the far side ended. Blocks.

        Raises:
            LinkLost: the pipe broke.
        """

    def close(self) -> None:
        """End it, from any thread, as often as one likes; wakes `send` and `receive`. Never raises."""

    def last_words(self) -> str:
        """What the far command said on stderr (its last lines) and how it ended; "" if nothing.

        Waits a moment for it after the far side ended. For an error message.
        """

    def exit_status(self) -> int | None:
        """The far command's exit status once it ended, None while it runs or if it is unknown."""


class Dial(Protocol):
    """What each transport's module has under the name `dial`."""

    def __call__(self, peer: Peer, home: Path, *, as_name: str) -> Pipe:
        """Open a pipe to a peer.

        Args:
            home: this host's home; its key lies there.
            as_name: the name under which the far side knows this host.

        Raises:
            LinkError: of a known kind. Each step takes at most the peer's `connect_timeout_s`.
        """


class Entry(NamedTuple):
    """A name in a folder and what it stands for, links not followed.

    `kind` is file, folder, link or other (a pipe, a socket, a device); `size` in bytes; `mtime` in
    seconds since the epoch, by the clock of whoever keeps the folder, whole seconds where that is
    all it says. A name holds whatever bytes it has there, as os.fsdecode gives them.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    mtime: float


class Failure(msgspec.Struct, frozen=True):
    """One file was not done; the others may have been.

    `reason` names the path. `unknown` says that it may have been done all the same.
    """

    reason: str
    unknown: bool = False


class Witness(Protocol):
    """Tells whether published files were read, through a second name that stays when the first one goes."""

    def share(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Give files a second name, never over what is there: False where that is taken."""

    def mark(self, paths: Sequence[str]) -> list[Failure | None]:
        """Make files count as unread from here on."""

    def was_read(self, paths: Sequence[str]) -> list[bool | Failure | None]:
        """Whether files were read since they were marked; None where there is nothing of that name."""


class Files(Protocol):
    """The folders of a files peer, through whatever reaches them. One thread uses it at a time.

    A path is a folder of the config (absolute, or from the far home with `~/` before it), a slash,
    and a name. Most methods take many files, since a round trip for each would be slow; what they
    return stands in the order asked. A link is never followed at the last part of a path.

    Every method raises LinkError where the exchange as a whole failed: nothing is known then of
    what it was asked to change. Each may be called again.
    """

    durable: bool
    """Whether what is put survives a power cut there; False where the far side offers no fsync."""

    def entries(self, folder: str) -> list[Entry]:
        """What is in a folder, hidden names too, in no order. Raises FolderMissing where it is none."""

    def look(self, paths: Sequence[str]) -> list[Entry | Failure | None]:
        """What stands there, each under its last part; None for nothing."""

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> list[bytes | Failure | None]:
        """The first `max_bytes` of each regular file; None where there is nothing of that name.

        A Failure for what is no regular file: opening it must not block, nor follow a link.
        """

    def put(self, files: Sequence[tuple[str, bytes]]) -> list[Failure | None]:
        """Make new files of these bytes; without a Failure it is whole there, and synced if `durable`.

        Every write is checked, and at the end what stands there. What was there under the name, or
        is not whole, is a Failure, and nothing is left of what could not be made.
        """

    def move(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Rename, never over what is there: False where the new name is taken."""

    def remove(self, paths: Sequence[str]) -> list[bool | Failure]:
        """Remove files; False where there was nothing of that name."""

    def sync(self, folder: str) -> None:
        """Make renames and removals in a folder survive a power cut, where that can be had."""

    def make(self, folder: str) -> None:
        """Make a folder for its owner alone, and those above it; one that is there is left alone."""

    def read(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` of one regular file, fewer at its end. Raises FileTrouble."""

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Put bytes at `offset` into one file, made where there is none; every write checked.

        Raises:
            FileTrouble: it could not be done; what was there before `offset` is as it was.
        """

    def seal(self, path: str) -> None:
        """Sync one file's bytes, where that can be had. Raises FileTrouble."""

    def witness(self, folder: str) -> Witness | None:
        """What tells whether files in a folder were read; None where nothing does."""

    def boot(self) -> str:
        """What changes when the machine there starts anew; "" where that cannot be told."""

    def close(self) -> None:
        """End it, from any thread, as often as one likes; what waits ends. Never raises."""


class Open(Protocol):
    """What the module of each files transport has under the name `open_files`."""

    def __call__(self, peer: Peer, home: Path) -> Files:
        """Reach a peer's folders; they need not be there.

        Args:
            home: this host's home; its key lies there.

        Raises:
            LinkError: of a known kind. Each step takes at most the peer's `connect_timeout_s`.
        """

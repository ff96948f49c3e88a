"""What a transport promises: a pipe to the far spool, and outcomes per message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spool.config import Peer


@dataclass(frozen=True, slots=True)
class Accepted:
    """The next hop has it on disk.

    `at` is when, by the far clock; `final` says that hop is the host of the agent it is for,
    `host` is that host's name; `again` says it was there before.
    """

    at: float
    final: bool
    host: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """Published where the other side will look; no proof yet."""

    at: float


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Never; the reason is for the sender."""

    reason: str


Outcome = Accepted | Left | Deferred | Refused


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

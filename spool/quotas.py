"""How much a peer may bring: messages a minute, and what of it waits here, so that none fills the disk."""

from __future__ import annotations

from typing import Final, NamedTuple

from spool.config import Host, Peer
from spool.store.base import Quota, Tx
from spool.transports.base import Deferred

MINUTE_S: Final = 60.0
MB: Final = 1024 * 1024
# Of the room above the low-water mark and what the peer has of it: the others must find some, too.
SHARE: Final = 0.75
# What waits goes when an agent has read it, or the next hop has it: nobody knows when.
AGAIN_S: Final = 30.0
# Once in this time the log is told.
TOLD_S: Final = 60.0
# A millionth of a second less than a whole message is one.
_NEARLY: Final = 1e-6


class Limits(NamedTuple):
    """What holds for a peer; 0 is no limit."""

    minute: int
    waiting: int
    bytes: int


def limits(host: Host, peer: Peer) -> Limits:
    """The quotas of a peer: its own, else the host's."""
    minute, waiting, mb = (
        ours if own is None else own
        for own, ours in (
            (peer.quota_minute, host.quota_minute),
            (peer.quota_waiting, host.quota_waiting),
            (peer.quota_mb, host.quota_mb),
        )
    )
    return Limits(minute, waiting, mb * MB)


class Budget:
    """What a peer may still bring, counted on while a batch of it is taken.

    Args:
        quota: how it stands.
        room: bytes free on the disk above the low-water mark.
        now: seconds since the epoch.
    """

    def __init__(self, quota: Quota, limits: Limits, *, room: int, now: float) -> None:
        self._limits = limits
        self._room = max(0, room)
        self._now = now
        self._told_at = quota.told_at
        self._messages, self._bytes = quota.messages, quota.bytes
        # Kept by a clock that was ahead, it would hold the peer up until that time comes.
        self._paid_until = min(max(quota.paid_until, now), now + MINUTE_S)
        self._took = self._took_bytes = 0
        self._deferred = 0

    def over(self) -> Deferred | None:
        """Why the next message has to wait, and for how long at least; None where it has not."""
        return self._too_much() or self._too_fast()

    def defer(self) -> None:
        """Count a message that has to wait."""
        self._deferred += 1

    def take(self, size: int) -> None:
        """Count a message that was taken."""
        self._took += 1
        self._took_bytes += size
        self._messages += 1
        self._bytes += size
        self._room -= size
        if self._limits.minute:
            self._paid_until += MINUTE_S / self._limits.minute

    def close(self, tx: Tx, peer: str) -> bool:
        """Count what was taken, in the batch's transaction; True where the log should be told who is over."""
        if self._took:
            tx.quotas.add(peer, messages=self._took, bytes=self._took_bytes, paid_until=self._paid_until)
        due = self._told_at is None or abs(self._now - self._told_at) >= TOLD_S
        if tell := self._deferred > 0 and due:
            tx.quotas.tell(peer, now=self._now)
        return tell

    def keys(self) -> dict[str, int]:
        """How the peer stands, in the words of the log."""
        return {"count": self._deferred, "messages": self._messages, "bytes": self._bytes}

    def _too_much(self) -> Deferred | None:
        # Asked for every message: nothing is put into words before it is too much.
        _, most, most_bytes = self._limits
        if most and self._messages >= most:
            return self._waits(f"{most:,} are the most (quota_waiting)")
        if most_bytes and self._bytes >= most_bytes:
            return self._waits(f"{most_bytes // MB:,} MB are the most (quota_mb)")
        if self._bytes > SHARE * (self._bytes + self._room):
            return self._waits("a peer's share of the room on this disk")
        return None

    def _waits(self, most: str) -> Deferred:
        mine = f"{self._messages:,} of its messages wait here, {self._bytes / MB:,.1f} MB"
        return Deferred(f"over quota: {mine}; {most}", AGAIN_S)

    def _too_fast(self) -> Deferred | None:
        if not (most := self._limits.minute):
            return None
        each_s = MINUTE_S / most
        wait_s = self._paid_until + each_s - self._now - MINUTE_S
        if wait_s <= _NEARLY:
            return None
        # Those that wait come one after the other, and not all when the first of them may.
        after_s = wait_s + self._deferred * each_s
        return Deferred(f"over quota: {most:,} messages a minute are the most (quota_minute)", after_s)


def problem(quota: Quota, limits: Limits, *, room: int, now: float) -> str | None:
    """Why a peer's next message would have to wait now; None where it would not."""
    found = Budget(quota, limits, room=room, now=now).over()
    return None if found is None else found.reason

"""The files that one link brings to the far side: offered, then sent in pieces as fast as they are taken."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from spool.errors import FileTrouble, LinkLost
from spool.freight import AT_ONCE
from spool.gate import Gate
from spool.store.base import Shipment
from spool.transports import frames

KB: Final = 1024
# A cut repeats no more than what was on its way.
MOST_BYTES: Final = 1024 * KB
LEAST_BYTES: Final = 32 * KB
BEGIN_BYTES: Final = 64 * KB
PIECE_BYTES: Final = 64 * KB
STEP_BYTES: Final = 32 * KB
# Mail waits behind what is on its way: no more is sent ahead than is taken in about this time.
AHEAD_S: Final = 0.1
# The way may become a longer one: how quick an answer can be is found out anew now and then.
AGAIN_S: Final = 60.0
# Longer than any disk takes to check a file of some gigabytes; offered again, it is answered again.
SILENT_S: Final = 300.0
TOLD_S: Final = 1.0
TOO_OLD: Final = "the far spool is too old for attachments; upgrade it"


class _Going:
    """One file on its way: how much was sent of it, and how much the far side says it has."""

    def __init__(self, file: Shipment, now: float) -> None:
        self.sha256 = file.sha256
        self.bytes = file.bytes
        self.sent = self.taken = 0
        self.begun = False
        self.heard_at = now
        self.marks: deque[tuple[int, float]] = deque()


class PiecesOut:
    """See the module. The link's writer looks and sends, its reader tells; both may at once."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._freight = gate.freight
        self._going: dict[str, _Going] = {}
        self._room = float(BEGIN_BYTES)
        self._quickest_s = float("inf")
        self._since = gate.monotonic()
        self._noted_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a file is on its way."""
        return bool(self._going)

    def may_send(self) -> bool:
        """Whether there is a piece to send now."""
        with self._lock:
            return self._pick() is not None

    def look(self) -> list[frames.Frame]:
        """The offers for what is due and was not offered yet; what is not wanted any more is let go."""
        due = self._freight.due()
        if due and not self._gate.far_takes_files():
            for file in due:
                self._freight.defer(file.sha256, TOO_OLD)
            return []
        with self._lock:
            # In the order of their messages: a more urgent one goes before one that is half there.
            now = self._gate.monotonic()
            before = {k: v for k, v in self._going.items() if now - v.heard_at < SILENT_S}
            self._going = {}
            for file in due[:AT_ONCE]:
                self._going[file.sha256] = before.get(file.sha256) or _Going(file, now)
            new = [going for sha256, going in self._going.items() if sha256 not in before]
        return [frames.Offer(going.sha256, going.bytes) for going in new]

    def next(self) -> bytes | None:
        """The next piece, its head before it; None where none may be sent now."""
        with self._lock:
            if (going := self._pick()) is None:
                return None
            at, size = going.sent, self._size(going)
        try:
            data = self._freight.folder.read(going.sha256, at, size)
        except FileTrouble as exc:
            self._give_up(going.sha256, f"its attachment cannot be read any more: {exc.message}")
            return None
        if len(data) < size:
            self._give_up(going.sha256, "its attachment is not whole any more on the host it comes from")
            return None
        with self._lock:
            going.sent = at + size
            going.marks.append((going.sent, self._gate.monotonic()))
        return frames.encode(frames.Piece(going.sha256, at, size)) + data

    def told(self, have: frames.Have) -> bool:
        """Take the far side's word on a file; True where that ends its journey.

        Raises:
            LinkLost: it has more of it than there is.
        """
        with self._lock:
            if (going := self._going.get(have.sha256)) is None:
                return False
            if have.bytes > going.bytes:
                raise LinkLost(f"{self._gate.peer_name}: it has more of a file than there is")
            over = have.r != "" or have.bytes == going.bytes
            if over:
                del self._going[have.sha256]
            else:
                self._taken(going, have.bytes)
        if over:
            self._end(have)
        elif (now := self._gate.monotonic()) - self._noted_at >= TOLD_S:
            self._noted_at = now
            self._freight.got(have.sha256, have.bytes)
        return over

    def _pick(self) -> _Going | None:
        ahead = sum(going.sent - going.taken for going in self._going.values())
        ready = (each for each in self._going.values() if each.begun and each.sent < each.bytes)
        going = next(ready, None)
        return going if going is not None and ahead + self._size(going) <= self._room else None

    def _size(self, going: _Going) -> int:
        return min(PIECE_BYTES, int(self._room) // 2, going.bytes - going.sent)

    def _taken(self, going: _Going, size: int) -> None:
        more = size - going.taken
        going.heard_at = self._gate.monotonic()
        # A link that is cut all the time, and gets on all the same, is a good one.
        self._gate.carried += more > 0
        going.begun = True
        going.taken = size
        going.sent = max(going.sent, size)
        at = None
        while going.marks and going.marks[0][0] <= size:
            _, at = going.marks.popleft()
        if at is not None:
            self._adapt(at, self._gate.monotonic(), more)

    def _adapt(self, sent_at: float, now: float, more: int) -> None:
        """As in LEDBAT (RFC 6817): send less ahead where an answer takes much longer than the quickest;
        a step at most for all that is ahead."""
        if now - self._since >= AGAIN_S:
            # With little ahead, so that nothing of ours is in the way of what is measured.
            self._since, self._quickest_s, self._room = now, float("inf"), float(LEAST_BYTES)
        took_s = now - sent_at
        self._quickest_s = min(self._quickest_s, took_s)
        off = 1 - (took_s - self._quickest_s) / AHEAD_S
        self._room += STEP_BYTES * max(-1.0, min(1.0, off)) * min(1.0, more / self._room)
        self._room = max(float(LEAST_BYTES), min(float(MOST_BYTES), self._room))

    def _end(self, have: frames.Have) -> None:
        match have.r:
            case "":
                self._freight.there(have.sha256)
            case "damaged":
                # Where it is worth another try, the next look offers it again.
                self._freight.damaged(have.sha256)
            case "refused":
                self._freight.refuse(have.sha256, have.why[:1000])
            case "deferred":
                self._freight.defer(have.sha256, have.why[:1000])
            case unknown:
                reason = f"an answer this version does not know: {unknown[:40]}"
                self._freight.defer(have.sha256, reason)

    def _give_up(self, sha256: str, reason: str) -> None:
        with self._lock:
            self._going.pop(sha256, None)
        self._freight.refuse(sha256, reason)

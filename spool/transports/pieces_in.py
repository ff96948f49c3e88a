"""The files that one link brings here: written by a thread of their own, so that mail goes on beside."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from spool.errors import FileTrouble, LinkLost
from spool.folder import Here, Part
from spool.gate import Gate
from spool.message import Attachment
from spool.transports import frames
from spool.transports.base import Deferred, Refused
from spool.transports.lines import Bulk

# Twice what may be unanswered.
HELD_BYTES: Final = 2 * 1024 * 1024
HELD: Final = 4096
OPEN: Final = 16
TELL_BYTES: Final = 128 * 1024
ROOM_BYTES: Final = 8 * 1024 * 1024
JOIN_S: Final = 5.0


class PiecesIn:
    """See the module. The link's reader hands over what came; the thread answers through `say`.

    Args:
        guard: runs the thread's work and ends the link where that fails.

    Attributes:
        is_sealing: whether a file is being checked; nothing moves meanwhile.
    """

    def __init__(
        self,
        gate: Gate,
        say: Callable[[frames.Frame], None],
        guard: Callable[[Callable[[], None]], None],
    ) -> None:
        self._gate = gate
        self._freight = gate.freight
        self._say = say
        self._guard = guard
        self._came: deque[frames.Offer | Bulk] = deque()
        self._held = 0
        self._wake = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None
        # The one that was used last stands last.
        self._parts: dict[str, Part] = {}
        self._said: dict[str, int] = {}
        self.is_sealing = False

    def take(self, came: frames.Offer | Bulk) -> None:
        """Hand over an offer or a piece.

        Raises:
            LinkLost: the far side sends on without waiting for answers.
        """
        with self._wake:
            self._came.append(came)
            self._held += len(came.data) if isinstance(came, Bulk) else 0
            if self._held > HELD_BYTES or len(self._came) > HELD:
                raise LinkLost(f"{self._gate.peer_name}: it sends more of a file than it may at once")
            if self._thread is None and not self._ended:
                name = f"pieces:{self._gate.peer_name}"
                self._thread = threading.Thread(
                    target=self._guard, args=(self._work,), name=name, daemon=True
                )
                self._thread.start()
            self._wake.notify()

    def end(self) -> None:
        """Write no more; what came of each file stays for another time."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _work(self) -> None:
        try:
            while (came := self._next()) is not None:
                try:
                    if isinstance(came, Bulk):
                        self._append(came)
                    else:
                        self._begin(came)
                except FileTrouble as exc:
                    sha256 = came.head.sha256 if isinstance(came, Bulk) else came.sha256
                    self._close(sha256)
                    self._say(frames.Have(sha256, 0, "deferred", exc.message))
        finally:
            for sha256 in list(self._parts):
                self._close(sha256)

    def _next(self) -> frames.Offer | Bulk | None:
        with self._wake:
            while not self._came and not self._ended:
                self._wake.wait()
            if self._ended:
                return None
            came = self._came.popleft()
            self._held -= len(came.data) if isinstance(came, Bulk) else 0
            return came

    def _begin(self, offer: frames.Offer) -> None:
        self._close(offer.sha256)
        file = Attachment(offer.sha256, offer.bytes, offer.sha256)
        match self._freight.offered(file):
            case Here(bytes=size):
                self._say(frames.Have(offer.sha256, size))
            case Refused(reason=reason):
                self._say(frames.Have(offer.sha256, 0, "refused", reason))
            case Deferred(reason=reason):
                self._say(frames.Have(offer.sha256, 0, "deferred", reason))
            case Part() as part:
                while len(self._parts) >= OPEN:
                    self._close(next(iter(self._parts)))
                self._parts[offer.sha256] = part
                if part.size == offer.bytes:
                    self._seal(part)
                else:
                    self._tell(part)

    def _append(self, bulk: Bulk) -> None:
        if (part := self._parts.pop(bulk.head.sha256, None)) is None:
            # It was not taken, and this was on its way already.
            return
        self._parts[bulk.head.sha256] = part
        before, end = part.size, bulk.head.at + len(bulk.data)
        if bulk.head.at > before or end > part.file.bytes:
            raise LinkLost(f"{self._gate.peer_name}: a piece of a file that does not fit")
        part.append(bulk.data[before - bulk.head.at :])
        self._gate.carried += 1
        if before // ROOM_BYTES != part.size // ROOM_BYTES and not self._freight.has_room(part):
            raise FileTrouble(f"{self._gate.host}: the disk is nearly full")
        if part.size == part.file.bytes:
            self._seal(part)
        elif part.size - self._said[part.file.sha256] >= TELL_BYTES or not self._came:
            self._tell(part)

    def _tell(self, part: Part) -> None:
        self._said[part.file.sha256] = part.size
        self._say(frames.Have(part.file.sha256, part.size))

    def _seal(self, part: Part) -> None:
        self.is_sealing = True
        try:
            whole = part.seal(alive=lambda: not self._ended)
        finally:
            self.is_sealing = False
        if self._ended and not whole:
            return
        if whole:
            self._freight.landed(part)
        self._close(part.file.sha256)
        answer = ("",) if whole else ("damaged", "its SHA-256 is another")
        self._say(frames.Have(part.file.sha256, part.file.bytes if whole else 0, *answer))

    def _close(self, sha256: str) -> None:
        self._said.pop(sha256, None)
        if (part := self._parts.pop(sha256, None)) is not None:
            part.close()

"""The attachments of one files peer, a slice at a time, so that mail goes on beside them."""

from __future__ import annotations

from typing import Final, Protocol

from spool.errors import FileTrouble
from spool.folder import Here, Part
from spool.freight import Freight
from spool.message import Attachment
from spool.store.base import Shipment
from spool.transports.base import Deferred, Entry, Files, Refused

FOLDER: Final = "attachments"
# One slice is what a message may have to wait for.
SLICE: Final = 4 * 1024 * 1024
MOST_DAMAGED: Final = 3
FEW: Final = 16


class Receiver(Protocol):
    """Who takes messages in that name attachments, see `FilesGate`."""

    def wanted(self) -> list[Attachment]:
        """What claimed messages wait for."""

    def has_come(self, file: Attachment) -> None:
        """A file is here."""

    def is_absent(self, file: Attachment) -> None:
        """A file is not in the peer's folder: its message only names it."""

    def is_refused(self, file: Attachment, reason: str) -> None:
        """A file can never be taken."""


class Cargo:
    """Brings files into `attachments/` of the peer's inbox, and fetches those in its outbox.

    A file lies there under its SHA-256; on its way it has `.part` behind it, and what stands there
    is not sent again. `inbox` or `outbox` is "" where the peer has none.
    """

    def __init__(
        self, files: Files, freight: Freight, receiver: Receiver, *, inbox: str, outbox: str
    ) -> None:
        self._files = files
        self._freight = freight
        self._receiver = receiver
        self._inbox = inbox
        self._outbox = outbox
        self._made = False
        self._sent: dict[str, int] = {}
        # How much stood there when this connection began with it.
        self._before: dict[str, int] = {}
        self._wrong: dict[str, int] = {}

    def move(self) -> bool:
        """Move a slice each way; whether there is more to move. Raises LinkError."""
        brought = self._bring()
        return self._fetch() or brought

    # -- to the peer ---------------------------------------------------------------------------

    def _bring(self) -> bool:
        if not (due := self._freight.due()):
            return False
        shipment = due[0]
        if not self._inbox:
            self._freight.refuse(shipment.sha256, "the peer has no inbox for attachments")
            return True
        try:
            self._bring_slice(shipment)
        except FileTrouble as exc:
            self._sent.pop(shipment.sha256, None)
            self._freight.defer(shipment.sha256, exc.message)
        return True

    def _bring_slice(self, shipment: Shipment) -> None:
        path = f"{self._inbox}/{FOLDER}/{shipment.sha256}"
        if (at := self._sent.get(shipment.sha256)) is None:
            if (found := self._found(path, shipment)) is None:
                self._freight.there(shipment.sha256)
                return
            self._before[shipment.sha256], at = found, 0
        data = self._freight.folder.read(shipment.sha256, at, SLICE)
        if len(data) < min(SLICE, shipment.bytes - at):
            self._freight.refuse(shipment.sha256, "its attachment is not whole on this host any more")
            return
        if not self._is_there(f"{path}.part", at, data, self._before.get(shipment.sha256, 0)):
            self._files.write(f"{path}.part", at, data)
        self._sent[shipment.sha256] = at = at + len(data)
        self._freight.got(shipment.sha256, at)
        if at == shipment.bytes:
            self._finish(path, shipment)

    def _is_there(self, part: str, at: int, data: bytes, before: int) -> bool:
        """Whether this stands there already. Its size alone tells nothing: a power cut there leaves zeros."""
        if at + len(data) > before:
            return False
        try:
            return self._files.read(part, at, len(data)) == data
        except FileTrouble:
            # Some may write there and not read.
            return False

    def _found(self, path: str, shipment: Shipment) -> int | None:
        """How much of it is there; None where all of it is."""
        if not self._made:
            self._files.make(f"{self._inbox}/{FOLDER}")
            self._made = True
        whole, part = self._files.look([path, f"{path}.part"])
        if isinstance(whole, Entry) and whole.kind == "file" and whole.size == shipment.bytes:
            return None
        if not isinstance(part, Entry):
            return 0
        if part.kind != "file" or part.size > shipment.bytes:
            self._files.remove([f"{path}.part"])
            return 0
        return part.size

    def _finish(self, path: str, shipment: Shipment) -> None:
        del self._sent[shipment.sha256]
        self._before.pop(shipment.sha256, None)
        self._files.seal(f"{path}.part")
        (moved,) = self._files.move([(f"{path}.part", path)])
        (whole,) = self._files.look([path])
        if not isinstance(whole, Entry) or whole.size != shipment.bytes:
            problem = "another file has that name" if moved is not True else "it is not whole there"
            raise FileTrouble(f"{path}: {problem}")
        self._files.sync(f"{self._inbox}/{FOLDER}")
        self._freight.there(shipment.sha256)

    # -- from the peer -------------------------------------------------------------------------

    def _fetch(self) -> bool:
        return any(self._fetch_one(file) for file in self._receiver.wanted()[:FEW])

    def _fetch_one(self, file: Attachment) -> bool:
        path = f"{self._outbox}/{FOLDER}/{file.sha256}"
        (entry,) = self._files.look([path])
        if not isinstance(entry, Entry) or entry.kind != "file" or entry.size != file.bytes:
            self._receiver.is_absent(file)
            return True
        match self._freight.offered(file):
            case Here():
                self._receiver.has_come(file)
            case Refused(reason=reason):
                self._receiver.is_refused(file, reason)
            case Deferred():
                # It waits for room, with its message; others go on.
                return False
            case Part() as part:
                try:
                    return self._fetch_slice(path, part)
                finally:
                    part.close()
        return True

    def _fetch_slice(self, path: str, part: Part) -> bool:
        if not self._freight.has_room(part):
            return False
        try:
            data = self._files.read(path, part.size, min(SLICE, part.file.bytes - part.size))
            part.append(data)
            if part.size == part.file.bytes:
                self._seal(part)
            elif not data:
                self._receiver.is_absent(part.file)
        except FileTrouble:
            # What is wrong there is met again, or it is gone by then.
            return False
        return True

    def _seal(self, part: Part) -> None:
        if part.seal():
            self._freight.landed(part)
            self._receiver.has_come(part.file)
            return
        self._wrong[part.file.sha256] = times = self._wrong.get(part.file.sha256, 0) + 1
        if times >= MOST_DAMAGED:
            self._receiver.is_refused(
                part.file, f"its attachment {part.file.sha256[:12]}… is not what it is named for"
            )

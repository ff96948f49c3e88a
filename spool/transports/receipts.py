"""What became of published files: nobody may say so, but what is left in the folders does."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from spool.store.base import Unproven
from spool.transports.base import Entry, Failure, Files, Witness
from spool.transports.publish import PROCESSED, held, holds

FEW: Final = 500
_TOKEN: Final = 32
_BACK: Final = re.compile(r"\.(.+\.json)\.[0-9a-f]+\.back")

PROCESSED_SAYS: Final = "it stands in processed, and no ack came"
GONE_SAYS: Final = "it was taken from the inbox, and no ack came"
READ_SAYS: Final = "it was read and taken from the inbox, and no ack came"
UNREAD_SAYS: Final = "it was removed from the inbox and nobody had read it"


class Believer(Protocol):
    """This host's side, see `FilesGate`."""

    @property
    def host(self) -> str:
        """This host's name."""

    def unproven(self, *, after: int, limit: int) -> list[Unproven]:
        """Published messages of which nothing is known since, by their sequence."""

    def received(self, seen: Sequence[tuple[Unproven, str]]) -> None:
        """Take these for received; the text says what shows it."""

    def lost(self, rows: Sequence[Unproven], why: str) -> None:
        """The folder that these stood in is gone: publish them again."""

    def expired(self, rows: Sequence[Unproven]) -> list[Unproven]:
        """Those whose lifetime is over."""

    def withdrawn(self, rows: Sequence[Unproven]) -> None:
        """These were taken back, unread: they are dead."""

    def same_since(self, identity: str) -> float:
        """Since when the folder has been this one, as far as it was looked at."""


class Receipts:
    """Looks for the files of published messages in one folder, in the direction they go.

    A file that simply went was taken by its reader, if the folder is still the one it was put into:
    a marker in it tells, and whether the machine there has started anew since.

    Where there is a witness, one that nobody read before it went is published again: the loops in
    use remove whatever came between their two commands.

    Args:
        acks: whether the peer writes acks for what it takes; then only those count.
    """

    def __init__(
        self, files: Files, folder: str, believer: Believer, *, acks: bool, witness: Witness | None = None
    ) -> None:
        self._files = files
        self._folder = folder
        self._believer = believer
        self._acks = acks
        self._witness = witness
        self._after = 0

    def begin(self) -> None:
        """Mark the folder, before anything is put into it."""
        if self._folder and (identity := self._identity()) is not None:
            self._believer.same_since(identity)

    def is_marked(self) -> bool:
        """Whether the mark stands, also where nothing may be listed or read."""
        return isinstance(self._files.look([self._mark()])[0], Entry)

    def look(self) -> int:
        """Look for some of the messages that nothing is known of; how many of them moved on."""
        rows = self._believer.unproven(after=self._after, limit=FEW)
        self._after = rows[-1].seq if len(rows) == FEW else 0
        there, away = self._split(rows, self._folder)
        moved = self._take_back(self._believer.expired(there))
        # A crash, or a lost connection, between the rename and the word of it leaves a file so.
        back, away = self._look(away, self._back)
        moved += self._withdraw(back)
        if self._acks or not away:
            return moved
        processed, gone = self._split(away, f"{self._folder}/{PROCESSED}")
        told = [(row, PROCESSED_SAYS) for row in processed]
        read, unread, gone = self._witnessed(gone)
        told += [(row, READ_SAYS) for row in read]
        moved += self._again(unread, UNREAD_SAYS)
        if gone and (identity := self._identity()) is not None:
            since = self._believer.same_since(identity)
            told += [(row, GONE_SAYS) for row in gone if row.sent_at >= since]
            lost = [row for row in gone if row.sent_at < since]
            moved += self._again(
                lost, f"{self._folder} is not the folder it was, or its machine started anew"
            )
        if told:
            self._believer.received(told)
            self._release([row for row, _ in told])
        return moved + len(told)

    def sweep(self) -> int:
        """Remove hidden files of messages that are accounted for; how many those were."""
        names = {hidden: name for hidden in self._hidden_names() if (name := self._owner(hidden)) is not None}
        open_ = {f"{row.id}.json" for row in self._all_unproven()} if names else set()
        done = [f"{self._folder}/{hidden}" for hidden, name in names.items() if name not in open_]
        return sum(gone is True for gone in self._files.remove(done)) if done else 0

    def _hidden_names(self) -> list[str]:
        return [entry.name for entry in self._files.entries(self._folder) if entry.name.startswith(".")]

    def _owner(self, hidden: str) -> str | None:
        """The file that a hidden name belongs to: one that was taken back, or a witness."""
        if (back := _BACK.fullmatch(hidden)) is not None:
            return back.group(1)
        return holds(hidden) if self._witness is not None else None

    def _all_unproven(self) -> Iterator[Unproven]:
        after = 0
        while rows := self._believer.unproven(after=after, limit=FEW):
            yield from rows
            after = rows[-1].seq

    def _witnessed(self, gone: Sequence[Unproven]) -> tuple[list[Unproven], list[Unproven], list[Unproven]]:
        """Those that were read before they went, those that were not, and those nobody can tell of."""
        if self._witness is None or not gone:
            return [], [], list(gone)
        told = self._witness.was_read([held(self._folder, f"{row.id}.json") for row in gone])
        pairs = list(zip(gone, told, strict=True))
        return (
            [row for row, read in pairs if read is True],
            [row for row, read in pairs if read is False],
            [row for row, read in pairs if read is not True and read is not False],
        )

    def _again(self, rows: Sequence[Unproven], why: str) -> int:
        if rows:
            self._believer.lost(rows, why)
        return len(rows)

    def _release(self, rows: Sequence[Unproven]) -> None:
        if self._witness is not None and rows:
            self._files.remove([held(self._folder, f"{row.id}.json") for row in rows])

    def _split(self, rows: Sequence[Unproven], folder: str) -> tuple[list[Unproven], list[Unproven]]:
        """Those whose file stands in a folder, and the others; what cannot be told is in neither."""
        return self._look(rows, lambda row: f"{folder}/{row.id}.json")

    def _look(
        self, rows: Sequence[Unproven], path: Callable[[Unproven], str]
    ) -> tuple[list[Unproven], list[Unproven]]:
        found = self._files.look([path(row) for row in rows]) if rows else []
        pairs = list(zip(rows, found, strict=True))
        there = [row for row, entry in pairs if isinstance(entry, Entry)]
        return there, [row for row, entry in pairs if entry is None]

    def _take_back(self, rows: Sequence[Unproven]) -> int:
        """Remove what nobody took in its time, by way of a hidden name: what is read meanwhile stays read."""
        if not rows:
            return 0
        moved = self._files.move([(f"{self._folder}/{row.id}.json", self._back(row)) for row in rows])
        return self._withdraw([row for row, done in zip(rows, moved, strict=True) if done is True])

    def _withdraw(self, rows: Sequence[Unproven]) -> int:
        if rows:
            # Said before they go: afterwards nothing would tell them from what a reader took.
            self._believer.withdrawn(rows)
            self._files.remove([self._back(row) for row in rows])
            self._release(rows)
        return len(rows)

    def _back(self, row: Unproven) -> str:
        """Where a file goes that is taken back; another name if it is ever published again."""
        return f"{self._folder}/.{row.id}.json.{round(row.sent_at * 1000):x}.back"

    def _mark(self) -> str:
        return f"{self._folder}/.spool-{self._believer.host}"

    def _identity(self) -> str | None:
        """What tells this folder from another in its place; None where it cannot be marked."""
        path = self._mark()
        (token,) = self._files.fetch([path], max_bytes=_TOKEN)
        if token is None:
            token = secrets.token_hex(_TOKEN // 2).encode()
            hidden = f"{path}.{secrets.token_hex(8)}.part"
            (failed,) = self._files.put([(hidden, token)])
            if failed is not None:
                return None
            (moved,) = self._files.move([(hidden, path)])
            if moved is not True:
                self._files.remove([hidden])
                return None
        if isinstance(token, Failure):
            return None
        return f"{token.decode('ascii', 'replace')}/{self._files.boot() or '-'}"

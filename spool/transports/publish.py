"""Publishing into a folder that scripts read: a file is there whole, under its name, or not at all."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from spool.transports.base import Deferred, Failure, Files, Left, Outcome, Witness

PROCESSED: Final = "processed"
# No `*.json` fits it, and no listing without -a shows it.
_HIDDEN: Final = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part")
_HELD: Final = re.compile(r"\.(.+\.json)\.held")
ABANDONED_S: Final = 36 * 3600.0


class Draft(NamedTuple):
    """A file to be published; `again` where an earlier try may have done so."""

    name: str
    raw: bytes
    again: bool


class Publisher:
    """Puts files into one folder.

    Nothing is ever written over, so what stands there is read whole or not seen; and where it is
    not known whether an earlier try was done, the folder is looked at first, then `processed`,
    which is the way a file goes. With a witness a file keeps a hidden name besides, see `held`,
    for as long as nobody knows what became of it.
    """

    def __init__(self, files: Files, folder: str, witness: Witness | None = None) -> None:
        self._files = files
        self._folder = folder
        self._witness = witness

    def publish(self, drafts: Sequence[Draft], *, now: float) -> list[Outcome]:
        """Publish files; Left for each that is there, or was. `now` is this host's clock.

        Raises:
            LinkError: what of it was done is not known; publish the same `again`.
        """
        outcomes: dict[int, Outcome] = {}
        doubtful = [n for n, draft in enumerate(drafts) if draft.again]
        outcomes.update((n, Left(now)) for n in self._published(drafts, doubtful))
        hidden = self._put(drafts, [n for n in range(len(drafts)) if n not in outcomes], outcomes)
        taken = self._rename(drafts, hidden, outcomes, now)
        same = self._published(drafts, taken)
        for n in taken:
            outcomes[n] = (
                Left(now)
                if n in same
                else Deferred(f"{self._path(drafts[n].name)}: another file has that name")
            )
        self._clear([hidden[n] for n in taken])
        if hidden:
            self._files.sync(self._folder)
        return [outcomes[n] for n in range(len(drafts))]

    def sweep(self, *, now: float) -> int:
        """Remove what broken tries left long ago; how many files that were."""
        old = [
            self._path(entry.name)
            for entry in self._files.entries(self._folder)
            if entry.kind == "file" and _HIDDEN.fullmatch(entry.name) and now - entry.mtime > ABANDONED_S
        ]
        return sum(gone is True for gone in self._files.remove(old)) if old else 0

    def _put(
        self, drafts: Sequence[Draft], which: Sequence[int], outcomes: dict[int, Outcome]
    ) -> dict[int, str]:
        paths = {n: self._hidden(drafts[n]) for n in which}
        if self._witness is not None:
            # What an earlier try left under the name.
            self._clear([path for n, path in paths.items() if drafts[n].again])
        put = self._files.put([(path, drafts[n].raw) for n, path in paths.items()]) if paths else []
        for n, failed in zip(list(paths), put, strict=True):
            if failed is not None:
                outcomes[n] = Deferred(failed.reason)
                del paths[n]
        return paths

    def _hidden(self, draft: Draft) -> str:
        if self._witness is not None:
            return held(self._folder, draft.name)
        # A name of its own for each try: what another one left half written is in nobody's way.
        return self._path(f".{draft.name}.{secrets.token_hex(8)}.part")

    def _rename(
        self, drafts: Sequence[Draft], hidden: dict[int, str], outcomes: dict[int, Outcome], now: float
    ) -> list[int]:
        """Give them their names; those whose name is taken, or that may have theirs, are returned."""
        taken, lost = [], []
        # At this rename the file is published.
        for n, moved in zip(hidden, self._show(drafts, hidden), strict=True):
            match moved:
                case True:
                    outcomes[n] = Left(now)
                case False | Failure(unknown=True):
                    taken.append(n)
                case Failure(reason=reason):
                    outcomes[n] = Deferred(reason)
                    lost.append(hidden[n])
        self._clear(lost)
        return taken

    def _show(self, drafts: Sequence[Draft], hidden: dict[int, str]) -> list[bool | Failure]:
        pairs = [(path, self._path(drafts[n].name)) for n, path in hidden.items()]
        if not pairs:
            return []
        if self._witness is None:
            return self._files.move(pairs)
        self._witness.mark([path for path, _ in pairs])
        return self._witness.share(pairs)

    def _published(self, drafts: Sequence[Draft], which: Sequence[int]) -> set[int]:
        """Those that stand in the folder or in `processed` with their own bytes."""
        found: set[int] = set()
        for folder in (self._folder, f"{self._folder}/{PROCESSED}"):
            left = [n for n in which if n not in found]
            if not left:
                break
            longest = max(len(drafts[n].raw) for n in left) + 1
            there = self._files.fetch([f"{folder}/{drafts[n].name}" for n in left], max_bytes=longest)
            found.update(n for n, raw in zip(left, there, strict=True) if raw == drafts[n].raw)
        if self._witness is not None and found:
            # That reading was ours.
            self._witness.mark([held(self._folder, drafts[n].name) for n in found])
        return found

    def _clear(self, paths: Sequence[str]) -> None:
        if paths:
            self._files.remove(paths)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"


def held(folder: str, name: str) -> str:
    """The hidden path under which a witness holds a published file."""
    return f"{folder}/.{name}.held"


def holds(name: str) -> str | None:
    """The name of the file that a hidden name is the witness of; None for any other name."""
    found = _HELD.fullmatch(name)
    return found.group(1) if found is not None else None

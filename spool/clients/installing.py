"""Installing into a client's files, and undoing it: byte for byte where nobody changed them since."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from spool.clients import files, ledger
from spool.clients.base import Piece, Scope
from spool.clients.files import ChangedMeanwhile
from spool.clients.ledger import Kept
from spool.errors import BadInput, FileTrouble

# A client that writes its own settings just then is let have its way this often.
TRIES: Final = 5


class Change(NamedTuple):
    """What becomes of one file; None stands for no file."""

    path: Path
    old: bytes | None
    new: bytes | None

    @property
    def differs(self) -> bool:
        """Whether anything is to be written."""
        return self.old != self.new

    @property
    def action(self) -> Literal["write", "remove", "none"]:
        """What is done to the file, in a word."""
        if not self.differs:
            return "none"
        return "remove" if self.new is None else "write"

    @property
    def diff(self) -> str:
        """As `diff -u` would say it; empty where nothing changes."""
        if not self.differs:
            return ""
        old, new = ["/dev/null" if content is None else str(self.path) for content in (self.old, self.new)]
        lines = difflib.unified_diff(_lines(self.old), _lines(self.new), old, new)
        ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return "".join(ended)


class Installation(NamedTuple):
    """A client's files in one scope, and the home that keeps how they were."""

    home: Path
    client: str
    scope: Scope
    pieces: list[Piece]

    def planned(self) -> list[Change]:
        """What installing would change; nothing is written.

        Raises:
            BadInput: a file cannot be changed safely.
            FileTrouble: one cannot be read.
        """
        return [self._put(piece)[0] for piece in self.pieces]

    def install(self) -> list[Change]:
        """Do it, over whatever the files hold by now; what was there is kept first. Again it changes nothing.

        Raises:
            BadInput, FileTrouble: as `planned`; what was written before stays, and can be undone.
        """
        with ledger.locked(self.home):
            # Before the first is written: one that cannot be changed is to leave all as they are.
            self.planned()
            return [_insistently(piece.path, partial(self._install, piece)) for piece in self.pieces]

    def removed(self) -> list[Change]:
        """What undoing would change; nothing is written. Raises as `planned`."""
        return [self._take(piece)[0] for piece in self.pieces]

    def uninstall(self) -> list[Change]:
        """Undo it. Raises as `install`; what could not be undone can be tried again."""
        with ledger.locked(self.home):
            self.removed()
            # The last first, so that a folder is empty when the file for which it was made goes.
            done = [
                _insistently(piece.path, partial(self._uninstall, piece)) for piece in reversed(self.pieces)
            ]
            return done[::-1]

    def elsewhere(self) -> list[str]:
        """Files of this client and scope that spool changed, and that are not among these."""
        known = {str(piece.path) for piece in self.pieces}
        return [path for path in ledger.paths(self.home, self.client, self.scope) if path not in known]

    def _install(self, piece: Piece) -> Change:
        change, before, kept = self._put(piece)
        if not change.differs:
            return change
        assert change.new is not None
        folders = [str(folder) for folder in files.missing_folders(piece.path)]
        record = Kept(
            client=self.client,
            scope=self.scope,
            path=str(piece.path),
            before=before,
            after=ledger.digest(change.new),
            folders=[*(kept.folders if kept else []), *folders],
        )
        # Before the file: one that is changed and not kept could not be undone exactly.
        ledger.save(self.home, record)
        files.replace(piece.path, change.old, change.new, mode=piece.mode)
        return change

    def _uninstall(self, piece: Piece) -> Change:
        change, kept = self._take(piece)
        if change.differs:
            files.replace(piece.path, change.old, change.new, mode=piece.mode)
        if kept is not None:
            files.remove_empty([Path(folder) for folder in kept.folders])
            ledger.forget(self.home, self.client, piece.path)
        return change

    def _put(self, piece: Piece) -> tuple[Change, bytes | None, Kept | None]:
        """What changes, what the undo is to bring back, and what is kept so far."""
        old, kept = files.read(piece.path), ledger.load(self.home, self.client, piece.path)
        new = _encoded(piece.path, piece.put(_decoded(piece.path, old)))
        if old is None:
            before = None
        elif kept is not None and ledger.digest(old) == kept.after:
            before = kept.before
        else:
            before = self._surgically(piece, old, kept)
        return Change(piece.path, old, new), before, kept

    def _take(self, piece: Piece) -> tuple[Change, Kept | None]:
        old, kept = files.read(piece.path), ledger.load(self.home, self.client, piece.path)
        if old is None:
            new = None
        elif kept is not None and ledger.digest(old) == kept.after:
            new = kept.before
        else:
            new = self._surgically(piece, old, kept)
        return Change(piece.path, old, new), kept

    def _surgically(self, piece: Piece, old: bytes, kept: Kept | None) -> bytes | None:
        """The file without what is ours in it, whatever else has changed."""
        text = _decoded(piece.path, old)
        assert text is not None
        before = text if kept is None else _decoded(piece.path, kept.before)
        rest = piece.take(text, before)
        return None if rest is None else _encoded(piece.path, rest)


def _insistently(path: Path, step: Callable[[], Change]) -> Change:
    for _ in range(TRIES):
        try:
            return step()
        except ChangedMeanwhile:
            continue
    raise FileTrouble(f"{path} is being written by another program", hint="close it, then try again")


def _decoded(path: Path, content: bytes | None) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1 if content else 1
        raise BadInput(
            f"{path}, line {line}: not UTF-8", hint="nothing was written; save it as UTF-8 first"
        ) from exc


def _encoded(path: Path, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise BadInput(
            f"{path}: a path to be written there is not UTF-8", hint="give the home a name in UTF-8"
        ) from exc


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else re.findall(r"[^\n]*\n|[^\n]+$", content.decode("utf-8", "replace"))

"""Whether the folders of a files peer can be used, tried the way mail uses them; and made where missing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

from spool.config import Peer
from spool.errors import FolderMissing
from spool.transports.base import Failure, Files
from spool.transports.publish import PROCESSED

_BYTES: Final = b"{}"


class Look(NamedTuple):
    """What was found of one folder; `hint` is what to do."""

    step: str
    ok: bool
    detail: str = ""
    hint: str = ""


def inspect(files: Files, peer: Peer) -> Iterator[Look]:
    """Try each folder of a peer; what is put there for that is hidden, and removed. Raises LinkError."""
    if peer.inbox:
        yield _tried(files, "inbox", peer.inbox)
        yield _processed(files, peer.inbox)
    if peer.outbox:
        yield _tried(files, "outbox", peer.outbox)


def missing(files: Files, peer: Peer) -> list[str]:
    """The folders of a peer that are not there. Raises LinkError."""
    found = []
    for folder in filter(None, (peer.inbox, peer.outbox)):
        try:
            files.entries(folder)
        except FolderMissing:
            found.append(folder)
    return found


def _tried(files: Files, step: str, folder: str) -> Look:
    """List it, make a file, rename it without writing over another, and remove it."""
    try:
        waiting = sum(entry.name.endswith(".json") for entry in files.entries(folder) if entry.name[0] != ".")
    except FolderMissing as exc:
        return Look(step, False, exc.message, exc.hint or f"make it there: mkdir -p {folder}")
    one, other = (f"{folder.rstrip('/')}/.spool-check.{secrets.token_hex(8)}.part" for _ in range(2))
    (failed,) = files.put([(one, _BYTES)])
    if failed is not None:
        return Look(step, False, failed.reason, "the login must be allowed to write there")
    try:
        (moved,) = files.move([(one, other)])
        if isinstance(moved, Failure) or not moved:
            why = moved.reason if isinstance(moved, Failure) else f"{other}: the name was taken"
            return Look(step, False, why, "the folder must allow renaming")
    finally:
        files.remove([one, other])
    durable = "" if files.durable else "; no fsync there: a power cut may undo what was just written"
    return Look(step, True, f"{folder}, {waiting} waiting{durable}")


def _processed(files: Files, inbox: str) -> Look:
    try:
        count = len(files.entries(f"{inbox.rstrip('/')}/{PROCESSED}"))
    except FolderMissing:
        return Look(
            "processed",
            True,
            "there is none",
            f"a script that files away what it has read needs it: mkdir -p {inbox.rstrip('/')}/{PROCESSED}",
        )
    return Look("processed", True, f"{count} files")

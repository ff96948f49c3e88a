"""The folders of files peers: those on this machine, and what is remembered of the others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from spool.config import Peer
from spool.doctor.finding import Case, Finding, counted, failed, ok, warning
from spool.errors import FolderMissing, LinkError
from spool.running import open_files
from spool.transports.base import Entry, Files
from spool.transports.local_files import expanded
from spool.transports.publish import PROCESSED
from spool.transports.take import REFUSED


def look(case: Case) -> Iterator[Finding]:
    """Check each folder on this machine, and the files that could not be removed anywhere."""
    if case.config is None:
        return
    for peer in case.config.peers.values():
        if peer.is_files:
            found = [*(_local(case, peer) if peer.scheme == "dir" else ()), *_kept(case, peer)]
            yield from found or [ok(f"peer {peer.name}", "its folders are in order")]


def giants(files: Files, peer: Peer) -> Iterator[Finding]:
    """What was too large to take, and was put aside in the peer's outbox. Raises LinkError."""
    if peer.outbox:
        yield from _giants(files.entries(peer.outbox), peer)


def _local(case: Case, peer: Peer) -> Iterator[Finding]:
    files = open_files(peer, case.home)
    try:
        for name, folder in (("inbox", peer.inbox), ("outbox", peer.outbox)):
            if folder:
                yield from _folder(files, peer, name, folder)
    finally:
        files.close()


def _folder(files: Files, peer: Peer, name: str, folder: str) -> Iterator[Finding]:
    topic = f"peer {peer.name}"
    where = Path(expanded(folder))
    try:
        entries = files.entries(folder)
    except FolderMissing as exc:
        yield failed(topic, f"{name}: {exc.message}", f"`mkdir -p {where}`")
        return
    except LinkError as exc:
        yield failed(topic, f"{name}: {exc.message}", exc.hint or f"`ls -ld {where}`")
        return
    if not os.access(where, os.W_OK | os.X_OK):
        yield failed(
            topic,
            f"{name}: {where} cannot be written to",
            f"as its owner: `chmod u+rwx {where}`, or let this user in",
        )
    mode = where.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        found = f"{name}: everybody on this machine may write, rename and remove in {where}"
        yield warning(topic, found, f"`chmod o-w {where}`")
    if name == "outbox":
        yield from _giants(entries, peer)
    elif PROCESSED not in {entry.name for entry in entries if entry.kind == "folder"}:
        found = f"{where} has no {PROCESSED}/: a script that files away what it has read fails"
        yield warning(topic, found, f"`mkdir {where / PROCESSED}`")


def _giants(entries: Sequence[Entry], peer: Peer) -> Iterator[Finding]:
    found = [entry for entry in entries if entry.name.startswith(REFUSED)]
    if found:
        size = sum(entry.size for entry in found)
        many = counted(len(found), "file")
        said = f"{many} too large to take, {size:,} bytes, in its outbox, such as {found[0].name}"
        remedy = f"tell its owner; then, in {peer.outbox}: `rm {REFUSED}*`"
        yield warning(f"peer {peer.name}", said, remedy)


def _kept(case: Case, peer: Peer) -> Iterator[Finding]:
    if case.store is None:
        return
    with case.store.read() as tx:
        kept = tx.kept_files.of(peer.name)
    if kept:
        said = f"{counted(len(kept), 'file')} taken, which cannot be removed, such as {kept[0].name}"
        remedy = f"let this login write to {peer.outbox}, or remove them there: each stays until then"
        yield warning(f"peer {peer.name}", said, remedy)

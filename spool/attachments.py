"""Attachments of this home: the room they have, what is kept to be sent, what comes in, what goes again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from spool import log, secret_rules
from spool.config import Host
from spool.errors import BadInput, FileTrouble, SecretFound, StoreFull, TooLarge
from spool.folder import CHUNK, Folder, Here, Part, part_name
from spool.message import Attachment
from spool.store.base import Store, Tx
from spool.transports.base import Deferred, Refused

MB: Final = 1024 * 1024
# What no message needs goes this long after it was last wanted: its message may be on its way.
WHOLE_S: Final = 3600.0
PART_S: Final = 86_400.0
BATCH: Final = 50
# What a file takes on the disk at least: many small ones must not pass the room uncounted.
LEAST_BYTES: Final = 4096
# One peer alone must not leave the others without room.
PEER_SHARE: Final = 0.75
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Told = Callable[[int, int], None]


# -- room -------------------------------------------------------------------------------------


def reserve(
    store: Store, home: Path, host: Host, name: str, *, peer: str, size: int, now: float, written: int = 0
) -> None:
    """Count `size` bytes for a file under `name`, before the first of them is written.

    Args:
        peer: who brings it, "" for this host.
        written: how many of them are on the disk from another time.

    Raises:
        TooLarge: it would never fit.
        StoreFull: it does not fit now, or the disk is nearly full.
    """
    quota = host.attachments_mb * MB
    share = quota if not peer else int(quota * PEER_SHARE)
    if size > share:
        whose = f"a peer's share of the {host.attachments_mb} MB for attachments on" if peer else "on"
        raise TooLarge(
            f"an attachment of {size:,} bytes does not fit: {share:,} bytes are the most {whose} {host.name}",
            hint="raise [host] attachments_mb there, or send the file in parts",
        )
    if store.free_bytes() - (size - written) < host.low_water_mb * MB:
        raise StoreFull(f"{host.name}: an attachment of {size:,} bytes would fill the disk")
    for tries in range(2):
        with store.write(sync=False) as tx:
            if _fits(tx, name, peer, size, quota, share):
                tx.attachments.reserve(name, peer=peer, size=size, now=now)
                return
        if tries == 0:
            forget(store, home, now=now)
    raise StoreFull(
        f"{host.name}: no room for an attachment of {size:,} bytes within the {host.attachments_mb} MB",
        hint="what was delivered makes room within the hour; or raise [host] attachments_mb",
    )


def _fits(tx: Tx, name: str, peer: str, size: int, quota: int, share: int) -> bool:
    before = tx.attachments.reserved(name)
    more = max(size, LEAST_BYTES) - (0 if before is None else max(before, LEAST_BYTES))
    fits_share = not peer or tx.attachments.used(peer, least=LEAST_BYTES) + more <= share
    return fits_share and tx.attachments.used(least=LEAST_BYTES) + more <= quota


def forget(store: Store, home: Path, *, now: float) -> int:
    """Remove the files that nobody needs any more, and parts whose other half never came; how many."""
    folder = Folder(home)
    _adopt(store, folder, now)
    gone = 0
    while True:
        # Within the transaction: who is about to need a file looks whether it is there in one too.
        with store.write(sync=False) as tx:
            tx.attachments.forget()
            names = tx.attachments.unneeded(whole_before=now - WHOLE_S, part_before=now - PART_S, limit=BATCH)
            removed = [name for name in names if _remove(folder, name)]
            for name in removed:
                tx.attachments.free(name)
        gone += len(removed)
        if len(names) < BATCH or not removed:
            break
    if gone:
        log.info("attachment.forgotten", count=gone)
    return gone


def _remove(folder: Folder, name: str) -> bool:
    try:
        folder.remove(name)
    except OSError as exc:
        log.warning("store.failed", error=f"{folder.root / name}: {exc.strerror}")
        return False
    return True


def _adopt(store: Store, folder: Folder, now: float) -> None:
    """Count what lies there uncounted: a process was killed before it could, or a backup was put back."""
    with store.read() as tx:
        strays = folder.found().keys() - tx.attachments.names()
    if strays:
        with store.write(sync=False) as tx:
            known = tx.attachments.names()
            for name, size in folder.found().items():
                if name not in known:
                    tx.attachments.reserve(name, peer="", size=size, now=now)


# -- coming in --------------------------------------------------------------------------------


def receive(
    store: Store, home: Path, host: Host, peer: str, file: Attachment, *, now: float
) -> Part | Here | Deferred | Refused:
    """Make ready for a file that a peer brings: what is here of it, or why it is not taken.

    May be called again at any time; the room for all of it is counted from here on.
    """
    folder = Folder(home)
    part = part_name(file.sha256, peer)
    with store.write(sync=False) as tx:
        if folder.has(file):
            if tx.attachments.reserved(file.sha256) is None:
                tx.attachments.reserve(file.sha256, peer=peer, size=file.bytes, now=now)
            tx.attachments.wanted(file.sha256, now=now)
            tx.attachments.free(part)
            folder.remove(part)
            return Here(file.bytes)
        if tx.attachments.reserved(part) not in (None, file.bytes):
            # It was offered with another size: what another link still writes must not come on top.
            folder.remove(part)
    try:
        written = min(folder.size(part), file.bytes)
        reserve(store, home, host, part, peer=peer, size=file.bytes, now=now, written=written)
        return Part(folder, file, peer)
    except TooLarge as exc:
        return Refused(exc.message)
    except (StoreFull, FileTrouble) as exc:
        return Deferred(exc.message)


def landed(store: Store, part: Part, *, now: float) -> None:
    """Count a part that was sealed as the whole file it is."""
    with store.write(sync=False) as tx:
        tx.attachments.free(part.name)
        tx.attachments.reserve(part.file.sha256, peer=part.peer, size=part.file.bytes, now=now)


# -- going out --------------------------------------------------------------------------------


def secret_rule(path: Path) -> str | None:
    """The rule that a file to be attached breaks, by its name or its text; None where it breaks none.

    One that cannot be read breaks none either: `keep` says what is wrong with it.
    """
    if (hit := secret_rules.find(path.name)) is not None:
        return hit.rule
    scan = secret_rules.Scan()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            while scan.goes_on and (chunk := file.read(CHUNK)):
                if (hit := scan.feed(chunk)) is not None:
                    return hit.rule
    except OSError:
        return None
    return None


def keep(
    store: Store,
    home: Path,
    host: Host,
    path: Path,
    *,
    now: float,
    told: Told | None = None,
    allow_secrets: bool = False,
) -> Attachment:
    """Copy a file into the home, unless it is there; what the message says of it.

    Args:
        told: called with the bytes done so far and in all.
        allow_secrets: leave the check for credentials out: of its name and, in a text, the first 4 MB.

    Raises:
        BadInput: there is no such file, it is none, or it changed while it was read.
        SecretFound: it holds what looks like a credential; nothing was kept.
        TooLarge, StoreFull: no room; nothing was kept.
    """
    told = told or (lambda done, whole: None)
    scan = None if allow_secrets else secret_rules.Scan()
    if scan is not None and (hit := secret_rules.find(path.name)) is not None:
        # Before any error can print it.
        raise _secret("the name of an attachment", hit.rule)
    try:
        # A pipe that nobody writes to must not be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise BadInput(f"{path}: {exc.strerror}", hint="attach a file that can be read") from exc
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise BadInput(f"{path}: not a regular file", hint="pack a folder into one file first")
        return _keep(store, home, host, fd, path, before, now, told, scan)
    except OSError as exc:
        problem = f"{path}: it could not be copied into {home}: {exc.strerror}"
        raise (StoreFull if exc.errno in FULL else BadInput)(problem, hint="check the disk") from exc
    finally:
        os.close(fd)


def _keep(
    store: Store,
    home: Path,
    host: Host,
    fd: int,
    path: Path,
    before: os.stat_result,
    now: float,
    told: Told,
    scan: secret_rules.Scan | None,
) -> Attachment:
    folder = Folder(home)
    called = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if before.st_size in folder.found().values():
        # One of this size is there: worth a look before anything is written.
        file = Attachment(called, before.st_size, _hash_of(fd, path, before, told, scan))
        # What follows reads the same again.
        scan = None
        with store.write(sync=False) as tx:
            if folder.has(file):
                tx.attachments.wanted(file.sha256, now=now)
                return file
    import secrets

    draft = f".{secrets.token_hex(8)}.new"
    reserve(store, home, host, draft, peer="", size=before.st_size, now=now)
    try:
        folder.make()
        sha256 = _hash_of(fd, path, before, told, scan, into=folder.root / draft)
        file = Attachment(called, before.st_size, sha256)
        with store.write(sync=False) as tx:
            folder.settle(draft, sha256)
            tx.attachments.free(draft)
            tx.attachments.reserve(sha256, peer="", size=file.bytes, now=now)
    finally:
        folder.remove(draft)
        with store.write(sync=False) as tx:
            tx.attachments.free(draft)
    return file


def _hash_of(
    fd: int,
    path: Path,
    before: os.stat_result,
    told: Told,
    scan: secret_rules.Scan | None,
    *,
    into: Path | None = None,
) -> str:
    """The SHA-256 of a file that must stay as it is meanwhile; with `into`, a synced copy of it there."""
    import hashlib

    digest = hashlib.sha256()
    done = 0
    copy = -1 if into is None else os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while done < before.st_size and (chunk := os.pread(fd, min(CHUNK, before.st_size - done), done)):
            if scan is not None and (hit := scan.feed(chunk)) is not None:
                raise _secret(f"attachment {path.name}", hit.rule, f", at byte {hit.offset:,}")
            digest.update(chunk)
            if copy >= 0:
                _write(copy, chunk)
            done += len(chunk)
            told(done, before.st_size)
        if copy >= 0:
            os.fsync(copy)
    finally:
        if copy >= 0:
            os.close(copy)
    after = os.fstat(fd)
    if done < before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise BadInput(f"{path}: it changed while it was read", hint="attach it when nobody writes to it")
    return digest.hexdigest()


def _secret(place: str, rule: str, at: str = "") -> SecretFound:
    return SecretFound(
        f"{place}: looks like a credential (rule {rule}{at})",
        hint="take it out; name the variable or the vault entry that holds it instead",
    )


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # A disk that fills up takes a part first.
        rest = rest[os.write(fd, rest) :]

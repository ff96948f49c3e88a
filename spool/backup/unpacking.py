"""Reading a backup: every entry known, every byte checked, nothing written outside one folder."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import msgspec

from spool.backup import manifest
from spool.backup.manifest import Manifest, Packed
from spool.errors import BadInput, FileTrouble
from spool.folder import CHUNK

MAX_MANIFEST: Final = 64 * 1024 * 1024
_HINT: Final = "take another backup; nothing was changed"
_READER: Final = msgspec.json.Decoder(Manifest)

# The bytes done so far, and in all.
Told = Callable[[int, int], object]


def read(path: Path, into: Path | None, *, tell: Told = lambda done, whole: None) -> Manifest:
    """Read a backup through; with `into`, write its files to that folder, synced.

    Raises:
        BadInput: it is no backup, or not whole, or not what it says.
        FileTrouble: it could not be read, or not be written there.
    """
    try:
        with tarfile.open(path, mode="r|*") as tar:
            return _read(tar, path, into, tell)
    except (tarfile.TarError, EOFError, zlib.error) as exc:
        raise BadInput(f"{path} is no backup, or a damaged one: {exc}", hint=_HINT) from exc
    except OSError as exc:
        if exc.errno is None:
            # What gzip says of a file that is damaged.
            raise BadInput(f"{path} is no backup, or a damaged one: {exc}", hint=_HINT) from exc
        where = exc.filename or into or path
        raise FileTrouble(f"{where}: {exc.strerror}", hint="check the disk; nothing was changed") from exc


def _read(tar: tarfile.TarFile, path: Path, into: Path | None, tell: Told) -> Manifest:
    told = _manifest(tar, path)
    if into is not None:
        _refuse_small_disk(into, told)
    missing = {each.name: each for each in told.files}
    done = 0
    while (entry := tar.next()) is not None:
        packed = missing.pop(entry.name, None)
        if packed is None or not entry.isreg() or entry.size != packed.bytes:
            raise BadInput(f"{path}: {entry.name[:80]!r} does not belong there", hint=_HINT)
        source = tar.extractfile(entry)
        assert source is not None, "a regular file has bytes"
        _take(source, packed, path, into)
        done += packed.bytes
        tell(done, told.bytes)
    if missing:
        raise BadInput(f"{path} is cut short: {len(missing)} of its files are missing", hint=_HINT)
    return told


def _manifest(tar: tarfile.TarFile, path: Path) -> Manifest:
    entry = tar.next()
    if entry is None or entry.name != manifest.NAME or not entry.isreg() or entry.size > MAX_MANIFEST:
        raise BadInput(f"{path} is no backup of spool", hint="name a file that `spool backup` made")
    source = tar.extractfile(entry)
    assert source is not None, "a regular file has bytes"
    try:
        told = _READER.decode(source.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadInput(f"{path}: its manifest cannot be read: {exc}", hint=_HINT) from exc
    if told.form > manifest.FORM:
        raise BadInput(f"{path} was made by a newer spool ({told.spool})", hint="upgrade spool on this host")
    names = {each.name for each in told.files}
    if len(names) < len(told.files) or not {manifest.DATABASE, manifest.CONFIG} <= names:
        raise BadInput(f"{path}: its manifest lacks a file, or has one twice", hint=_HINT)
    for name in names:
        if not manifest.is_allowed(name):
            raise BadInput(f"{path}: {name[:80]!r} does not belong there", hint=_HINT)
    return told


def _refuse_small_disk(into: Path, told: Manifest) -> None:
    found = os.statvfs(into)
    if (free := found.f_bavail * found.f_frsize) < told.bytes:
        raise FileTrouble(
            f"{into.parent}: {free:,} bytes free, what is in the backup has {told.bytes:,}",
            hint="make room, or restore to a --home on another disk; nothing was changed",
        )


def _take(source: IO[bytes], packed: Packed, path: Path, into: Path | None) -> None:
    digest = hashlib.sha256()
    target = -1 if into is None else _opened(into / packed.name)
    try:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            rest = memoryview(chunk)
            while target >= 0 and rest:
                # A disk that fills up takes a part first.
                rest = rest[os.write(target, rest) :]
        if target >= 0:
            os.fsync(target)
    finally:
        if target >= 0:
            os.close(target)
    if digest.hexdigest() != packed.sha256:
        raise BadInput(f"{path}: {packed.name} is damaged: it is not what its SHA-256 says", hint=_HINT)


def _opened(path: Path) -> int:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    mode = 0o644 if path.suffix == ".pub" else 0o600
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

"""Making a backup of a home that is in use."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from spool import authorized, config
from spool.attachments import MB
from spool.backup import manifest, unpacking
from spool.backup.draft import publish, refuse_existing, scratch
from spool.backup.manifest import Manifest, Packed
from spool.config import Config
from spool.errors import BadInput, FileTrouble, StoreCorrupt, StoreFull
from spool.folder import CHUNK, SYNC_BYTES, Folder
from spool.store import copying, sqlite
from spool.store.base import Store

# What it does, the bytes done so far and in all.
Told = Callable[[str, int, int], object]
PREFIX: Final = ".spool-backup-"
ARCHIVE: Final = "backup"
_HINT: Final = "name a file in a folder with room, that you may write to; nothing was left there"
_ZIPPED: Final = (".gz", ".tgz")


class Wanted(NamedTuple):
    """What somebody asked for.

    `keys` is the `authorized_keys` whose lines go into it, with this home's own key; None leaves both out.
    """

    out: Path
    force: bool = False
    keys: Path | None = None


class Source(NamedTuple):
    """One file on its way into a backup: bytes at hand, or a path."""

    name: str
    raw: bytes | None = None
    path: Path | None = None


def pack(
    home: Path,
    store: Store,
    wanted: Wanted,
    *,
    now: float,
    version: str,
    tell: Told = lambda what, done, whole: None,
) -> Manifest:
    """Write a backup and read it again; it has its name when all of it is on the disk.

    Everything that was committed before the call is in it. Who writes meanwhile does not wait.

    Raises:
        BadInput: the file exists already, or cannot stand there.
        BadConfig: the config of the home is wrong.
        StoreError: the database could not be read, or is damaged.
        FileTrouble: no room for it, or a file could not be read. Nothing is left behind.
    """
    if not wanted.force:
        refuse_existing(wanted.out)
    if wanted.out.is_dir():
        raise BadInput(f"{wanted.out} is a folder", hint="name a file in it")
    try:
        with scratch(wanted.out.parent, PREFIX) as draft:
            made = _pack(home, store, draft, wanted, now, version, tell)
            publish(draft / ARCHIVE, wanted.out, force=wanted.force)
    except OSError as exc:
        raise FileTrouble(f"{wanted.out}: {exc.strerror or exc}", hint=_HINT) from exc
    return made


def _pack(
    home: Path, store: Store, draft: Path, wanted: Wanted, now: float, version: str, tell: Told
) -> Manifest:
    database = draft / sqlite.FILE
    text = (home / config.FILE).read_bytes()
    settings = config.parse(text.decode("utf-8", "replace"), where=str(home / config.FILE))
    _refuse_small_disk(home, draft, settings, zipped=wanted.out.suffix in _ZIPPED)
    with store.write(sync=False) as tx:
        # So that none of them goes before it is packed, whatever becomes of its message meanwhile.
        tx.attachments.wanted_all(now=now)
    try:
        copying.copy(home / sqlite.FILE, database, tell=lambda done, whole: tell("copied", done, whole))
    except StoreFull as exc:
        # Not the disk of the home: mail goes on.
        raise FileTrouble(f"{wanted.out}: the disk is full", hint=_HINT) from exc
    if found := copying.damage(database):
        raise StoreCorrupt(
            f"{home / sqlite.FILE}: {found[0]}", hint="`spool doctor` says what to do about it"
        )
    sources = [
        Source(manifest.DATABASE, path=database),
        Source(manifest.CONFIG, raw=text),
        *(_keys(home, settings, wanted.keys) if wanted.keys is not None else ()),
        *_attachments(home, copying.needed_files(database)),
    ]
    made = Manifest(
        host=settings.host.name,
        spool=version,
        schema=sqlite.schema_of(database),
        made_at=now,
        files=[_packed(source) for source in sources],
    )
    _write(draft / ARCHIVE, made, sources, _mode(wanted.out), tell)
    unpacking.read(draft / ARCHIVE, None, tell=lambda done, whole: tell("checked", done, whole))
    return made


def _refuse_small_disk(home: Path, there: Path, settings: Config, *, zipped: bool) -> None:
    """A backup beside the home must not take the room that mail needs."""
    size = (home / sqlite.FILE).stat().st_size
    need = size if zipped else 2 * size + sum(Folder(home).found().values())
    if there.stat().st_dev == home.stat().st_dev:
        need += settings.host.low_water_mb * MB
    found = os.statvfs(there)
    if (free := found.f_bavail * found.f_frsize) < need:
        raise FileTrouble(
            f"{there.parent}: {free // MB:,} MB free, a backup needs {need // MB:,} MB while it is made",
            hint="name a file on another disk",
        )


def _keys(home: Path, settings: Config, path: Path) -> list[Source]:
    found = [authorized.find(path, peer=peer, home=home) for peer in settings.peers]
    lines = "".join(f"{line}\n" for line in found if line is not None)
    return [
        *(Source(name, raw=(home / name).read_bytes()) for name in (manifest.PRIVATE, manifest.PUBLIC)),
        Source(manifest.LINES, raw=lines.encode("utf-8", "surrogateescape")),
    ]


def _attachments(home: Path, names: list[str]) -> list[Source]:
    return [Source(f"{manifest.FILES}{name}", path=Folder(home).path(name)) for name in names]


def _packed(source: Source) -> Packed:
    if source.raw is not None:
        return Packed(source.name, len(source.raw), hashlib.sha256(source.raw).hexdigest())
    assert source.path is not None
    if source.name.startswith(manifest.FILES):
        # Checked against its name as it is packed.
        return Packed(source.name, source.path.stat().st_size, source.path.name)
    with source.path.open("rb") as file:
        return Packed(
            source.name, source.path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
        )


def _mode(out: Path) -> Literal["w", "w:gz"]:
    return "w:gz" if out.suffix in _ZIPPED else "w"


def _write(
    archive: Path, made: Manifest, sources: list[Source], mode: Literal["w", "w:gz"], tell: Told
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with io.BufferedWriter(_Steps(os.open(archive, flags, 0o600), "w"), CHUNK) as file:
        with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as tar:
            head = msgspec.json.encode(made)
            tar.addfile(_entry(manifest.NAME, len(head), made.made_at), io.BytesIO(head))
            done = 0
            for packed, source in zip(made.files, sources, strict=True):
                _add(tar, packed, source, made.made_at)
                done += packed.bytes
                tell("packed", done, made.bytes)
        file.flush()
        os.fsync(file.fileno())


def _add(tar: tarfile.TarFile, packed: Packed, source: Source, at: float) -> None:
    entry = _entry(packed.name, packed.bytes, at)
    if source.raw is not None:
        tar.addfile(entry, io.BytesIO(source.raw))
        return
    assert source.path is not None
    with source.path.open("rb") as file:
        hashing = _Hashing(file)
        tar.addfile(entry, hashing)
    if hashing.digest.hexdigest() != packed.sha256:
        raise FileTrouble(
            f"{source.path} is not what its name says: it is damaged",
            hint="`spool cancel` or `spool done` the message that it belongs to, then again",
        )


def _entry(name: str, size: int, at: float) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(at)
    return entry


class _Steps(io.FileIO):
    """A file that is synced as it grows: one big sync would make every commit of the home wait behind it."""

    _unsynced = 0

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self._unsynced += written
        if self._unsynced >= SYNC_BYTES:
            os.fsync(self.fileno())
            self._unsynced = 0
        return written


class _Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size if size >= 0 else CHUNK)
        self.digest.update(chunk)
        return chunk

"""The home's folder of attachments: files under their SHA-256, and those on their way in."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from spool.errors import FileTrouble
from spool.message import Attachment

FOLDER: Final = "attachments"
CHUNK: Final = 1024 * 1024
# Written out in steps: one big sync at the end would make every commit of this home wait behind it.
SYNC_BYTES: Final = 8 * 1024 * 1024
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Not everywhere is there one for the bytes alone.
_sync: Final = getattr(os, "fdatasync", os.fsync)


class Here(NamedTuple):
    """A file that is here whole already."""

    bytes: int


class Folder:
    """`attachments/` of a home; made when it is first needed. No name that a sender gave is used here."""

    def __init__(self, home: Path) -> None:
        self.root = home / FOLDER

    def path(self, sha256: str) -> Path:
        """Where the file with this SHA-256 lies, or would. Raises ValueError where it is none."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256[:80]!r}")
        return self.root / sha256

    def has(self, file: Attachment) -> bool:
        """Whether this file is here whole: what bears its name was checked before it got it."""
        try:
            found = os.lstat(self.path(file.sha256))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == file.bytes

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` of a whole file, fewer at its end. Raises FileTrouble."""
        path = self.path(sha256)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return os.pread(fd, size, offset)
            finally:
                os.close(fd)
        except OSError as exc:
            raise FileTrouble(f"{path}: {exc.strerror}", hint="send the message again") from exc

    def size(self, name: str) -> int:
        """The bytes of a file on its way, 0 where there is none."""
        try:
            return os.lstat(self.root / name).st_size
        except OSError:
            return 0

    def make(self) -> None:
        """Make the folder for its owner alone. Raises FileTrouble."""
        try:
            if not self.root.is_dir():
                self.root.mkdir(mode=0o700, exist_ok=True)
                # Files in a folder whose own name is not on the disk are gone with it.
                _sync_names(self.root.parent)
        except OSError as exc:
            raise FileTrouble(f"{self.root}: {exc.strerror}", hint="check the disk and the home") from exc

    def remove(self, name: str) -> None:
        """Remove a file of the folder; one that is not there is gone."""
        (self.root / name).unlink(missing_ok=True)

    def settle(self, draft: str, sha256: str) -> None:
        """Give a checked and synced file its name; it is there for good when this returns."""
        (self.root / draft).replace(self.path(sha256))
        _sync_names(self.root)

    def found(self) -> dict[str, int]:
        """The names of all files in the folder, each with its bytes."""
        if not self.root.is_dir():
            return {}
        with os.scandir(self.root) as entries:
            return {
                each.name: each.stat(follow_symlinks=False).st_size
                for each in entries
                if not each.is_dir(follow_symlinks=False)
            }


class Part:
    """A file on its way in. What came before a cut is kept, and `size` says how much that is.

    One thread uses it at a time. Two of one peer and file, of an old link and a newer one, write
    the same bytes to the same places. Every method may raise FileTrouble.
    """

    def __init__(self, folder: Folder, file: Attachment, peer: str) -> None:
        self.file = file
        self.peer = peer
        self.name = part_name(file.sha256, peer)
        self._folder = folder
        folder.make()
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(folder.root / self.name, flags, 0o600)
            self.size = os.fstat(self._fd).st_size
            if self.size > file.bytes:
                self.restart()
        except OSError as exc:
            raise self._trouble(exc) from exc
        self._synced = self.size

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        rest = memoryview(data)
        try:
            while rest:
                written = os.pwrite(self._fd, rest, self.size)
                self.size += written
                rest = rest[written:]
            if self.size - self._synced >= SYNC_BYTES:
                _sync(self._fd)
                self._synced = self.size
        except OSError as exc:
            raise self._trouble(exc) from exc

    def seal(self, alive: Callable[[], bool] = lambda: True) -> bool:
        """Check the SHA-256 of all that is there; if it is right, the file is whole and synced.

        Else what is there is worth nothing: False, and the next byte is the first. Where `alive`
        turns false meanwhile, it is left as it is, and False.
        """
        try:
            os.fsync(self._fd)
            found = self._hash(alive)
            if found == self.file.sha256:
                self._folder.settle(self.name, found)
                return True
            if found is not None:
                self.restart()
            return False
        except FileNotFoundError:
            # Another link of this peer was there first, with the same bytes or none.
            return self._folder.has(self.file)
        except OSError as exc:
            raise self._trouble(exc) from exc

    def restart(self) -> None:
        """Throw away what is there."""
        os.ftruncate(self._fd, 0)
        self.size = self._synced = 0

    def close(self) -> None:
        """Close it; what is there stays for another time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _hash(self, alive: Callable[[], bool]) -> str | None:
        import hashlib

        digest = hashlib.sha256()
        offset = 0
        # From the disk, not as it came: what counts is what will be read.
        while alive():
            if not (chunk := os.pread(self._fd, CHUNK, offset)):
                return digest.hexdigest()
            digest.update(chunk)
            offset += len(chunk)
        return None

    def _trouble(self, exc: OSError) -> FileTrouble:
        return FileTrouble(f"{self._folder.root / self.name}: {exc.strerror}", hint="check the disk")


def part_name(sha256: str, peer: str) -> str:
    """The name of what a peer has brought of a file so far."""
    return f"{sha256}.{peer}.part"


def _sync_names(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)

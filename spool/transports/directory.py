"""The folders of a peer on this machine: `dir:`."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from spool.config import Peer
from spool.errors import FileTrouble, FolderMissing, LinkError, LinkLost
from spool.transports.base import Entry, Failure, Files, Witness
from spool.transports.local_files import (
    ENTER,
    LIST,
    PLAIN,
    check,
    expanded,
    make,
    opened,
    read_all,
    regular,
    stat_of,
    sync_folder,
    write_all,
)
from spool.transports.paths import shown, split
from spool.transports.renaming import Place, rename
from spool.transports.witness import local_witness

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MAKE_IT: Final = "make that folder, or correct inbox and outbox of the peer in spool.toml"

T = TypeVar("T")


def open_files(peer: Peer, home: Path) -> Files:
    """Give access to the folders of a `dir:` peer."""
    return Directory(int(peer.mode, 8))


class Directory:
    """Folders on this machine; see `Files` for the promise."""

    durable = True

    def __init__(self, mode: int) -> None:
        self._mode = mode
        self._closed = threading.Event()

    def entries(self, folder: str) -> list[Entry]:
        """What is in a folder."""
        self._still_open()
        with _whole(folder), opened(folder, LIST) as fd:
            found = [stat_of(Place(fd, name)) for name in os.listdir(fd)]
        return [entry for entry in found if entry is not None]

    def look(self, paths: Sequence[str]) -> list[Entry | Failure | None]:
        """What stands there."""
        return [self._each(path, _look) for path in paths]

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> list[bytes | Failure | None]:
        """The first bytes of each file."""
        return [self._each(path, lambda path: _fetch(path, max_bytes)) for path in paths]

    def put(self, files: Sequence[tuple[str, bytes]]) -> list[Failure | None]:
        """Make new files."""
        return [self._each(path, lambda path, data=data: self._put(path, data)) for path, data in files]  # type: ignore[misc]  # mypy cannot type a default of a lambda

    def move(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Rename, never over what is there."""
        return [self._each(old, lambda old, new=new: _move(old, new)) for old, new in pairs]  # type: ignore[misc]  # as above

    def remove(self, paths: Sequence[str]) -> list[bool | Failure]:
        """Remove files."""
        return [self._each(path, _remove) for path in paths]

    def sync(self, folder: str) -> None:
        """Sync a folder's names."""
        self._still_open()
        with _whole(folder):
            sync_folder(folder)

    def make(self, folder: str) -> None:
        """Make a folder and those above it."""
        self._still_open()
        with _whole(folder):
            make(expanded(folder).rstrip("/") or "/")
            with opened(folder, ENTER):
                pass

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Bytes from within a file."""
        with self._one(path), regular(path, os.O_RDONLY) as fd:
            return read_all(fd, offset, size)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Put bytes into a file."""
        with self._one(path):
            try:
                with regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
                    os.fchmod(fd, self._mode)
                    write_all(fd, offset, data)
            except FileExistsError:
                with regular(path, os.O_WRONLY) as fd:
                    write_all(fd, offset, data)

    def seal(self, path: str) -> None:
        """Sync a file."""
        with self._one(path), regular(path, os.O_RDONLY) as fd:
            os.fsync(fd)

    def witness(self, folder: str) -> Witness | None:
        """What tells whether files here were read."""
        return local_witness(folder)

    def boot(self) -> str:
        """The kernel's own name for this run of it."""
        try:
            return BOOT_ID.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def close(self) -> None:
        """Refuse what is asked from now on."""
        self._closed.set()

    def _put(self, path: str, data: bytes) -> None:
        folder, name = split(path)
        with opened(folder, ENTER) as at:
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN, 0o600, dir_fd=at)
            try:
                _fill(path, fd, data, self._mode)
            except BaseException as exc:
                _discard(path, Place(at, name), exc)
                raise

    def _each(self, path: str, step: Callable[[str], T]) -> T | Failure:
        self._still_open()
        try:
            return step(path)
        except FileTrouble as exc:
            return Failure(exc.message)
        except OSError as exc:
            return Failure(_reason(path, exc))

    @contextlib.contextmanager
    def _one(self, path: str) -> Iterator[None]:
        self._still_open()
        try:
            yield
        except OSError as exc:
            raise FileTrouble(_reason(path, exc)) from exc

    def _still_open(self) -> None:
        if self._closed.is_set():
            raise LinkLost("the folders were closed on this side")


def _look(path: str) -> Entry | None:
    folder, name = split(path)
    try:
        with opened(folder, ENTER) as fd:
            return stat_of(Place(fd, name))
    except FileNotFoundError:
        return None


def _fetch(path: str, max_bytes: int) -> bytes | None:
    try:
        with regular(path, os.O_RDONLY) as fd:
            return read_all(fd, 0, max_bytes)
    except FileNotFoundError:
        return None


def _fill(path: str, fd: int, data: bytes, mode: int) -> None:
    try:
        os.fchmod(fd, mode)
        write_all(fd, 0, data)
        os.fsync(fd)
        check(path, fd, data)
    finally:
        os.close(fd)


def _discard(path: str, place: Place, why: BaseException) -> None:
    try:
        os.unlink(place.name, dir_fd=place.folder)
    except OSError as exc:
        raise FileTrouble(f"{shown(path)}: {why}; and it cannot be removed: {exc.strerror}") from why


def _move(old: str, new: str) -> bool:
    old_folder, old_name = split(old)
    new_folder, new_name = split(new)
    with opened(old_folder, ENTER) as one, opened(new_folder, ENTER) as other:
        return rename(Place(one, old_name), Place(other, new_name))


def _remove(path: str) -> bool:
    folder, name = split(path)
    try:
        with opened(folder, ENTER) as fd:
            os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return False
    return True


def _reason(path: str, exc: OSError) -> str:
    return f"{shown(path)}: {exc.strerror or exc}"


@contextlib.contextmanager
def _whole(folder: str) -> Iterator[None]:
    """Translate what is wrong with a folder as a whole."""
    try:
        yield
    except (FileNotFoundError, PermissionError, NotADirectoryError) as exc:
        raise FolderMissing(_reason(folder, exc), hint=_MAKE_IT) from exc
    except OSError as exc:
        kind = FolderMissing if exc.errno == errno.ELOOP else LinkError
        raise kind(_reason(folder, exc), hint=_MAKE_IT) from exc

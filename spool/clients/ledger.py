"""What was installed: `installed/` of the home, one file for each that changed, with what it held."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from spool.errors import BadInput
from spool.home import write_atomically

FOLDER: Final = "installed"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One file that spool changed: how it was, and how to see that nobody changed it since."""

    client: str
    scope: str
    path: str
    # None: there was no file.
    before: bytes | None
    # SHA-256 of what spool wrote, in hex.
    after: str
    # Those that had to be made for it, the outermost first.
    folders: list[str] = []


def digest(content: bytes) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def load(home: Path, client: str, path: Path) -> Kept | None:
    """What is kept of a file; None where spool has not changed it. Raises BadInput: it cannot be read."""
    return _read(_place(home, client, path))


def save(home: Path, kept: Kept) -> None:
    """Keep it: on the disk when this returns, for nobody else to read."""
    content = msgspec.json.encode(kept)
    write_atomically(_place(home, kept.client, Path(kept.path)), content, mode=0o600)


def forget(home: Path, client: str, path: Path) -> None:
    """Keep it no longer; nothing happens where it is not kept."""
    _place(home, client, path).unlink(missing_ok=True)


def paths(home: Path, client: str, scope: str) -> list[str]:
    """The files that are kept for a client and a scope. Raises BadInput."""
    found = [_read(each) for each in sorted((home / FOLDER).glob(f"{client}-*.json"))]
    return [kept.path for kept in found if kept is not None and kept.scope == scope]


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """One at a time; a home that is not there needs no lock, and is not made."""
    if not home.is_dir():
        yield
        return
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _place(home: Path, client: str, path: Path) -> Path:
    return home / FOLDER / f"{client}-{digest(os.fsencode(path))[:16]}.json"


def _read(place: Path) -> Kept | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        raise BadInput(
            f"{place}: {exc}",
            hint="without it the undo goes by what it finds: move that file away, then try again",
        ) from exc

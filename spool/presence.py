"""Which processes of this home live: each holds a lock on a file of its own under `run/`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec

from spool.errors import StoreFull

# A consumer says consumer.alive in the log each minute: more silence than this is no chance.
SILENT_S: Final = 150.0


class Process(msgspec.Struct, frozen=True):
    """A living process of this home; `since` in seconds since the epoch, `token` is its own."""

    role: str
    pid: int
    since: float
    version: str
    token: str


class Presence:
    """This process, announced; the kernel takes the announcement back however it ends.

    Args:
        run: the folder `run/` of the home.
        role: consumer, serve or cli.

    Raises:
        StoreFull: the disk has no room for the announcement; nothing is left behind.
    """

    def __init__(self, run: Path, role: str, *, now: float, version: str) -> None:
        import secrets

        self.token = f"{role}-{os.getpid()}-{secrets.token_hex(4)}"
        self.process = Process(role, os.getpid(), now, version, self.token)
        self._path = run / f"{self.token}.live"
        draft = run / f".{self.token}"
        self._file = -1
        try:
            self._file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.write(self._file, msgspec.json.encode(self.process))
            # Locked before it has its name, so nobody can take it for a dead one.
            draft.rename(self._path)
        except OSError as exc:
            draft.unlink(missing_ok=True)
            self.close()
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"{run}: the disk is full, and this {role} cannot begin") from exc
            raise

    def close(self) -> None:
        """Take the announcement back, as often as one likes."""
        if self._file < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._file)
        self._file = -1


def living(run: Path, role: str | None = None) -> list[Process]:
    """The processes of this home that live, oldest first; what dead ones left is removed."""
    found: list[Process] = []
    with contextlib.suppress(FileNotFoundError):
        for path in run.glob(f"{role or ''}*.live"):
            if (process := _read(path)) is not None:
                found.append(process)
    return sorted(found, key=lambda process: process.since)


def lives(run: Path, token: str) -> bool:
    """Whether the process that announced itself under `token` lives."""
    return _read(run / f"{token}.live") is not None


def _read(path: Path) -> Process | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return msgspec.json.decode(os.read(file, 4096), type=Process)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return None
    finally:
        os.close(file)

"""The home: its folders, who may write there, its key, and the disk it lies on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool import config
from spool import home as homes
from spool.doctor.finding import Case, Finding, failed, ok, warning
from spool.errors import SpoolError, UnsafeHome
from spool.store import sqlite

MB: Final = 1024 * 1024
# Below so many times the low-water mark there is still time to do something.
NEAR: Final = 4
FEW_INODES: Final = 1000


def look(case: Case) -> Iterator[Finding]:
    """Check the place where the mail lies."""
    yield from _home(case.home)
    yield from _folders(case.home)
    yield from _database_files(case.home)
    yield from _settings_file(case)
    yield _key(case.home)
    yield _disk(case)


def _home(home: Path) -> Iterator[Finding]:
    found = home.stat()
    try:
        homes.refuse_network_disk(home)
    except UnsafeHome as exc:
        yield failed("home", exc.message, f"{exc.hint}; then copy the home there while spool is down")
    if found.st_uid != os.geteuid():
        yield failed("home", f"{home} belongs to another user", "run spool as that user, or set SPOOL_HOME")
    elif found.st_mode & 0o022:
        yield failed("home", f"others may write to {home}", f"`chmod 700 {home}`")
    elif found.st_mode & 0o077:
        yield warning("home", f"others may look into {home}", f"`chmod 700 {home}`")
    else:
        yield ok("home", str(home))


def _folders(home: Path) -> Iterator[Finding]:
    for name in ("run", "log", "keys"):
        path = home / name
        if not path.is_dir():
            yield failed("home", f"{path} is not there", f"`mkdir -m 700 {path}`")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield failed("home", f"{path} cannot be written to", f"`chmod u+rwx {path}`, as its owner")
        elif path.stat().st_mode & 0o022:
            yield failed("home", f"others may write to {path}", f"`chmod 700 {path}`")


def _database_files(home: Path) -> Iterator[Finding]:
    for name in (sqlite.FILE, f"{sqlite.FILE}-wal", f"{sqlite.FILE}-shm"):
        path = home / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield warning("home", f"others may look into {path}", f"`chmod 600 {path}`")


def _settings_file(case: Case) -> Iterator[Finding]:
    path = case.home / config.FILE
    if case.config is None:
        # What is wrong with it has been said.
        return
    if path.stat().st_mode & 0o022:
        yield failed("config", f"others may write to {path}", f"`chmod 600 {path}`")
    else:
        yield ok("config", str(path))


def _key(home: Path) -> Finding:
    """The pair of keys: both there, nobody else's to read, and of one piece."""
    private = home / homes.KEY
    try:
        found = private.stat()
        public = homes.public_key(home)
    except OSError as exc:
        return failed("key", f"{private}: {exc.strerror}", _NEW_KEY)
    except SpoolError as exc:
        remedy = f"`ssh-keygen -y -f {private} > {private}.pub`"
        return failed("key", exc.message, remedy)
    if found.st_uid != os.geteuid():
        return failed(
            "key", f"{private} belongs to another user", f"`chown {os.geteuid()} {private}`, as root"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        return failed(
            "key", f"others may read {private}", f"`chmod 600 {private}`; it may be known: {_RENEW}"
        )
    if (problem := _mismatch(private, public)) is not None:
        return problem
    return ok("key", f"{public.split()[0]}, {private}")


_NEW_KEY: Final = "`spool init` makes one; each host that we dial needs it: `spool peer authorize` there"
_RENEW: Final = "remove both files in keys/, `spool init`, `spool peer authorize` on each host that we dial"


def _mismatch(private: Path, public: str) -> Finding | None:
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(private.read_bytes(), None)
    except (ValueError, OSError, TypeError) as exc:
        return failed("key", f"{private} cannot be read: {exc}", _RENEW)
    form = serialization.PublicFormat.OpenSSH
    made = key.public_key().public_bytes(serialization.Encoding.OpenSSH, form).decode()
    if public.split()[:2] != made.split()[:2]:
        remedy = f"`ssh-keygen -y -f {private} > {private}.pub`"
        return failed("key", f"{private}.pub is not the other half of {private.name}", remedy)
    return None


def _disk(case: Case) -> Finding:
    found = os.statvfs(case.home)
    free = found.f_bavail * found.f_frsize // MB
    low = case.config.host.low_water_mb if case.config else config.Host(name="x").low_water_mb
    said = f"{free:,} MB free where {case.home} lies, no mail is taken below {low}"
    if free < low:
        return failed("disk", said, _SPACE)
    if free < NEAR * low or (found.f_files and found.f_favail < FEW_INODES):
        inodes = f", {found.f_favail} files" if found.f_favail < FEW_INODES else ""
        return warning("disk", said + inodes, _SPACE)
    return ok("disk", said)


_SPACE: Final = (
    "make room (`spool archive export --out FILE` keeps a copy elsewhere), or lower [host] low_water_mb"
)

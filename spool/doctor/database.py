"""The database: the library that reads it, its mode, its state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from spool import views
from spool.doctor.finding import Case, Finding, failed, ok, warning
from spool.errors import SpoolError
from spool.store import copying, tidying
from spool.store.sqlite import OLDEST_SQLITE, SqliteStore

MB: Final = 1024 * 1024
# SQLite writes it back from 4 MB on; what is far larger is held open by a reader.
LARGE_WAL: Final = 256 * MB


def look(case: Case) -> Iterator[Finding]:
    """Check SQLite and the file."""
    yield _library()
    if case.store is None:
        return
    try:
        yield _whole(case.store, quick=case.quick)
        yield from _log_file(case.store)
        if case.spool is not None:
            for line in views.unwritable(case.spool):
                yield failed(
                    "database", line, f"`ls -l {case.home}`, then as their owner: `chmod u+rw` the files"
                )
    except SpoolError as exc:
        yield failed(
            "database", exc.message, exc.hint or "`spool down`, copy the home away, `spool restore` a backup"
        )


def _library() -> Finding:
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        remedy = '`pip install --only-binary=:all: "apsw>=3.51.3"`'
        return failed("sqlite", f"SQLite {version} has a bug that can damage the file", remedy)
    return ok("sqlite", f"SQLite {version}")


def _whole(store: SqliteStore, *, quick: bool) -> Finding:
    size = store.path.stat().st_size
    said = f"{size / MB:,.1f} MB, WAL"
    if quick:
        return ok("database", f"{said}, not read through")
    if damage := copying.damage(store.path):
        return failed("database", f"{store.path}: {damage[0]}", _remedy(store, damage))
    return ok("database", f"{said}, read through and whole")


def _remedy(store: SqliteStore, damage: list[str]) -> str:
    if tidying.mendable(store.path, damage) is not None:
        return "what is damaged can be made again: `spool doctor --repair`"
    return "`spool down`, copy the home away, `spool restore` a backup"


def _log_file(store: SqliteStore) -> Iterator[Finding]:
    if (size := log_bytes(store)) > LARGE_WAL:
        path = _log_path(store)
        found = f"{path.name} has {size // MB:,} MB: some process reads the database and does not end"
        yield warning("database", found, "`spool restart`; else look for it: `fuser -v " + str(path) + "`")


def log_bytes(store: SqliteStore) -> int:
    """The size of SQLite's log."""
    try:
        return _log_path(store).stat().st_size
    except FileNotFoundError:
        # Who closes the database last takes it away.
        return 0


def _log_path(store: SqliteStore) -> Path:
    return store.path.with_name(f"{store.path.name}-wal")

"""Opening a home that may be broken, as far as it goes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import msgspec

from spool import authorized, config
from spool.api import Spool
from spool.config import Config
from spool.doctor.finding import Case, Finding, failed, warning
from spool.errors import NotInitialised, SpoolError
from spool.store import sqlite
from spool.store.sqlite import SqliteStore


def opened(
    home: Path, stack: ExitStack, *, now: float, quick: bool, keys: Path | None
) -> tuple[Case, list[Finding]]:
    """Open what can be opened, until `stack` ends; and say what could not be."""
    broken: list[Finding] = []
    case = Case(home=home, now=now, quick=quick, keys=keys or authorized.default_path())
    if (problem := _closed(home)) is not None:
        return msgspec.structs.replace(case, there=False), [problem]
    settings = _config(home, broken)
    spool, store = _database(home, settings, broken)
    if store is not None:
        stack.callback(store.close)
    return msgspec.structs.replace(case, config=settings, store=store, spool=spool), broken


def _closed(home: Path) -> Finding | None:
    """Why nothing of the home can be looked at."""
    mine = f"`ls -ld {home}`: it must be a folder of yours"
    try:
        os.listdir(home)
    except FileNotFoundError:
        return failed("home", f"there is no spool home at {home}", "`spool init`; or give --home DIR")
    except OSError as exc:
        return failed("home", f"{home}: {exc.strerror}", mine)
    return None if os.access(home, os.X_OK) else failed("home", f"{home} cannot be entered", mine)


def _config(home: Path, broken: list[Finding]) -> Config | None:
    path = home / config.FILE
    try:
        return config.load(home)
    except NotInitialised:
        broken.append(failed("config", f"{path} is not there", "`spool init` writes a new one"))
    except SpoolError as exc:
        broken.append(failed("config", exc.message, f"{exc.hint or 'correct it'}: `$EDITOR {path}`"))
    return None


def _database(
    home: Path, settings: Config | None, broken: list[Finding]
) -> tuple[Spool | None, SqliteStore | None]:
    """The database, and the whole spool where the config is right too."""
    path = home / sqlite.FILE
    if not path.exists():
        remedy = "`spool init` makes an empty one; if mail was here, put a copy of the home back first"
        broken.append(failed("database", f"{path} is not there", remedy))
        return None, None
    try:
        if 0 < sqlite.schema_of(path) < sqlite.SCHEMA:
            # To open it would migrate it, and a look changes nothing.
            found = f"{path} is of an older spool; the next command migrates it"
            broken.append(warning("database", found, "`spool restart`"))
            return None, None
        if settings is None:
            return None, SqliteStore(home)
        spool = Spool(home)
        return spool, spool.store
    except SpoolError as exc:
        broken.append(failed("database", exc.message, exc.hint or "`spool down`, then again"))
    except OSError as exc:
        broken.append(
            failed("database", f"{exc.filename}: {exc.strerror}", f"`ls -l {home}`: all must be yours")
        )
    return None, None

"""The stores that the contract tests run against: a second one is one more line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from spool.store import sqlite
from spool.store.base import Store

Open = Callable[[], Store]


def open_sqlite(home: Path) -> Store:
    """The SQLite store of a home, made where it is new."""
    home.mkdir(mode=0o700, exist_ok=True)
    sqlite.create(home)
    return sqlite.SqliteStore(home)


STORES: Final[dict[str, Callable[[Path], Store]]] = {"sqlite": open_sqlite}


@pytest.fixture(params=list(STORES))
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    name: str = request.param
    return name


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home that every store of a test shares."""
    return tmp_path / "home"


@pytest.fixture
def open_store(kind: str, home: Path) -> Iterator[Open]:
    """Open the store of the home, as another process would; each is closed at the end."""
    opened: list[Store] = []

    def another() -> Store:
        opened.append(STORES[kind](home))
        return opened[-1]

    yield another
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    """A store with nothing in it."""
    return open_store()

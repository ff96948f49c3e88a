"""A connection as the tables see it: values come back as Any, since SQL says what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement returned."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """One row after the other, each found when it is asked for."""


class Db(Protocol):
    """One connection; within a transaction that somebody else began and will end."""

    def execute(self, statements: str, bindings: Any = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, statements: str, sequence: Iterable[Any], /) -> Rows:
        """Run one statement with each of the values."""

    def total_changes(self) -> int:
        """Rows that all statements of this connection changed."""

    def changes(self) -> int:
        """Rows that the last statement changed."""

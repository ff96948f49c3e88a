"""The store's statements as the tests run them, and each of them changed."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from spool.store import sqlite
from tests.mutation.running import NO_MUTANT, Mutant
from tests.mutation.sql import changes

# Where a statement is handed on, and not made.
_PASSED_ON: Final = ("_rows", "<listcomp>", "<genexpr>")


class Watched:
    """A connection that hands each statement to `look` before it runs what that returns."""

    def __init__(self, connection: apsw.Connection, look: Callable[[str], str]) -> None:
        self._connection = connection
        self._look = look

    def execute(self, statements: str, bindings: Any = None, /) -> Any:
        """See `apsw.Connection.execute`."""
        return self._run(self._connection.execute, statements, bindings)

    def executemany(self, statements: str, sequence: Any, /) -> Any:
        """See `apsw.Connection.executemany`."""
        return self._run(self._connection.executemany, statements, sequence)

    def _run(self, run: Callable[..., Any], statements: str, values: Any) -> Any:
        meant = self._look(statements)
        try:
            return run(meant, values)
        except (apsw.SQLError, apsw.BindingsError):
            if meant != statements:
                os._exit(NO_MUTANT)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def watch(look: Callable[[str], str]) -> None:
    """Let every store that is opened from now on run what `look` makes of a statement."""
    plain = sqlite.SqliteTx.__init__

    def watched(self: sqlite.SqliteTx, connection: apsw.Connection) -> None:
        plain(self, Watched(connection, look))  # type: ignore[arg-type]

    sqlite.SqliteTx.__init__ = watched  # type: ignore[method-assign]


class Statements:
    """What `Runs` asks for: which statements a test runs, and their mutants.

    Args:
        only: modules of the store whose statements are changed; none is all.
    """

    def __init__(self, only: Sequence[str]) -> None:
        self._only = only
        self._ran: set[str] = set()

    def record(self) -> None:
        """From now on, keep what is run."""
        watch(self._note)

    def _note(self, text: str) -> str:
        self._ran.add(f"{_caller()}\n{text}")
        return text

    def ran(self) -> set[str]:
        """What was run since it was asked last: each with the place that it is run from."""
        ran, self._ran = self._ran, set()
        return ran

    def mutants(self, known: Sequence[str]) -> list[Mutant]:
        """Each change once for a place, however many statements are made there."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for one in sorted(known):
            place, _, text = one.partition("\n")
            if not self._only or place.partition(":")[0] in self._only:
                for change in changes(text):
                    found[f"{place} {change.mark}"][text] = change.sql
        return [
            Mutant(name, name.partition(":")[0], _keys(name, instead), _installed(instead))
            for name, instead in found.items()
        ]


def _keys(name: str, instead: dict[str, str]) -> list[str]:
    place = name.partition(" ")[0]
    return [f"{place}\n{text}" for text in instead]


def _installed(instead: dict[str, str]) -> Callable[[], None]:
    return lambda: watch(lambda text: instead.get(text, text))


def _caller() -> str:
    frame = sys._getframe(4)
    while frame.f_code.co_name in _PASSED_ON and frame.f_back is not None:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).stem}:{frame.f_lineno}"

"""Looks into the hosts while they run: what a message had come to once, it may not lose again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spool.states import MOVES, State
from tests import databases
from tests.soak.facts import Key, Step

GONE: Final = "gone"
_STATES: Final = " UNION ALL ".join(
    f"SELECT sender, id, state FROM {table}" for table in ("outbox", "outbox_archive")
)
_HELD: Final = " UNION ALL ".join(
    f"SELECT sender, id, state FROM {table}" for table in ("inbox", "inbox_archive")
)
HELD_ORDER: Final = {"unread": 0, "read": 1, "done": 2, "dead": 3}


class Watch:
    """One host's messages as they were seen last.

    Attributes:
        steps: what has gone back, or away.
        looks: how often was looked.
    """

    def __init__(self, name: str, home: Path) -> None:
        self._name, self._home = name, home
        self._sent: dict[Key, str] = {}
        self._held: dict[Key, str] = {}
        self.steps: list[Step] = []
        self.looks = 0

    def look(self) -> None:
        """Look, and compare with the look before."""
        sent = {Key(*row[:2]): str(row[2]) for row in databases.rows(self._home, _STATES)}
        held = {Key(*row[:2]): str(row[2]) for row in databases.rows(self._home, _HELD)}
        self.steps += [Step(self._name, *step) for step in back(self._sent, sent)]
        self.steps += [Step(self._name, *step) for step in held_back(self._held, held)]
        self._sent, self._held = sent, held
        self.looks += 1


def back(before: dict[Key, str], after: dict[Key, str]) -> list[tuple[Key, str, str]]:
    """Messages that an outbox had in a state from which no way leads to the one they have now."""
    return [
        (key, state, after.get(key, GONE))
        for key, state in before.items()
        if after.get(key) != state and after.get(key, GONE) not in REACHED[state]
    ]


def held_back(before: dict[Key, str], after: dict[Key, str]) -> list[tuple[Key, str, str]]:
    """The same of an inbox."""
    return [
        (key, state, after.get(key, GONE))
        for key, state in before.items()
        if HELD_ORDER.get(after.get(key, GONE), -1) < HELD_ORDER[state]
    ]


def _reached(state: State) -> frozenset[str]:
    # Nobody retries what is dead here, and no hop gives up what its far host has spoken for.
    steps: dict[State, set[State]] = {
        old: {to for to in MOVES[old] if to is not State.QUEUED and not (to is State.DEAD and _proven(old))}
        for old in State
    }
    found: set[State] = set()
    new = {state}
    while new:
        found |= new
        new = {to for old in new for to in steps[old]} - found
    return frozenset(each.value for each in found)


def _proven(state: State) -> bool:
    return state in (State.RECEIVED, State.READ, State.DONE)


REACHED: Final[dict[str, frozenset[str]]] = {state.value: _reached(state) for state in State}

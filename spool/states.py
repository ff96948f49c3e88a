"""The states of a message, on the sender's side and on the receiver's, and their legal moves."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class IllegalMove(Exception):
    """A move that the table does not have: a defect of spool, not of its user."""


class State(StrEnum):
    """How far a message got, as its sender's host knows it."""

    QUEUED = "queued"
    SENT = "sent"
    RECEIVED = "received"
    READ = "read"
    DONE = "done"
    DEAD = "dead"


class Held(StrEnum):
    """What a message is to the host of the agent it is for."""

    UNREAD = "unread"
    READ = "read"
    DONE = "done"
    DEAD = "dead"


# A proof (received, read, done) counts whenever it comes, also on a dead message;
# dead -> queued is a person's `spool dead retry`.
MOVES: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset(
        {State.SENT, State.RECEIVED, State.READ, State.DONE, State.DEAD},
    ),
    State.SENT: frozenset({State.RECEIVED, State.READ, State.DONE, State.DEAD}),
    State.RECEIVED: frozenset({State.READ, State.DONE, State.DEAD}),
    State.READ: frozenset({State.DONE, State.DEAD}),
    State.DONE: frozenset(),
    State.DEAD: frozenset({State.QUEUED, State.RECEIVED, State.READ, State.DONE}),
}

HELD_MOVES: Final[dict[Held, frozenset[Held]]] = {
    Held.UNREAD: frozenset({Held.READ, Held.DONE, Held.DEAD}),
    Held.READ: frozenset({Held.DONE, Held.DEAD}),
    Held.DONE: frozenset(),
    Held.DEAD: frozenset(),
}

PROOFS: Final = (State.RECEIVED, State.READ, State.DONE)
ORDER: Final[dict[State, int]] = {state: rank for rank, state in enumerate(State)}


def check(old: State, new: State) -> State:
    """Return `new` if a message may go there from `old`.

    Raises:
        IllegalMove: the table has no such move.
    """
    if new not in MOVES[old]:
        raise IllegalMove(f"{old} -> {new}")
    return new


def sources(new: State) -> tuple[State, ...]:
    """List the states from which a message may move to `new`."""
    return tuple(old for old in State if new in MOVES[old])


def from_ack(status: str) -> tuple[State, str | None] | None:
    """Translate an ack's status into a state and an outcome; None if it is not known.

    `processed` is what some scripts of the files protocol say for done.
    """
    match status:
        case "received":
            return State.RECEIVED, None
        case "read":
            return State.READ, None
        case "done" | "processed":
            return State.DONE, "done"
        case "rejected":
            return State.DONE, "rejected"
        case "dead":
            return State.DEAD, None
    return None

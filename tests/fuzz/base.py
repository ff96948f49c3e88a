"""What a target is: bytes that somebody else wrote go in, and one word comes out: what became of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Target(Protocol):
    """One door for foreign bytes.

    A call returns a word for what became of them, such as `taken` or the kind of an error. It raises
    AssertionError where a promise was broken, and whatever else the code under test raised by mistake.

    Attributes:
        most_bytes: of one input.
    """

    most_bytes: int

    def __call__(self, raw: bytes) -> str: ...

    def memory(self, size: int) -> int:
        """The bytes that an input of this size may take at once."""


class Plain:
    """A target that is a function and keeps nothing.

    Args:
        grows: bytes of memory for each byte of input, beside a fixed part.
    """

    def __init__(self, call: Callable[[bytes], str], *, most_bytes: int, grows: int, fixed: int) -> None:
        self._call = call
        self.most_bytes = most_bytes
        self._grows = grows
        self._fixed = fixed

    def __call__(self, raw: bytes) -> str:
        return self._call(raw)

    def memory(self, size: int) -> int:
        """See Target."""
        return self._fixed + self._grows * size


# Given a folder to work in; what the target makes there goes at its end.
Open = Callable[[Path], contextlib.AbstractContextManager[Target]]

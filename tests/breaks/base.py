"""What a break is: a fault as data, and who must find it."""

from __future__ import annotations

from typing import Final, NamedTuple

# The random run of tests/machine, from its first seed on.
MACHINE: Final = "machine"


class Edit(NamedTuple):
    """A piece of a file, which stands there once, and what stands there in the broken tree."""

    file: str
    old: str
    new: str


class Break(NamedTuple):
    """One fault.

    Attributes:
        why: what goes wrong with it, for whoever reads that it was not caught.
        edits: all of them are made.
        caught_by: what pytest is given, or MACHINE; each of them must find the fault by itself.
    """

    name: str
    why: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]

"""A copy of the tree with one break in it; the tree itself is never touched."""

from __future__ import annotations

import ast
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.breaks.base import Break, Edit

ROOT: Final = Path(__file__).parents[2]
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "dist", "*.egg-info")


class NoLongerFits(Exception):
    """The text that a break replaces is not there, or more than once, or what comes of it is no Python."""


def broken(root: Path, edits: Sequence[Edit]) -> dict[str, str]:
    """Each file that the edits touch, with its new text.

    Raises:
        NoLongerFits: spool has changed there, and the break must follow.
    """
    texts: dict[str, str] = {}
    for edit in edits:
        text = texts.get(edit.file) or (root / edit.file).read_text("utf-8")
        if (found := text.count(edit.old)) != 1:
            raise NoLongerFits(f"{edit.file}: stands there {found} times: {edit.old!r}")
        texts[edit.file] = text.replace(edit.old, edit.new)
    for file, text in texts.items():
        if file.endswith(".py"):
            try:
                ast.parse(text)
            except SyntaxError as exc:
                raise NoLongerFits(f"{file}: no Python any more: {exc}") from exc
    return texts


@contextlib.contextmanager
def copy() -> Iterator[Path]:
    """A copy of the tree in a temporary folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="spool-break-") as name:
        # Dotted, it would be left out of what some tests look through.
        root = Path(name) / "tree"
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT)
        yield root


@contextlib.contextmanager
def broken_copy(one: Break) -> Iterator[Path]:
    """A copy with a break in it. Raises NoLongerFits."""
    texts = broken(ROOT, one.edits)
    with copy() as root:
        for file, text in texts.items():
            (root / file).write_text(text, "utf-8")
        yield root

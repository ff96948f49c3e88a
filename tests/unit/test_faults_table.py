"""docs/faults.md has every row of the lists that it answers, and names tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "faults.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests of a file; none where there is no such file."""
    file = TESTS / path
    tree = ast.parse(file.read_text()) if file.exists() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("heading", "count"), [("The fault matrix", 47), ("The security list", 18)])
def test_no_row_is_missing(heading: str, count: int) -> None:
    """In order, each with four cells that say something."""
    found = rows(heading)
    assert [row[0] for row in found] == [str(n + 1) for n in range(count)]
    assert all(len(row) == 4 and all(row) for row in found)


@pytest.mark.parametrize("heading", ["The fault matrix", "The crash points", "The security list"])
def test_each_row_is_shown_by_a_test_or_says_why_not(heading: str) -> None:
    """One without a test begins with `Not done`."""
    for row in rows(heading):
        said, shown = row[-2], row[-1]
        assert NAMED.sub("", shown).strip() == ("none" if said.startswith("Not done: ") else ""), row[0]
        assert NAMED.search(shown) or said.startswith("Not done: "), row[0]


def test_every_test_that_is_named_exists() -> None:
    """One that was renamed would leave a row with nothing to show for it."""
    named = NAMED.findall(TEXT)
    assert len(named) > 100
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_file_that_is_named_exists() -> None:
    """Also where no single test of it is meant."""
    files = re.findall(r"`(?:tests/)?((?:acceptance|contract|machine|unit)/[\w/]*(?:\.py)?)`", TEXT)
    assert files and [path for path in files if not (TESTS / path).exists()] == []

"""The examples in docstrings run, and say what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from spool.home import init
from tests.hosts import ROOT

WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "spool").rglob("*.py")
    if "\n    >>> " in path.read_text()
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a home with the agents that they name."""
    home = init(tmp_path / "home", name="here", agents=["builder", "reviewer"]).home
    names = {"home": home}
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        runner.run(test, clear_globs=False)
        if spool := test.globs.pop("spool", None):
            spool.close()

    assert runner.summarize().failed == 0, capsys.readouterr().out
    assert runner.summarize().attempted > 0


def test_the_python_api_has_examples() -> None:
    """It is where a reader begins."""
    assert "spool.api" in WITH_EXAMPLES

"""What all tests share: a clean environment, and what could not be run said aloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_home_of_mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody's own spool is ever touched by a test."""
    monkeypatch.delenv("SPOOL_AGENT", raising=False)
    monkeypatch.setenv("SPOOL_HOME", "/nonexistent/spool-home")
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skipped test is a thing that nobody looked at: name each."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {reason}", red=True)

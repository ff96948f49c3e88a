"""GitHub, started once for the tests of a process; a repository of its own for each test."""

from __future__ import annotations

import pytest

from tests.github.tower import Tower, own_repo, shared


@pytest.fixture
def github() -> Tower:
    """The emulator, and in front of it the proxy that checks every request and answer."""
    return shared()


@pytest.fixture
def repo(github: Tower) -> str:
    """A repository that no other test has."""
    return own_repo()

"""What the tests of the MCP server share: a home with two agents, and a client of the one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import Spool
from tests.desk import make_home
from tests.mcp_client import Agent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path, "me", "you")


@pytest.fixture
def spool(home: Path) -> Iterator[Spool]:
    with Spool(home, agent="me") as spool:
        yield spool


@pytest.fixture
def agent(home: Path) -> Agent:
    return Agent(home)

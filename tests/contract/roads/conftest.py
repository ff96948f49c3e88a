"""The roads that the contract tests run over: another one is one more line in tests/roads.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.roads import ROADS, Road


@pytest.fixture(params=sorted(ROADS))
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Road]:
    """Two hosts and the road between them; nothing is carried before `up`."""
    made = ROADS[request.param](tmp_path)
    yield made
    made.close()

"""The ways to a peer's folders that the contract tests run over: another one is one more kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spool.transports.base import Files
from tests.folders import KINDS, Reach, sshd_of
from tests.sshd import Sshd, make_home
from tests.waiting import soon


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A spool home and its public key."""
    return make_home(tmp_path_factory.mktemp("near"))


@pytest.fixture(scope="session")
def sshd_for(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[Path, str]
) -> Iterator[Callable[[str], Sshd]]:
    """The sshd of each kind, started when the first test asks for it."""
    started: dict[str, Sshd] = {}
    with ExitStack() as stack:

        def start(kind: str) -> Sshd:
            if kind not in started:
                folder = tmp_path_factory.mktemp("far")
                started[kind] = stack.enter_context(sshd_of(kind, folder))
                started[kind].authorize(key[1])
            return started[kind]

        yield start


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which way."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Whatever failed, no thread is left behind."""
    before = set(threading.enumerate())
    yield
    assert soon(lambda: set(threading.enumerate()) <= before), threading.enumerate()


@pytest.fixture
def reach(
    kind: str,
    sshd_for: Callable[[str], Sshd],
    key: tuple[Path, str],
    tmp_path: Path,
    no_threads_left: None,
) -> Iterator[Reach]:
    """A folder, and the way to it."""
    folder = tmp_path / "claude-inbox"
    folder.mkdir()
    reach = Reach(kind, folder, key[0])
    if not reach.is_local:
        sshd = sshd_for(kind)
        reach.port, reach.user, reach.host_key = sshd.port, sshd.user, sshd.host_key
    yield reach
    for files in reach.opened:
        files.close()


@pytest.fixture
def files(reach: Reach) -> Files:
    """The folder, reached."""
    return reach.open()

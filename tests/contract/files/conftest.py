"""The ways to a peer's folders that the contract tests run over: another one is one more kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spool.errors import LinkError
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


class Connected:
    """The connections that tests share, one for each kind: a login takes longer than most tests.

    Attributes:
        threads: theirs, which outlive a test.
    """

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self._open: dict[str, Files] = {}

    def files(self, reach: Reach) -> Files:
        """The connection of a kind, a new one where a test broke the last."""
        if reach.kind not in self._open or not self._lives(reach):
            before = set(threading.enumerate())
            self._open[reach.kind] = reach.open()
            reach.opened.remove(self._open[reach.kind])
            self.threads |= set(threading.enumerate()) - before
        return self._open[reach.kind]

    def close(self) -> None:
        """End all of them."""
        for files in self._open.values():
            files.close()

    def _lives(self, reach: Reach) -> bool:
        try:
            self._open[reach.kind].look([str(reach.folder)])
        except LinkError:
            self._open[reach.kind].close()
            return False
        return True


@pytest.fixture(scope="session")
def connected(sshd_for: Callable[[str], Sshd]) -> Iterator[Connected]:
    """The connections that tests share."""
    connected = Connected()
    yield connected
    connected.close()


@pytest.fixture(autouse=True)
def no_threads_left(connected: Connected) -> Iterator[None]:
    """Whatever failed, no thread is left behind."""
    before = set(threading.enumerate())
    yield
    gone = soon(lambda: set(threading.enumerate()) <= before | connected.threads)
    assert gone, threading.enumerate()


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
def files(reach: Reach, connected: Connected) -> Files:
    """The folder, reached."""
    return connected.files(reach)

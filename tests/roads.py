"""The roads that the contract of roads runs over: two hosts in one process, and what goes wrong there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

from spool import home as homes
from spool import web_secret
from spool.api import Spool
from spool.config_edit import set_peer
from spool.running import Running
from spool.web.server import Server
from tests.web import set_web

NEAR: Final = "al"
FAR: Final = "bo"


class Road(Protocol):
    """Two hosts, `near` with the agent al and `far` with bo, and a road between them that near takes.

    Attributes:
        answers: whether the next hop says what became of each message; else that is told by acks alone.
    """

    answers: bool
    near: Spool
    far: Spool

    def up(self) -> None:
        """Begin to carry, on both hosts."""

    def cut(self) -> None:
        """Nobody is reached from here on."""

    def mend(self) -> None:
        """Whoever was cut off can be reached again."""

    def spoil(self) -> None:
        """What near proves itself by is wrong from here on."""

    def restore(self) -> None:
        """It is right again; the peer is not resumed by that."""

    def close(self) -> None:
        """End all of it."""


class WebRoad:
    """Near posts to far's `spool web`; far's mail waits there for near's polls, or is posted too."""

    answers = True

    def __init__(self, folder: Path, *, both: bool) -> None:
        self._both = both
        self._kept = ExitStack()
        self._homes = {name: _home(folder, name, agent) for name, agent in (("near", NEAR), ("far", FAR))}
        self._secret = folder / "shared.secret"
        web_secret.make(self._secret)
        self._good = self._secret.read_text()
        # Near's own copy: far's stays right.
        self._near_secret = folder / "near.secret"
        web_secret.make(self._near_secret)
        self._near_secret.write_text(self._good)
        self._ports = {name: _free_port() for name in self._homes}
        self._join("near", "far", FAR, self._near_secret, dials=True)
        self._join("far", "near", NEAR, self._secret, dials=both)
        self._server: Server | None = None
        self._door: Running | None = None
        self.near, self.far = (
            self._kept.enter_context(Spool(self._homes[name], agent=agent))
            for name, agent in (("near", NEAR), ("far", FAR))
        )

    def _join(self, here: str, there: str, agent: str, secret: Path, *, dials: bool) -> None:
        url = f"http://127.0.0.1:{self._ports[there]}/chat" if dials else ""
        set_web(self._homes[here], listen=f"127.0.0.1:{self._ports[here]}")
        set_peer(self._homes[here], there, {"agents": [agent], "url": url, "secret_file": str(secret)})

    def up(self) -> None:
        self.mend()
        if self._both:
            self._listen("near")
            self._carry("far")
        self._carry("near")

    def _carry(self, name: str) -> None:
        running = Running(self._homes[name], "consumer")
        self._kept.callback(running.stop)
        running.carrier.start()

    def _listen(self, name: str) -> tuple[Running, Server]:
        running = Running(self._homes[name], "web")
        self._kept.callback(running.stop)
        server = Server(running)
        self._kept.callback(server.stop)
        running.listener.subscribe(server.ring)
        server.start()
        return running, server

    def cut(self) -> None:
        assert self._server is not None and self._door is not None
        self._server.stop()
        self._door.stop()

    def mend(self) -> None:
        self._door, self._server = self._listen("far")

    def spoil(self) -> None:
        self._near_secret.unlink()
        web_secret.make(self._near_secret)

    def restore(self) -> None:
        self._near_secret.write_text(self._good)

    def close(self) -> None:
        self._kept.close()


def _home(folder: Path, name: str, agent: str) -> Path:
    return homes.init(folder / name, name=name, agents=[agent]).home


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _github(folder: Path) -> Road:
    from tests.github.road import GithubRoad

    return GithubRoad(folder)


# Another road is one more line.
ROADS: Final[dict[str, Callable[[Path], Road]]] = {
    "github": _github,
    "https, one dials": lambda folder: WebRoad(folder, both=False),
    "https, both dial": lambda folder: WebRoad(folder, both=True),
}

"""A repository's issues as one of the roads that the contract of roads runs over."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from spool import home as homes
from spool.api import Spool
from spool.config_edit import set_peer
from spool.running import Running
from spool.transports.github import http, posting
from tests.github.faulty import Faulty
from tests.github.tower import OWNER, TOKENS, own_repo, shared

AGENTS: Final = {"near": "al", "far": "bo"}


class GithubRoad:
    """Both hosts look at one repository with one account; near through a gateway that can be shut."""

    answers = False

    def __init__(self, folder: Path) -> None:
        self._kept = ExitStack()
        # The emulator needs no rest, and its lists do not lag.
        self._paces = http.PACE_S, posting.SETTLE_S
        http.PACE_S, posting.SETTLE_S = 0.0, 1.0  # type: ignore[misc]
        self._kept.callback(self._restore_paces)
        self._gateway = Faulty(shared().url)
        self._kept.callback(self._gateway.close)
        self._gateway.tokens = set(TOKENS.values())
        self._folder = folder
        self._tokens = {name: folder / f"{name}.token" for name in AGENTS}
        repo = own_repo()
        for name, other, way in (("near", "far", "there"), ("far", "near", "back")):
            self._tokens[name].touch(mode=0o600)
            self._tokens[name].write_text(TOKENS["octocat"])
            homes.init(folder / name, name=name, agents=[AGENTS[name]])
            values = {
                "url": f"github://{OWNER}/{repo}",
                "base_url": self._gateway.url if name == "near" else shared().url,
                "agents": [AGENTS[other]],
                "direction": way,
                "reads": "back" if way == "there" else "there",
                "token_file": str(self._tokens[name]),
                "poll_s": 1,
            }
            set_peer(folder / name, other, values)
        self.near, self.far = (
            self._kept.enter_context(Spool(folder / name, agent=agent)) for name, agent in AGENTS.items()
        )

    def up(self) -> None:
        for name in AGENTS:
            running = Running(self._folder / name, "consumer")
            self._kept.callback(running.stop)
            running.carrier.start()

    def cut(self) -> None:
        self._gateway.is_shut = True

    def mend(self) -> None:
        self._gateway.is_shut = False

    def spoil(self) -> None:
        self._tokens["near"].write_text("nobodys-token")

    def restore(self) -> None:
        self._tokens["near"].write_text(TOKENS["octocat"])

    def close(self) -> None:
        self._kept.close()

    def _restore_paces(self) -> None:
        http.PACE_S, posting.SETTLE_S = self._paces  # type: ignore[misc]

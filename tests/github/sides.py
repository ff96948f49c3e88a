"""Two hosts with a repository between them, in this process: homes, and rounds on threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from spool import home as homes
from spool.api import Spool
from spool.clock import Clock
from spool.config_edit import set_peer
from spool.errors import LinkError
from spool.issues_gate import IssuesGate
from spool.settings import Settings
from spool.store.base import Incoming, Outgoing
from spool.transports.github.client import open_repository
from spool.transports.github.rounds import IssueRounds
from tests.github.tower import OWNER, TOKENS
from tests.waiting import soon

PATIENCE_S: Final = 30.0


class Side:
    """One host: a home, and rounds of its github peer while `running`."""

    def __init__(self, folder: Path, name: str, agent: str, **peer: Any) -> None:
        self.home = homes.init(folder / name, name=name, agents=[agent]).home
        self.agent = agent
        set_peer(self.home, "hub", peer)
        self.spool = Spool(self.home, agent=agent)
        self.clock = Clock(time.time, time.monotonic)
        self.settings = Settings(self.home, self.spool.store, self.clock)
        self.token = TOKENS["octocat"]

    def peer(self, **values: Any) -> None:
        """Change its peer in the config."""
        set_peer(self.home, "hub", values)

    def rounds(self) -> IssueRounds:
        """The rounds of its peer, not yet running."""
        self.settings.refresh()
        peer = self.settings.config.peer("hub")
        gate = IssuesGate(self.spool.store, self.settings, "hub", clock=self.clock, token="t", version="0")
        return IssueRounds(open_repository(peer, lambda: self.token, self.clock), gate)

    @contextlib.contextmanager
    def running(self) -> Iterator[IssueRounds]:
        """Make rounds until the block ends."""
        rounds = self.rounds()
        ended: list[LinkError] = []
        thread = threading.Thread(target=_run, args=(rounds, ended), daemon=True)
        thread.start()
        try:
            assert soon(lambda: rounds.up.is_set() or bool(ended), PATIENCE_S)
            assert not ended, ended
            yield rounds
        finally:
            rounds.end()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def once(self) -> LinkError | None:
        """Make rounds until all has gone and one look is over; why it failed, if it did."""
        rounds = self.rounds()
        ended: list[LinkError] = []
        thread = threading.Thread(target=_run, args=(rounds, ended), daemon=True)
        thread.start()
        assert soon(lambda: bool(ended) or (rounds.up.is_set() and rounds.quiet_for() > 0.0), PATIENCE_S)
        rounds.end()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        return ended[0] if ended else None

    def send(self, to: str, **more: Any) -> str:
        """Send a message; its id."""
        return self.spool.send(to, **more)

    def sent(self, id: str) -> Outgoing:
        """The row of a message that was sent from here."""
        with self.spool.store.read() as tx:
            row = tx.outbox.exact(id, self.agent)
        assert row is not None
        return row

    def mail(self) -> list[Incoming]:
        """What is not done here, in the order in which it came."""
        with self.spool.store.read() as tx:
            return sorted(tx.inbox.open(self.agent), key=lambda row: row.seq)

    def quarantine(self) -> list[str]:
        """The reasons of what was quarantined."""
        with self.spool.store.read() as tx:
            return [each.reason for each in tx.ledger.quarantined()]

    def close(self) -> None:
        """Go."""
        self.spool.close()


def _run(rounds: IssueRounds, ended: list[LinkError]) -> None:
    try:
        rounds.run()
    except LinkError as exc:
        ended.append(exc)


def near(folder: Path, base_url: str, repo: str, **more: Any) -> Side:
    """The host `laptop` of `claude-local`, which writes `local-to-cloud`."""
    values = {"agents": ["claude-cloud*"], "direction": "local-to-cloud", **more}
    return Side(
        folder,
        "laptop",
        "claude-local",
        url=f"github://{OWNER}/{repo}",
        base_url=base_url,
        poll_s=1,
        **values,
    )


def far(folder: Path, base_url: str, repo: str, **more: Any) -> Side:
    """The host `stackcp` of `claude-cloud`, which writes `cloud-to-local`."""
    values = {"agents": ["claude-local*"], "direction": "cloud-to-local", **more}
    return Side(
        folder,
        "stackcp",
        "claude-cloud",
        url=f"github://{OWNER}/{repo}",
        base_url=base_url,
        poll_s=1,
        **values,
    )


def becomes(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so in good time."""
    return soon(is_so, PATIENCE_S)

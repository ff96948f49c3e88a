"""A client's seat: the home it acts in and the agent it acts for, found anew at each call."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from spool import living, log
from spool.api import Spool
from spool.errors import NoAgent, SpoolError, StoreError
from spool.looking import ago
from spool.plain import field
from spool.store.base import Session

CLIENT: Final = "mcp"
CHOOSE: Final = "set SPOOL_AGENT in the `env` of this MCP server's entry, then restart it"


class Sitting(NamedTuple):
    """An open spool, and who acts in it."""

    spool: Spool
    agent: str


class Seat:
    """Where a client sits for as long as its server runs.

    The home is opened for each call: an agent added meanwhile is known at once, and a session that
    idles for days keeps nobody from migrating the database.

    Args:
        home: the spool home; there may be none yet.
        agent: who acts where neither `$SPOOL_AGENT` nor a session of the same process says it.
        pid: the client's process.
        cwd: where it works.
    """

    def __init__(self, home: Path, *, agent: str | None = None, pid: int, cwd: str = "") -> None:
        self.home = home
        self.session = f"mcp-{secrets.token_hex(8)}"
        self._usual = agent
        self._pid = pid
        self._cwd = cwd
        self._lock = threading.Lock()
        self._announced: str | None = None
        self._aside = ""

    @contextlib.contextmanager
    def sit(self) -> Iterator[Sitting]:
        """Open the home as the agent this client acts for; its session is announced the first time.

        Raises:
            NoAgent: several and none chosen.
            SpoolError: as `Spool`.
        """
        with Spool(self.home) as spool:
            who = self._who(spool)
            self._announce(spool, who)
            yield Sitting(spool, who)

    def others(self, sitting: Sitting) -> list[Session]:
        """Live sessions of other processes with the same mailbox."""
        pid = living.caller(self._pid)
        every = sitting.spool.sessions(sitting.agent)
        return [each for each in every if each.id != self.session and each.pid != pid]

    def aside(self) -> str:
        """What is to be said once, with the next answer; empty where there is nothing."""
        with self._lock:
            said, self._aside = self._aside, ""
        return said

    def leave(self) -> None:
        """This session ends."""
        with self._lock:
            if self._announced is None:
                return
            self._announced = None
        with Spool(self.home) as spool:
            spool.leave(self.session)

    def _who(self, spool: Spool) -> str:
        if os.environ.get("SPOOL_AGENT"):
            return spool.agent()
        # The client's own session knows better than its configuration, which many share.
        named = self._bound(spool) or self._usual
        try:
            return spool.agent(named)
        except NoAgent as exc:
            raise NoAgent(exc.message, hint=exc.hint if named else CHOOSE) from exc

    def _bound(self, spool: Spool) -> str | None:
        """Whom the client's hooks bound its session to, the newest of several."""
        pid = living.caller(self._pid)
        # One client may start several servers, each for an agent of its own: those bind nobody.
        mine = [each for each in spool.sessions() if each.pid == pid and each.client != CLIENT]
        return mine[-1].agent if mine else None

    def _announce(self, spool: Spool, who: str) -> None:
        with self._lock:
            if self._announced == who:
                return
            try:
                others = spool.attend(
                    self.session, agent=who, client=CLIENT, pid=living.caller(self._pid), cwd=self._cwd
                )
            except StoreError as exc:
                # A disk that is full must keep nobody from reading; it is tried again at the next call.
                log.warning("session.unannounced", agent=who, error=str(exc))
                return
            self._announced = who
            self._aside = _beside(who, others)
        log.info("session.attends", agent=who, session=self.session, others=len(others))


def opened(seat: Seat) -> SpoolError | None:
    """Sit down once, so that the session is known from the start; what is in the way, if anything."""
    try:
        with seat.sit():
            return None
    except SpoolError as exc:
        return exc


def described(session: Session, *, now: float) -> str:
    """One session in a few words."""
    where = f" in {field(session.cwd)}" if session.cwd else ""
    return f"{session.client or 'a client'}{where}, since {ago(now - session.since)} ago"


def _beside(who: str, others: list[Session]) -> str:
    if not others:
        return ""
    some = "; ".join(described(each, now=each.seen_at) for each in others[:3])
    return (
        f"Note: another live session reads as {who} too ({some}). What one of you reads or acknowledges is"
        " so for both: agree on who answers."
    )

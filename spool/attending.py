"""Attending: which sessions read here as whom, and which mail each was told of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from spool.desk import Desk
from spool.errors import NotFound
from spool.store.base import How, Incoming, Session

# What counts as told: a wake-up may never have come through.
TOLD: Final[tuple[How, ...]] = ("told", "continued")
CONTINUED: Final[tuple[How, ...]] = ("continued",)
# For none of these is a session woken: not twice for one message, either.
ANY: Final[tuple[How, ...]] = (*TOLD, "woken")


class Attending(Desk):
    """The part of Spool for sessions. To be told of a message is not to have read it."""

    def attend(
        self,
        session: str,
        *,
        agent: str | None = None,
        client: str | None = None,
        pid: int | None = None,
        cwd: str = "",
        wake: str | None = None,
    ) -> list[Session]:
        """Bind a session to an agent, again as often as one likes; the other live sessions of that agent,
        one for each process.

        A session of the same client and process that stands there still has given way to this one.

        Args:
            session: an id of the client's own.
            client: what it is, in a word.
            pid: its process; without it, the session lives for twelve hours after it was last seen.
            wake: how it can be woken, as JSON; forgotten when it ends.

        Raises:
            NoAgent: as `agent`.
        """
        from spool import living, sessions

        who = self.agent(agent)
        now = self._clock.now()
        began = None if pid is None else living.born(pid)
        fresh = Session(
            id=session,
            agent=who,
            client=client,
            pid=None if began is None else pid,
            born=began,
            cwd=cwd,
            since=now,
            seen_at=now,
            wake=wake,
        )
        with self.store.write(sync=False) as tx:
            tx.sessions.put(_rebound(tx.sessions.get(session), fresh))
            others = tx.sessions.open(who)
            for other in others:
                if _gave_way(other, fresh):
                    tx.sessions.update(other.id, ended_at=now, wake=None)
        return sessions.readers(
            other
            for other in others
            if not sessions.same_reader(fresh, other) and sessions.lives(other, now=now)
        )

    def leave(self, session: str) -> None:
        """A session has ended; nothing where there is none."""
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            tx.sessions.update(session, ended_at=now, seen_at=now, busy=False, wake=None)

    def sessions(self, agent: str | None = None) -> list[Session]:
        """The live sessions, of one agent or all, oldest first."""
        now = self._clock.now()
        with self.store.read() as tx:
            rows = tx.sessions.open(agent)
        from spool import sessions

        return [row for row in rows if sessions.lives(row, now=now)]

    def session(self, id: str) -> Session | None:
        """A session, ended or not."""
        with self.store.read() as tx:
            return tx.sessions.get(id)

    def session_of_pid(self, pid: int) -> Session | None:
        """The newest live session of a process."""
        now = self._clock.now()
        with self.store.read() as tx:
            rows = tx.sessions.of_pid(pid)
        from spool import sessions

        return next((row for row in rows if sessions.lives(row, now=now)), None)

    def news(
        self,
        session: str,
        *,
        ways: Collection[How] = TOLD,
        urgent_only: bool = False,
        limit: int = 100,
    ) -> list[Incoming]:
        """Unread mail of its agent that this session was not told of, the most urgent oldest first.

        Args:
            ways: which ways of telling count.
            urgent_only: P0 and P1 only.

        Raises:
            NotFound: no such session.
        """
        from spool.store.glance import URGENT

        with self.store.read() as tx:
            found = _known(tx.sessions.get(session), session)
            return tx.sessions.news(found, ways=ways, priority=URGENT if urgent_only else 3, limit=limit)

    def count_news(self, session: str, *, ways: Collection[How] = TOLD, urgent_only: bool = False) -> int:
        """How much of that there is in all. Raises NotFound."""
        from spool.store.glance import URGENT

        with self.store.read() as tx:
            found = _known(tx.sessions.get(session), session)
            return tx.sessions.count_news(found, ways=ways, priority=URGENT if urgent_only else 3)

    def announce(self, session: str, rows: Sequence[Incoming], how: How) -> None:
        """This session was told of these: to be called once what tells it was flushed, not before.

        A crash in between tells it once more. They stay unread.
        """
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            tx.sessions.announce(session, [row.seq for row in rows], how, now=now)
            tx.sessions.update(session, told_at=now, seen_at=now)

    def hear(self, session: Session) -> None:
        """What this session was woken with last has come through: it was told of that mail."""
        if session.woken_at is None:
            return
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            tx.sessions.hear(session.id, woken_at=session.woken_at, now=now)

    def newest(self) -> int:
        """The sequence of the newest message that is here; any that comes later has a higher one."""
        with self.store.read() as tx:
            return tx.inbox.newest()

    def announce_up_to(self, session: str, seq: int) -> None:
        """This session was told how much unread mail there is, up to this sequence; when as `announce`."""
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            if (found := tx.sessions.get(session)) is not None:
                tx.sessions.announce_up_to(found, seq, now=now)

    def forget_told(self, session: str) -> None:
        """This session was told of nothing: its context is new. What it once went on for stays known."""
        with self.store.write(sync=False) as tx:
            tx.sessions.forget_told(session)

    def note_prompt(self, session: str) -> None:
        """A person wrote to this session, which is busy from here on."""
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            tx.sessions.update(session, prompted_at=now, seen_at=now, busy=True)

    def note_busy(self, session: str, busy: bool) -> None:
        """This session works, or waits for its person."""
        now = self._clock.now()
        with self.store.write(sync=False) as tx:
            tx.sessions.update(session, busy=busy, seen_at=now)

    def note_seen(self, session: Session) -> None:
        """This session is there; written once a minute at the most."""
        from spool.store.glance import SEEN_EVERY_S

        now = self._clock.now()
        if abs(now - session.seen_at) >= SEEN_EVERY_S:
            with self.store.write(sync=False) as tx:
                tx.sessions.update(session.id, seen_at=now)


def _rebound(old: Session | None, fresh: Session) -> Session:
    """What stays of a session that is bound again: since when, and what is known of its process."""
    from spool import sessions

    if old is None or old.ended_at is not None or old.agent != fresh.agent:
        return fresh
    return Session(
        **{
            **{name: getattr(old, name) for name in Session.__struct_fields__},
            "client": fresh.client or old.client,
            "pid": fresh.pid,
            "born": fresh.born,
            # A process that ended in the middle of its work has not said so.
            "busy": old.busy and sessions.same_process(old, fresh),
            "cwd": fresh.cwd or old.cwd,
            "seen_at": fresh.seen_at,
            "wake": fresh.wake or (old.wake if sessions.same_process(old, fresh) else None),
        }
    )


def _gave_way(other: Session, fresh: Session) -> bool:
    from spool import sessions

    return other.id != fresh.id and other.client == fresh.client and sessions.same_process(other, fresh)


def _known(found: Session | None, id: str) -> Session:
    if found is None:
        raise NotFound(f"no session {id}", hint="a session begins with `spool hook session-start`", id=id)
    return found

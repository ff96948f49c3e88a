"""Reading: an agent's mail, shown, leased, and acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spool import doorbell
from spool.errors import BadInput, NotFound
from spool.looking import message_of
from spool.sending import Sending
from spool.store.base import Incoming

if TYPE_CHECKING:
    from spool.delivery import Delivery

GONE: Final = "a file is kept as long as its message is not archived; ask its sender for it again"


class Reading(Sending):
    """The part of Spool that reads; it can answer, so it can send."""

    def inbox(
        self,
        *,
        agent: str | None = None,
        unread_only: bool = False,
        sender: str | None = None,
        re: str | None = None,
        thread: str | None = None,
        since: float | None = None,
        priority: str | None = None,
        limit: int = 20,
    ) -> list[Incoming]:
        """What is not done for this agent: overdue first, then urgent, then oldest. Changes nothing.

        Args:
            since: seconds since the epoch. priority: this one or more urgent.
        """
        who = self.agent(agent)
        if priority not in (None, "P0", "P1", "P2", "P3"):
            raise BadInput(f"priority: {priority!r} is none of P0, P1, P2, P3")
        with self.store.read() as tx:
            return tx.inbox.open(
                who,
                unread_only=unread_only,
                sender=sender,
                re=re,
                thread=thread,
                since=since,
                priority=None if priority is None else int(priority[1]),
                limit=limit,
            )

    def read(self, rows: Sequence[Incoming]) -> None:
        """These were shown whole to their agent: mark them read and tell their senders."""
        # What is archived is done; its seq may be another row's by now.
        live = [row for row in rows if not row.archived]
        if not live:
            return
        from spool import inbox

        if inbox.mark_read(self.store, self.config.host.name, live, now=self._clock.now()):
            doorbell.ring(self.home / "run")

    def receive(
        self, *, agent: str | None = None, timeout: float = 0.0, limit: int | None = None
    ) -> Iterator[Delivery]:
        """Lease one message after the other, most urgent first; each is marked read.

        Two readers never hold the same message. Use each in a `with` block: at its end it is
        done, on an exception it is given back, after five times it is rejected.

        Args:
            timeout: seconds to wait for the next one where there is none.
            limit: how many at most.
        """
        from spool.delivery import Delivery

        who = self.agent(agent)
        given = 0
        with doorbell.Bell(self.home / "run") as bell:
            while limit is None or given < limit:
                row = self._take(who, bell, timeout)
                if row is None:
                    return
                given += 1
                yield Delivery(self, row)

    def _take(self, agent: str, bell: doorbell.Bell, timeout: float) -> Incoming | None:
        from spool import inbox

        deadline = self._clock.monotonic() + timeout
        while True:
            row, rang = inbox.take(self.store, self.config.host.name, agent, now=self._clock.now())
            if rang:
                doorbell.ring(self.home / "run")
            left = deadline - self._clock.monotonic()
            if row is not None or left <= 0:
                return row
            bell.wait(min(left, 1.0))

    def done(
        self,
        ids: Iterable[str],
        *,
        outcome: str = "done",
        note: str | None = None,
        agent: str | None = None,
    ) -> list[str]:
        """Acknowledge messages, all in one commit; one that is done stays as it was. Their ids.

        Args:
            outcome: done or rejected.

        Raises:
            NotFound: no such message for this agent; nothing was acknowledged.
        """
        if outcome not in ("done", "rejected"):
            raise BadInput(f"outcome: {outcome!r} is neither done nor rejected")
        rows = [self.received(id, agent=agent) for id in ids]
        self._done(rows, outcome=outcome, note=note)
        return [row.id for row in rows]

    def _done(self, rows: Sequence[Incoming], *, outcome: str, note: str | None) -> None:
        from spool import inbox

        now = self._clock.now()
        with self.store.write(sync=True) as tx:
            for row in rows:
                # What is archived is done; its seq may be another row's by now.
                if not row.archived:
                    inbox.finish(tx, self.config.host.name, row, now=now, outcome=outcome, note=note)
        doorbell.ring(self.home / "run")

    def _finish(self, row: Incoming, *, outcome: str, note: str | None, lease: int) -> None:
        from spool import inbox

        now = self._clock.now()
        with self.store.write(sync=True) as tx:
            found = inbox.finish(
                tx, self.config.host.name, row, now=now, outcome=outcome, note=note, lease=lease
            )
        if found is None and not self._is_done(row):
            raise BadInput(f"{row.id}: its lease ran out and another reader has it", id=row.id)
        doorbell.ring(self.home / "run")

    def _paths(self, row: Incoming) -> list[Path]:
        from spool.folder import Folder

        folder = Folder(self.home)
        files = message_of(row).attachments
        for file in files:
            if not folder.has(file):
                raise NotFound(f"{file.name!r} of {row.id} is not on this host", hint=GONE, id=row.id)
        return [folder.path(file.sha256) for file in files]

    def _is_done(self, row: Incoming) -> bool:
        with self.store.read() as tx:
            fresh = tx.inbox.exact(row.id, row.sender)
        return fresh is not None and fresh.state == "done"

    def _give_back(self, row: Incoming) -> None:
        with self.store.write(sync=False) as tx:
            tx.inbox.give_back(row.seq, row.lease)
        doorbell.ring(self.home / "run")

    def _renew(self, row: Incoming, lease_s: float) -> bool:
        with self.store.write(sync=False) as tx:
            return tx.inbox.renew(row.seq, row.lease, until=self._clock.now() + lease_s)

"""History: what was said here, searched, listed, and handed out whole; and moving it to the archive."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from spool.errors import NotFound
from spool.looking import Looking
from spool.store.base import Asked, Event, Incoming, Outgoing, Side, Tx, written_at

_PAGE: Final = 200


class Record(NamedTuple):
    """An archived message with what happened to it besides its milestones."""

    row: Outgoing | Incoming
    told: list[Event]


class History(Looking):
    """The part of Spool for what is past."""

    def search(
        self,
        words: str,
        *,
        sender: str | None = None,
        recipient: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 20,
    ) -> list[Outgoing | Incoming]:
        """Messages that have all the words, live or archived, sent or received, the newest first.

        Looked for in subject, body, type, the agents' names, the texts of `context` and of fields
        that spool does not know. Case and accents do not count.

        Args:
            words: plain words; `"a phrase"` in quotes; `begin*` for words that begin so.
            recipient: with its host or without.
            since, until: when it was queued or came, in seconds since the epoch.

        Raises:
            BadInput: no word, too many, or too short a beginning.
        """
        from spool import terms

        asked = Asked(terms.parse(words), sender, recipient, since, until)
        with self.store.read() as tx:
            return _once(tx.history.search(asked, limit=2 * limit))[:limit]

    def archived(
        self,
        *,
        sender: str | None = None,
        recipient: str | None = None,
        since: float | None = None,
        limit: int = 20,
    ) -> list[Outgoing | Incoming]:
        """The newest of the archive, sent and received alike; both sides of what stayed here."""
        asked = Asked(sender=sender, recipient=recipient, since=since)
        with self.store.read() as tx:
            return tx.history.archived(asked, limit=limit)

    def thread(self, id: str, *, agent: str | None = None, limit: int = 50) -> list[Outgoing | Incoming]:
        """The newest messages of a thread that this agent sent or was sent, the oldest of them first.

        Args:
            id: the thread's, or that of any message in it.

        Raises:
            NotFound: there is none; AmbiguousId: a short id fits several.
        """
        who = self.agent(agent)
        with contextlib.suppress(NotFound):
            sent, received = self.find(id)
            row = received or sent
            assert row is not None
            id = row.thread or row.id
        with self.store.read() as tx:
            rows = _once(tx.history.thread(id, agent=who, limit=2 * limit))[:limit]
        if not rows:
            raise NotFound(f"no thread {id[:80]} of {who}", hint="give the id of a message in it", id=id)
        return rows[::-1]

    def records(self, *, since: float | None = None, until: float | None = None) -> Iterator[Record]:
        """Every archived message once, the oldest first, a page in memory at a time.

        What goes to the archive meanwhile may be missed.
        """
        import heapq

        asked = Asked(since=since, until=until)
        sides = [self._side(side, asked) for side in ("outbox", "inbox")]
        return heapq.merge(*sides, key=lambda record: written_at(record.row))

    def _side(self, side: Side, asked: Asked) -> Iterator[Record]:
        after = 0
        while True:
            # No look is held while the reader is waited for.
            with self.store.read() as tx:
                rows = tx.history.page(side, asked, after=after, limit=_PAGE)
                page = [
                    Record(row, tx.ledger.events(row.id, row.sender))
                    for row in rows
                    if not _sent_too(tx, row)
                ]
            if not rows:
                return
            after = rows[-1].seq
            yield from page

    def archive(
        self, *, older_than_s: float | None = None, tell: Callable[[int], object] = lambda moved: None
    ) -> int:
        """Move what ended long enough ago to the archive now; how many rows moved.

        Args:
            tell: called now and then with how many have moved so far.
        """
        from spool import attachments, sweep

        now = self._clock.now()
        moved = sweep.archive(self.store, self.config.host, now=now, older_than_s=older_than_s, tell=tell)
        attachments.forget(self.store, self.home, now=now)
        return moved


def _once(rows: list[Outgoing | Incoming]) -> list[Outgoing | Incoming]:
    """A message between two agents of this host is one: as it was sent."""
    sent = {(row.id, row.sender) for row in rows if isinstance(row, Outgoing)}
    return [row for row in rows if isinstance(row, Outgoing) or (row.id, row.sender) not in sent]


def _sent_too(tx: Tx, row: Outgoing | Incoming) -> bool:
    """Whether it came from an agent of this host: its other side tells the whole."""
    if isinstance(row, Outgoing) or row.peer is not None:
        return False
    return tx.outbox.exact(row.id, row.sender) is not None

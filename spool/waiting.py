"""Waiting: for an answer, for a state, for mail; woken by the doorbell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from spool import doorbell
from spool.errors import BadInput, WaitTimedOut
from spool.looking import message_of
from spool.message import Message
from spool.reading import Reading
from spool.states import ORDER, State
from spool.store.base import Incoming, Outgoing

ANSWER_FOLLOWS_S: Final = 2.0
FOLLOW_S: Final = 2.0
FOLLOWED: Final = 100


class Waiting(Reading):
    """The part of Spool that waits."""

    def request(self, to: str, *, timeout: float = 100.0, agent: str | None = None, **fields: Any) -> Message:
        """Send a question and wait for its answer, which is done when this returns.

        Args:
            timeout: seconds.
            fields: as `send`.

        Raises:
            WaitTimedOut: no answer in time; the question stays on its way, its id in `.id`.
        """
        who = self.agent(agent)
        id = self.send(to, agent=who, requires_response=True, **fields)
        answer = self.wait_for_answer(id, agent=who, timeout=timeout)
        self._done([answer], outcome="done", note=None)
        return message_of(answer)

    def wait_for_answer(self, id: str, *, agent: str | None = None, timeout: float) -> Incoming:
        """Wait for a message that answers `id`; it stays unread.

        Raises:
            WaitTimedOut: none in time.
            BadInput: the message is dead, and why.
        """
        row = self.sent(id)
        who = agent or row.sender
        for _ in self._looks(timeout):
            with self.store.read() as tx:
                answers = tx.inbox.answers(row.id, who)
                fresh = tx.outbox.exact(row.id, row.sender)
            if answers:
                return answers[-1]
            if fresh is not None and fresh.state is State.DEAD:
                raise BadInput(f"{row.id} is dead: {fresh.reason}", id=row.id)
        raise WaitTimedOut(f"no answer to {row.id} within {timeout:g} s", id=row.id)

    def wait_for_end(self, id: str, *, agent: str | None = None, timeout: float) -> Incoming | Outgoing:
        """Wait for an answer to `id`, or until it is done; the answer, which stays unread, else the row.

        The word that it is done often comes just before the answer that made it so.

        Raises:
            WaitTimedOut: neither in time.
            BadInput: the message is dead, and why.
        """
        row = self.sent(id)
        who = agent or row.sender
        for _ in self._looks(timeout):
            with self.store.read() as tx:
                answers = tx.inbox.answers(row.id, who)
                fresh = tx.outbox.exact(row.id, row.sender)
            if answers:
                return answers[-1]
            if fresh is not None and fresh.state is State.DEAD:
                raise BadInput(f"{row.id} is dead: {fresh.reason}", id=row.id)
            if fresh is not None and fresh.state is State.DONE:
                row = fresh
                if self._clock.now() - (fresh.done_at or 0.0) > ANSWER_FOLLOWS_S:
                    break
        if row.state is State.DONE:
            return row
        raise WaitTimedOut(f"no answer to {row.id} within {timeout:g} s", id=row.id)

    def wait_for_state(
        self, id: str, state: State, *, timeout: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Outgoing:
        """Wait until a message has got as far as `state`, or further.

        Args:
            meanwhile: called at each look, once a second at least.

        Raises:
            WaitTimedOut: not in time.
            BadInput: the message is dead, and why.
        """
        row = self.sent(id)
        for _ in self._looks(timeout):
            row = self.sent(row.id)
            if row.state is State.DEAD:
                raise BadInput(f"{row.id} is dead: {row.reason}", id=row.id)
            if ORDER[row.state] >= ORDER[state]:
                return row
            meanwhile()
        raise WaitTimedOut(f"{row.id} is {row.state} after {timeout:g} s, not {state}", id=row.id)

    def wait_for_mail(
        self,
        *,
        agent: str | None = None,
        sender: str | None = None,
        thread: str | None = None,
        timeout: float,
    ) -> list[Incoming]:
        """Wait until there is unread mail for this agent; it stays unread. Raises WaitTimedOut."""
        for _ in self._looks(timeout):
            if rows := self.inbox(agent=agent, unread_only=True, sender=sender, thread=thread, limit=1000):
                return rows
        whose = f" from {sender}" if sender is not None else ""
        raise WaitTimedOut(f"no unread mail{whose} for {self.agent(agent)} within {timeout:g} s")

    def follow(
        self, *, agent: str | None = None, beyond: int, goes_on: Callable[[], bool]
    ) -> Iterator[Incoming]:
        """Unread mail with a higher sequence than `beyond`, each message once, as it comes; marks nothing.

        Args:
            goes_on: asked every two seconds at least; it ends where that is false.
        """
        who = self.agent(agent)
        with doorbell.Bell(self.home / "run") as bell:
            while goes_on():
                with self.store.read() as tx:
                    rows = tx.inbox.unread_beyond(beyond, who, limit=FOLLOWED)
                for row in rows:
                    beyond = row.seq
                    yield row
                if not rows:
                    bell.wait(FOLLOW_S)

    def _looks(self, timeout: float) -> Iterator[None]:
        """Once now, then at each ring and once a second, until the time is up."""
        deadline = self._clock.monotonic() + timeout
        with doorbell.Bell(self.home / "run") as bell:
            yield
            while (left := deadline - self._clock.monotonic()) > 0:
                bell.wait(min(left, 1.0))
                yield

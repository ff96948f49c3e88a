"""The Python API: class Spool, what an agent and every door of spool talk to."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar

import uuid_utils

from spool import config as configs
from spool import doorbell, inbox, outbox, presence, sweep
from spool import home as homes
from spool.clock import Clock
from spool.config import Config
from spool.delivery import Delivery
from spool.errors import (
    AmbiguousId,
    BadInput,
    BadMessage,
    IdTaken,
    NoAgent,
    NoRoute,
    NotFound,
    StoreFull,
    WaitTimedOut,
)
from spool.message import ID, Message, format_time, load, seal
from spool.router import Route, Router
from spool.states import ORDER, State
from spool.store.base import Event, Exists, Incoming, Outgoing, PeerRow, Quarantined, Tx
from spool.store.sqlite import SqliteStore

SYSTEM: Final = Clock(time.time, time.monotonic)
SHORTEST_PREFIX: Final = 6
ANSWER_FOLLOWS_S: Final = 2.0
CITATION: Final = "if://conversation/"


class Posted(NamedTuple):
    """A message that was taken: its id, its state now, and the next hop ("" for this host)."""

    id: str
    state: State
    to: str
    peer: str


class Spool:
    """A host's spool, for an agent.

    >>> spool = Spool(home)                               # or Spool(): $SPOOL_HOME, ~/.spool
    >>> id = spool.send("builder", subject="Tests", body="Please run them.", agent="reviewer")
    >>> for message in spool.receive(agent="builder"):
    ...     with message:                                 # done at the end of the block
    ...         print(message.sender, message.subject)
    reviewer Tests
    >>> spool.state(id)
    <State.DONE: 'done'>

    Args:
        home: the spool home; `$SPOOL_HOME`, else `~/.spool`.
        agent: who sends and reads; `$SPOOL_AGENT`, else the only one in the config.
        clock: for tests.

    Raises:
        NotInitialised: no home there.
        BadConfig: its spool.toml is wrong.
        StoreError: its database cannot be used.
    """

    def __init__(
        self, home: str | Path | None = None, *, agent: str | None = None, clock: Clock = SYSTEM
    ) -> None:
        self.home = Path(home).expanduser().absolute() if home else homes.default()
        self.config: Config = configs.load(self.home)
        self.store = SqliteStore(self.home)
        self._agent = agent
        self._clock = clock
        self._router_made: Router | None = None

    def close(self) -> None:
        """Close the store, as often as one likes."""
        self.store.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    # -- who ----------------------------------------------------------------------------------

    def agent(self, given: str | None = None) -> str:
        """The agent to act as: the given, else this Spool's, `$SPOOL_AGENT`, the only one here.

        Raises:
            NoAgent: several and none chosen, none at all, or one that does not read here.
        """
        named = given or self._agent or os.environ.get("SPOOL_AGENT")
        here = self.config.host.agents
        if named is not None:
            if not self._router().is_local(named):
                raise NoAgent(
                    f"{named!r} is not an agent of this host ({', '.join(here) or 'it has none'})",
                    hint=f"`spool agent add {named}` makes it one",
                )
            return named
        exact = [name for name in here if "*" not in name]
        if len(exact) == 1 and len(here) == 1:
            return exact[0]
        if not here:
            raise NoAgent("no agent reads on this host", hint="`spool agent add NAME` adds one")
        raise NoAgent(
            f"several agents here ({', '.join(here)}) and none chosen",
            hint="give --agent NAME, or set SPOOL_AGENT",
        )

    # -- sending ------------------------------------------------------------------------------

    def send(
        self,
        to: str,
        *,
        subject: str | None = None,
        body: str | None = None,
        priority: str | None = None,
        type: str | None = None,
        context: Mapping[str, Any] | None = None,
        requires_response: bool | None = None,
        deadline: str | dt.datetime | None = None,
        expires: str | dt.datetime | None = None,
        re: str | None = None,
        thread: str | None = None,
        id: str | None = None,
        agent: str | None = None,
        extra: Mapping[str, Any] | None = None,
        allow_secrets: bool = False,
    ) -> str:
        """Queue one message and return its id. When this returns it is on the disk, and ours.

        The same call again with the same `id` returns the id and sends nothing: a caller that
        does not know whether `send` returned retries with an id of its own.

        Args:
            to: `agent` or `agent@host`.
            priority: P0 (first) to P3; P2 where not given.
            deadline, expires: RFC 3339 text, or a datetime with a time zone.
            extra: fields of the sender's own; they travel unchanged.

        Raises:
            BadMessage, TooLarge, SecretFound: the message breaks a rule; nothing was stored.
            NoRoute: nobody has this address; near names are in the message.
            IdTaken: `id` exists with other content.
            StoreFull: the disk is full or nearly; nothing was stored.
        """
        given = {
            **(extra or {}),
            "id": id,
            "to": to,
            "subject": subject,
            "body": body,
            "priority": priority,
            "type": type,
            "context": context,
            "requires_response": requires_response,
            "deadline": _rfc3339(deadline),
            "expires": _rfc3339(expires),
            "re": re,
            "thread": thread,
        }
        draft = {name: value for name, value in given.items() if value is not None}
        return self.post([draft], agent=agent, allow_secrets=allow_secrets)[0].id

    def send_many(
        self, messages: Iterable[Mapping[str, Any] | bytes], *, agent: str | None = None
    ) -> list[str]:
        """Queue many messages in one commit, all or none; their ids, in order.

        Args:
            messages: JSON names and values (`to`, `subject`, …), or JSON text.

        Raises:
            as `send`; nothing was stored.
        """
        return [posted.id for posted in self.post(messages, agent=agent)]

    def post(
        self,
        messages: Iterable[Mapping[str, Any] | bytes],
        *,
        agent: str | None = None,
        allow_secrets: bool = False,
    ) -> list[Posted]:
        """As `send_many`, and says of each its state and its next hop."""
        now = self._clock.now()
        routed: list[tuple[Message, bool, Route]] = []
        # One by one, so that who gives the messages knows at which one it failed.
        for each in messages:
            message, own_id = self._seal(each, agent, now, allow_secrets)
            routed.append((message, own_id, self._resolve(message.to)))
        self._refuse_low_space()
        with self.store.write(sync=True) as tx:
            posted = [self._put(tx, message, given, route, now) for message, given, route in routed]
            rung = [tx.ledger.ring(peer) for peer in {route.peer for _, _, route in routed if route.peer}]
            # At commit the messages are ours.
        if any(rung) or any(not route.peer for _, _, route in routed):
            doorbell.ring(self.home / "run")
        return posted

    def _seal(
        self, given: Mapping[str, Any] | bytes, agent: str | None, now: float, allow_secrets: bool
    ) -> tuple[Message, bool]:
        speaker = agent
        if not isinstance(given, bytes) and "from" in given:
            speaker = given["from"]
        if isinstance(given, bytes):
            # Whom the text names counts, where it names somebody.
            speaker = None
        message = seal(
            given,
            id=f"msg-{uuid_utils.uuid7()}",
            timestamp=format_time(now),
            sender=self._default_sender(speaker, given),
            max_bytes=self.config.host.max_message_bytes,
            allow_secrets=allow_secrets,
        )
        if not self._router().is_local(message.sender):
            raise NoAgent(
                f"from: {message.sender!r} is not an agent of this host",
                hint=f"`spool agent add {message.sender}` makes it one",
            )
        return message, "id" not in message.filled

    def _default_sender(self, speaker: str | None, given: Mapping[str, Any] | bytes) -> str | None:
        try:
            return self.agent(speaker)
        except NoAgent:
            if isinstance(given, bytes):
                return None
            raise

    def _put(self, tx: Tx, message: Message, own_id: bool, route: Route, now: float) -> Posted:
        if own_id and (again := self._sent_before(tx, message)) is not None:
            return again
        row = outbox.row_of(
            message, peer=route.peer, origin=None, now=now, lifetime_s=self.config.host.lifetime_s
        )
        try:
            if route.peer == "":
                tx.outbox.put_local(row, at=now, host=self.config.host.name)
                tx.inbox.put(inbox.row_of(message, agent=route.agent, peer=None, now=now))
                if message.re is not None:
                    tx.outbox.answered(message.re, route.agent)
            else:
                tx.outbox.put(row)
        except Exists as exc:
            raise IdTaken(f"id: {message.id} is taken by another message", id=message.id) from exc
        if message.re is not None:
            tx.inbox.answered(message.re, message.sender)
        state = State.RECEIVED if route.peer == "" else State.QUEUED
        return Posted(message.id, state, message.to, route.peer)

    def _sent_before(self, tx: Tx, message: Message) -> Posted | None:
        if (before := tx.outbox.exact(message.id, message.sender)) is None:
            return None
        if before.digest != message.digest:
            raise IdTaken(
                f"id: {message.id} was sent before with other content (to {before.recipient},"
                f" {format_time(before.queued_at)})",
                id=message.id,
            )
        return Posted(before.id, before.state, before.recipient, before.peer)

    def reply(
        self,
        id: str,
        body: str | None = None,
        *,
        subject: str | None = None,
        keep_open: bool = False,
        agent: str | None = None,
        allow_secrets: bool = False,
        **fields: Any,
    ) -> str:
        """Answer a message in its thread and return the answer's id; what is answered is done.

        It goes to the host the message came from. With `keep_open` the message stays open.

        Raises:
            NotFound: no such message for this agent; and as `send`.
        """
        return self.post_reply(
            id,
            body,
            subject=subject,
            keep_open=keep_open,
            agent=agent,
            allow_secrets=allow_secrets,
            **fields,
        ).id

    def post_reply(
        self,
        id: str,
        body: str | None = None,
        *,
        subject: str | None = None,
        keep_open: bool = False,
        agent: str | None = None,
        extra: Mapping[str, Any] | None = None,
        allow_secrets: bool = False,
        **fields: Any,
    ) -> Posted:
        """As `reply`, and says of the answer its state and its next hop."""
        now = self._clock.now()
        row = self.received(id, agent=agent)
        asked = _message_of(row)
        given = {
            **(extra or {}),
            **fields,
            "from": row.agent,
            "to": row.sender,
            "re": row.id,
            "thread": row.thread or row.id,
            "subject": subject
            or (asked.subject if asked.subject.startswith("Re: ") else f"Re: {asked.subject}"),
            "body": body,
        }
        message, own_id = self._seal(given, row.agent, now, allow_secrets)
        # Whatever the name resolves to here: an answer goes back where the question came from.
        route = Route(row.peer, row.sender) if row.peer is not None else self._resolve(message.to)
        self._refuse_low_space()
        with self.store.write(sync=True) as tx:
            posted = self._put(tx, message, own_id, route, now)
            if not keep_open and not row.archived:
                inbox.finish(tx, self.config.host.name, row, now=now, outcome="done", note=None)
            if route.peer:
                tx.ledger.ring(route.peer)
        doorbell.ring(self.home / "run")
        return posted

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
        self.done([answer.id], agent=who)
        return _message_of(answer)

    def cancel(self, id: str) -> str:
        """Take back what is still queued; its id.

        Raises:
            NotFound: no such message.
            BadInput: it is on its way or further.
        """
        now = self._clock.now()
        row = self.sent(id)
        with self.store.write(sync=True) as tx:
            fresh = tx.outbox.exact(row.id, row.sender)
            if fresh is None or fresh.state is not State.QUEUED or fresh.origin is not None:
                raise BadInput(f"{row.id} is {row.state}, it cannot be taken back", id=row.id)
            if now < fresh.lease_until <= now + 3600:
                raise BadInput(
                    f"{row.id} is being delivered just now", hint="look again in a moment", id=row.id
                )
            outbox.bury(tx, fresh, self.config.host.name, now=now, reason="cancelled", what="cancelled")
        return row.id

    # -- reading ------------------------------------------------------------------------------

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
        if live and inbox.mark_read(self.store, self.config.host.name, live, now=self._clock.now()):
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
        with self.store.write(sync=True) as tx:
            for row in rows:
                if row.archived:
                    continue
                inbox.finish(
                    tx, self.config.host.name, row, now=self._clock.now(), outcome=outcome, note=note
                )
        doorbell.ring(self.home / "run")
        return [row.id for row in rows]

    def _finish(self, row: Incoming, *, outcome: str, note: str | None, lease: int) -> None:
        now = self._clock.now()
        with self.store.write(sync=True) as tx:
            found = inbox.finish(
                tx, self.config.host.name, row, now=now, outcome=outcome, note=note, lease=lease
            )
        if found is None and not self._is_done(row):
            raise BadInput(f"{row.id}: its lease ran out and another reader has it", id=row.id)
        doorbell.ring(self.home / "run")

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

    # -- waiting ------------------------------------------------------------------------------

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

    def wait_for_state(self, id: str, state: State, *, timeout: float) -> Outgoing:
        """Wait until a message has got as far as `state`, or further.

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
        raise WaitTimedOut(f"{row.id} is {row.state} after {timeout:g} s, not {state}", id=row.id)

    def wait_for_mail(
        self, *, agent: str | None = None, sender: str | None = None, timeout: float
    ) -> list[Incoming]:
        """Wait until there is unread mail for this agent; it stays unread. Raises WaitTimedOut."""
        for _ in self._looks(timeout):
            if rows := self.inbox(agent=agent, unread_only=True, sender=sender, limit=1000):
                return rows
        raise WaitTimedOut(f"no unread mail for {self.agent(agent)} within {timeout:g} s")

    def _looks(self, timeout: float) -> Iterator[None]:
        """Once now, then at each ring and once a second, until the time is up."""
        deadline = self._clock.monotonic() + timeout
        with doorbell.Bell(self.home / "run") as bell:
            yield
            while (left := deadline - self._clock.monotonic()) > 0:
                bell.wait(min(left, 1.0))
                yield

    # -- looking ------------------------------------------------------------------------------

    def sent(self, id: str) -> Outgoing:
        """A message that goes out from here, live or archived. Raises NotFound, AmbiguousId."""
        prefix = _plain_id(id)
        with self.store.read() as tx:
            rows = tx.outbox.find(prefix)
        return _only(rows, prefix, "sent from here")

    def received(self, id: str, *, agent: str | None = None) -> Incoming:
        """A message for this agent, live or archived. Raises NotFound, AmbiguousId, NoAgent."""
        who = self.agent(agent)
        prefix = _plain_id(id)
        with self.store.read() as tx:
            rows = tx.inbox.find(prefix, agent=who)
        return _only(rows, prefix, f"for {who}")

    def find(self, id: str) -> tuple[Outgoing | None, Incoming | None]:
        """Both sides of a message as this host has them. Raises NotFound, AmbiguousId."""
        prefix = _plain_id(id)
        with self.store.read() as tx:
            out, inn = tx.outbox.find(prefix), tx.inbox.find(prefix)
        every: list[Outgoing | Incoming] = [*out, *inn]
        one = _only(every, prefix, "on this host")
        return (
            next((row for row in out if (row.id, row.sender) == (one.id, one.sender)), None),
            next((row for row in inn if (row.id, row.sender) == (one.id, one.sender)), None),
        )

    def state(self, id: str) -> State:
        """How far a message got that was sent from here."""
        return self.sent(id).state

    def unread(self, *, agent: str | None = None) -> int:
        """How many messages are unread for this agent."""
        who = self.agent(agent)
        with self.store.read() as tx:
            return tx.inbox.unread(who)

    def outbox(self, *, limit: int = 100) -> list[Outgoing]:
        """What is on its way from here: not yet done, not dead; most urgent first."""
        with self.store.read() as tx:
            return tx.outbox.pending(
                limit=limit, states=(State.QUEUED, State.SENT, State.RECEIVED, State.READ)
            )

    def peer_row(self, name: str) -> PeerRow:
        """What is known of a peer. Raises UnknownPeer."""
        self.config.peer(name)
        with self.store.read() as tx:
            return tx.peers.get(name)

    def outlook(self, peer: str) -> tuple[str, list[str]]:
        """Who carries mail to a peer now, and what its sender should know; from facts on disk.

        Returns:
            `consumer`, `link`, `local` or `none`, and warnings, one line each.
        """
        if peer == "":
            return "local", []
        row = self.peer_row(peer)
        run = self.home / "run"
        linked = row.state == "linked" and row.holder is not None and presence.lives(run, row.holder)
        warnings: list[str] = []
        if row.state == "stopped":
            warnings.append(f"peer {peer} is stopped ({row.error}): `spool peer resume {peer}`")
        consumer = bool(presence.living(run, "consumer"))
        dials_us = not self.config.peer(peer).url
        if not linked and not consumer and not dials_us:
            warnings.append("no consumer runs here: `spool up --detach` starts one")
        if not linked and row.state != "stopped":
            warnings.append(_last_reached(peer, row.last_contact, self._clock.now(), dials_us))
        return ("link" if linked else "consumer" if consumer else "none"), warnings

    # -- the dead -----------------------------------------------------------------------------

    def dead(self, *, limit: int = 100) -> list[Outgoing]:
        """Messages that will not be tried again."""
        with self.store.read() as tx:
            return tx.outbox.pending(limit=limit, states=(State.DEAD,))

    def retry_dead(self, id: str) -> str:
        """Queue a dead message again, with a new lifetime; its id."""
        now = self._clock.now()
        row = self.sent(id)
        with self.store.write(sync=True) as tx:
            if row.archived or not tx.outbox.revive(
                row.seq, now=now, expires_at=now + self.config.host.lifetime_s
            ):
                _refuse_archived(row)
                raise BadInput(f"{row.id} is {row.state}, not dead", id=row.id)
            tx.ledger.event(_revived(row, now, self.config.host.name))
            if row.peer:
                tx.ledger.ring(row.peer)
        doorbell.ring(self.home / "run")
        return row.id

    def drop_dead(self, id: str) -> str:
        """Remove a dead message for good; its id."""
        row = self.sent(id)
        with self.store.write(sync=True) as tx:
            if row.archived or not tx.outbox.drop(row.seq):
                _refuse_archived(row)
                raise BadInput(f"{row.id} is {row.state}, not dead", id=row.id)
        return row.id

    def quarantined(self, n: int | None = None) -> list[Quarantined]:
        """What could not be read or trusted, oldest first, or one of it. Raises NotFound."""
        with self.store.read() as tx:
            found = tx.ledger.quarantined(n)
        if n is not None and not found:
            raise NotFound(f"nothing has number {n} in the quarantine", hint="`spool quarantine list`")
        return found

    def drop_quarantined(self, n: int) -> None:
        """Remove one for good. Raises NotFound."""
        with self.store.write(sync=True) as tx:
            if not tx.ledger.drop_quarantined(n):
                raise NotFound(f"nothing has number {n} in the quarantine", hint="`spool quarantine list`")

    # -- the past, and the peers --------------------------------------------------------------

    def archived(self, *, limit: int = 20) -> list[Outgoing | Incoming]:
        """The newest of what is past; `limit` of what was sent and as many of what came."""
        with self.store.read() as tx:
            return tx.sweepings.archived(limit=limit)

    def archive(self, *, older_than_s: float | None = None) -> int:
        """Move what ended long enough ago to the archive now; how many messages moved."""
        now = self._clock.now()
        return sweep.archive(self.store, self.config.host, now=now, older_than_s=older_than_s)

    def resume_peer(self, name: str) -> bool:
        """Let a peer be dialled again at once; False where its link is up or dialled. Raises UnknownPeer."""
        row = self.peer_row(name)
        held = row.holder is not None and presence.lives(self.home / "run", row.holder)
        if row.state in ("linked", "dialling") and held:
            return False
        with self.store.write(sync=True) as tx:
            tx.peers.update(
                name, state="waiting", failures=0, retry_at=None, error_kind=None, error=None, holder=None
            )
            tx.ledger.ring(name)
        doorbell.ring(self.home / "run")
        return True

    def forget_peer(self, name: str) -> list[str]:
        """Forget a peer that left the config; what waits for it dies with the reason. The ids of that."""
        now = self._clock.now()
        buried: list[str] = []
        with self.store.write(sync=True) as tx:
            for row in tx.outbox.pending(limit=-1, states=(State.QUEUED, State.SENT), peer=name):
                if row.due is not None and outbox.bury(
                    tx, row, self.config.host.name, now=now, reason=f"peer {name} was removed"
                ):
                    buried.append(row.id)
            tx.ledger.rung(name)
            tx.peers.forget(name)
        doorbell.ring(self.home / "run")
        return buried

    # -- inside -------------------------------------------------------------------------------

    def _resolve(self, to: str) -> Route:
        try:
            return self._router().resolve(to)
        except NoRoute:
            # Somebody may have been added since this Spool was made.
            self.config, self._router_made = configs.load(self.home), None
            return self._router().resolve(to)

    def _router(self) -> Router:
        if self._router_made is None:
            with self.store.read() as tx:
                self._router_made = Router(self.config, tx.peers.all())
        return self._router_made

    def _refuse_low_space(self) -> None:
        low = self.config.host.low_water_mb * 1024 * 1024
        if (free := self.store.free_bytes()) < low:
            raise StoreFull(
                f"{free // 1024 // 1024} MB free where {self.home} lies, the low-water mark is"
                f" {self.config.host.low_water_mb} MB; nothing was stored"
            )


def _message_of(row: Incoming | Outgoing) -> Message:
    return load(row.raw, filled=row.filled, digest=row.digest)


def _plain_id(given: str) -> str:
    prefix = given.removeprefix(CITATION)
    if not ID.fullmatch(prefix):
        raise BadMessage("id", f"{given[:80]!r} is not an id")
    return prefix


Row = TypeVar("Row", bound=Outgoing | Incoming)


def _only(rows: Sequence[Row], prefix: str, where: str) -> Row:
    exact = [row for row in rows if row.id == prefix]
    found = exact or ([] if len(prefix) < SHORTEST_PREFIX else list(rows))
    keys = {(row.id, row.sender) for row in found}
    if not keys:
        raise NotFound(
            f"no message {prefix} {where}", hint="`spool inbox` and `spool outbox` list them", id=prefix
        )
    if len(keys) > 1:
        some = ", ".join(sorted(f"{id} (from {sender})" for id, sender in keys)[:4])
        raise AmbiguousId(f"{prefix} fits several messages: {some}", hint="give more of the id", id=prefix)
    return found[0]


def _rfc3339(value: str | dt.datetime | None) -> str | None:
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise BadMessage("deadline", "a datetime without a time zone")
        return value.isoformat()
    return value


def _last_reached(peer: str, at: float | None, now: float, dials_us: bool) -> str:
    how = "it dials us" if dials_us else "it is dialled again and again"
    if at is None:
        return f"peer {peer} was never reached yet; {how}"
    return f"peer {peer} was last reached {ago(now - at)} ago; {how}"


def ago(seconds: float) -> str:
    """A length of time in one word: 40 s, 12 min, 6 h, 3 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit != "min" and seconds >= size):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _refuse_archived(row: Outgoing) -> None:
    if row.archived:
        raise BadInput(
            f"{row.id} is {row.state} and in the archive", hint="send it again as a new message", id=row.id
        )


def _revived(row: Outgoing, now: float, host: str) -> Event:
    return Event(row.id, row.sender, now, host, row.peer, row.state, "retried", row.attempts, "by hand")

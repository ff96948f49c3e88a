"""Sending: messages into the outbox, answers, and what is taken back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spool import doorbell, log, loops, outbox, starting
from spool.errors import BadInput, BadMessage, IdTaken, NoAgent
from spool.looking import Looking, message_of
from spool.message import MAX_ATTACHMENTS, Attachment, Message, format_time, parse_time, seal
from spool.router import Route
from spool.states import State
from spool.store.base import Exists, Hold, Incoming, NewOutgoing, Tx, is_held

if TYPE_CHECKING:
    from spool.attachments import Told


class Posted(NamedTuple):
    """A message that was taken: its id, its state now, the next hop ("" for this host), its files.

    `held` says that nobody carries it until a person has released it: see `spool held`.
    """

    id: str
    state: State
    to: str
    peer: str
    attachments: tuple[Attachment, ...] = ()
    held: bool = False


class Sending(Looking):
    """The part of Spool that sends."""

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
        attach: Sequence[str | Path] = (),
    ) -> str:
        """Queue one message and return its id. When this returns it is on the disk, and ours.

        The same call again with the same `id` returns the id and sends nothing: a caller that
        does not know whether `send` returned retries with an id of its own.

        Args:
            to: `agent` or `agent@host`.
            priority: P0 (first) to P3; P2 where not given.
            deadline, expires: RFC 3339 text, or a datetime with a time zone.
            extra: fields of the sender's own; they travel unchanged.
            attach: files that travel beside the message; copies of them are kept from here on.

        Raises:
            BadInput: a file to attach is none, or changes while it is read.
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
            "deadline": _rfc3339("deadline", deadline),
            "expires": _rfc3339("expires", expires),
            "re": re,
            "thread": thread,
        }
        draft = {name: value for name, value in given.items() if value is not None}
        return self.post([draft], agent=agent, allow_secrets=allow_secrets, attach=attach)[0].id

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
        attach: Sequence[str | Path] = (),
        told: Told | None = None,
    ) -> list[Posted]:
        """As `send_many`, and says of each its state and its next hop.

        Args:
            attach: files for each of the messages.
            told: called with the bytes of a file copied so far and in all.
        """
        now = self._clock.now()
        routed: list[tuple[Message, bool, Route]] = []
        # One by one, so that who gives the messages knows at which one it failed.
        for each in messages:
            message, own_id = self._seal(each, agent, now, allow_secrets)
            route = self._resolve(message.to)
            if attach:
                # Only now that nothing else is wrong with it: copying may take long.
                given = message.as_dict() if isinstance(each, bytes) else each
                whole = self._with_files(given, attach, told, allow_secrets)
                message, own_id = self._seal(whole, agent, now, allow_secrets)
            routed.append((message, own_id, route))
        self._refuse_low_space()
        with self.store.write(sync=True) as tx:
            posted = [self._put(tx, message, given, route, now) for message, given, route in routed]
            rung = [tx.ledger.ring(peer) for peer in {route.peer for _, _, route in routed if route.peer}]
            tx.presence.hear("", {message.sender for message, _, _ in routed}, "message", now=now)
            # At commit the messages are ours.
        if any(rung) or any(not route.peer for _, _, route in routed):
            doorbell.ring(self.home / "run")
        self._start_consumer({route.peer for _, _, route in routed})
        self.log_held(posted)
        return posted

    def log_held(self, posted: Iterable[Posted]) -> None:
        """Say in the log which of these are held. Without a log, as on the command line, to nobody."""
        for each in posted:
            if each.held:
                row = self.sent(each.id)
                keys = outbox.out_keys(row, state=row.state, peer=row.peer or None, thread=row.thread)
                log.warning("message.held", **keys)

    def _seal(
        self, given: Mapping[str, Any] | bytes, agent: str | None, now: float, allow_secrets: bool
    ) -> tuple[Message, bool]:
        message = seal(
            given,
            id=_new_id(),
            timestamp=format_time(now),
            sender=self._default_sender(agent, given),
            max_bytes=self.config.host.max_message_bytes,
            allow_secrets=allow_secrets,
            thread_of=self._thread_of,
        )
        if not self._router().is_local(message.sender):
            raise NoAgent(
                f"from: {message.sender!r} is not an agent of this host",
                hint=f"`spool agent add {message.sender}` makes it one",
            )
        if message.expires is not None and parse_time("expires", message.expires) <= now:
            raise BadMessage("expires", f"{message.expires} has passed", hint="give a time that is to come")
        return message, "id" not in message.filled

    def _thread_of(self, answered: str) -> str | None:
        with self.store.read() as tx:
            return tx.loops.thread_of(answered)

    def _with_files(
        self, given: Mapping[str, Any], attach: Sequence[str | Path], told: Told | None, allow_secrets: bool
    ) -> Mapping[str, Any]:
        """What was given and the files that go with it, each of which is in this home now."""
        if given.get("attachments"):
            raise BadMessage("attachments", "is there already", hint="attach all files the same way")
        if len(attach) > MAX_ATTACHMENTS:
            raise BadMessage("attachments", f"{len(attach)} files, the limit is {MAX_ATTACHMENTS}")
        from spool import attachments

        self._refuse_low_space()
        here = self.config.host
        kept = [
            attachments.keep(
                self.store,
                self.home,
                here,
                Path(path).expanduser(),
                now=self._clock.now(),
                told=told,
                allow_secrets=allow_secrets,
            )
            for path in attach
        ]
        return {**given, "attachments": msgspec.to_builtins(kept)}

    def _default_sender(self, agent: str | None, given: Mapping[str, Any] | bytes) -> str | None:
        """Who sends what does not say so itself."""
        if not isinstance(given, bytes):
            return None if given.get("from") is not None else self.agent(agent)
        try:
            return self.agent(agent)
        except NoAgent:
            if agent is not None:
                raise
            # A text that names its sender needs none; one that does not is refused for that.
            return None

    def _put(self, tx: Tx, message: Message, own_id: bool, route: Route, now: float) -> Posted:
        if own_id and (again := self._sent_before(tx, message)) is not None:
            return again
        self._refuse_files(message, route)
        self._refuse_missing(tx, message, now)
        guarded = loops.guard(tx, message, self.config.host, now=now)
        try:
            if guarded is None:
                state = self._place(tx, message, route, now)
            else:
                state = self._keep(tx, message, route, guarded.hold, now)
        except Exists as exc:
            raise IdTaken(f"id: {message.id} is taken by another message", id=message.id) from exc
        if message.re is not None:
            tx.inbox.answered(message.re, message.sender)
        if guarded is not None and guarded.new:
            self._place(tx, self._notice(guarded.hold, now), route, now)
        held = guarded is not None
        return Posted(message.id, state, message.to, route.peer, message.attachments, held)

    def _place(self, tx: Tx, message: Message, route: Route, now: float) -> State:
        row = self._row(message, route, now)
        if route.peer:
            tx.attachments.attach(tx.outbox.put(row), route.peer, message.attachments)
            return State.QUEUED
        from spool import inbox

        tx.outbox.put_local(row, at=now, host=self.config.host.name)
        seq = tx.inbox.put(inbox.row_of(message, agent=route.agent, peer=None, now=now))
        tx.attachments.enclose(seq, message.attachments)
        if message.re is not None:
            tx.outbox.answered(message.re, route.agent, by=message.sender, peer="")
        return State.RECEIVED

    def _keep(self, tx: Tx, message: Message, route: Route, hold: Hold, now: float) -> State:
        loops.keep(tx, self._row(message, route, now), message, hold, self.config.host, now=now)
        return State.QUEUED

    def _row(self, message: Message, route: Route, now: float) -> NewOutgoing:
        lifetime_s = self.config.host.lifetime_s
        return outbox.row_of(message, peer=route.peer, origin=None, now=now, lifetime_s=lifetime_s)

    def _notice(self, hold: Hold, now: float) -> Message:
        """What the other side is told. It is counted by nobody, and never held."""
        return seal(
            loops.notice(hold, self.config.host),
            id=_new_id(),
            timestamp=format_time(now),
            max_bytes=self.config.host.max_message_bytes,
        )

    def _refuse_files(self, message: Message, route: Route) -> None:
        """Where they cannot travel, the message would wait for them until it ends."""
        peer = self.config.peers.get(route.peer)
        if message.attachments and peer is not None and not peer.carries_files:
            raise BadMessage(
                "attachments",
                f"files do not travel to {peer.name} ({peer.scheme}:)",
                hint="put them where the other side can fetch them, and name them in the body",
            )

    def _refuse_missing(self, tx: Tx, message: Message, now: float) -> None:
        """Within the transaction that takes the message: from there on its files stay."""
        if not message.attachments:
            return
        from spool.folder import Folder

        folder = Folder(self.home)
        for file in message.attachments:
            if not folder.has(file):
                raise BadMessage(
                    "attachments",
                    f"{file.name!r} is no file of {file.bytes:,} bytes that this host keeps",
                    hint="attach it: --attach FILE, or attach=[…] in Python",
                )
            tx.attachments.wanted(file.sha256, now=now)

    def _sent_before(self, tx: Tx, message: Message) -> Posted | None:
        if (before := tx.outbox.exact(message.id, message.sender)) is None:
            return None
        if before.digest != message.digest:
            raise IdTaken(
                f"id: {message.id} was sent before with other content (to {before.recipient},"
                f" {format_time(before.queued_at)})",
                id=message.id,
            )
        held = is_held(before)
        return Posted(before.id, before.state, before.recipient, before.peer, message.attachments, held)

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
        attach: Sequence[str | Path] = (),
        told: Told | None = None,
        **fields: Any,
    ) -> Posted:
        """As `reply`, and says of the answer its state and its next hop; see `post` for `told`."""
        return self._answer(
            self.received(id, agent=agent),
            body,
            subject=subject,
            keep_open=keep_open,
            given={**(extra or {}), **fields},
            allow_secrets=allow_secrets,
            attach=attach,
            told=told,
        )

    def _answer(
        self,
        row: Incoming,
        body: str | None,
        *,
        subject: str | None,
        keep_open: bool,
        given: Mapping[str, Any],
        allow_secrets: bool,
        attach: Sequence[str | Path] = (),
        told: Told | None = None,
        lease: int | None = None,
    ) -> Posted:
        now = self._clock.now()
        asked = message_of(row)
        given = {
            **given,
            "from": row.agent,
            "to": row.sender,
            "re": row.id,
            "thread": row.thread or row.id,
            "subject": subject
            or (asked.subject if asked.subject.startswith("Re: ") else f"Re: {asked.subject}"),
            "body": body,
        }
        message, own_id = self._seal(given, row.agent, now, allow_secrets)
        if attach:
            given = self._with_files(given, attach, told, allow_secrets)
            message, own_id = self._seal(given, row.agent, now, allow_secrets)
        route = self._way_back(row)
        self._refuse_low_space()
        with self.store.write(sync=True) as tx:
            posted = self._put(tx, message, own_id, route, now)
            tx.presence.hear("", (row.agent,), "message", now=now)
            if not keep_open and not row.archived:
                self._end(tx, row, lease, now)
            if route.peer:
                tx.ledger.ring(route.peer)
        doorbell.ring(self.home / "run")
        self._start_consumer({route.peer})
        self.log_held([posted])
        return posted

    def _end(self, tx: Tx, row: Incoming, lease: int | None, now: float) -> None:
        """Make done what was answered; where another reader has it now, nothing of the answer is kept."""
        from spool import inbox

        here = self.config.host.name
        if inbox.finish(tx, here, row, now=now, outcome="done", note=None, lease=lease) is None:
            fresh = tx.inbox.exact(row.id, row.sender)
            if fresh is not None and fresh.state != "done":
                raise BadInput(
                    f"{row.id}: its lease ran out and another reader has it",
                    hint="nothing was sent; spool reply answers it all the same",
                    id=row.id,
                )

    def _start_consumer(self, peers: set[str]) -> None:
        """Where the config asks for it, and a consumer could reach one of the peers."""
        if not self.config.host.autostart:
            return
        known = [self.config.peers[name] for name in peers if name in self.config.peers]
        if any(peer.url for peer in known):
            self.started = starting.start(self.home, now=self._clock.now()) or self.started

    def _way_back(self, row: Incoming) -> Route:
        # Whatever the name resolves to here: an answer goes back where the question came from.
        if row.peer is not None and self._knows(row.peer):
            return Route(row.peer, row.sender)
        return self._resolve(row.sender)

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
        log.info("message.cancelled", **outbox.out_keys(fresh, state=State.DEAD, peer=fresh.peer))
        return row.id


def _new_id() -> str:
    import uuid_utils

    return f"msg-{uuid_utils.uuid7()}"


def _rfc3339(field: str, value: str | dt.datetime | None) -> str | None:
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise BadMessage(field, "a datetime without a time zone")
        return value.isoformat()
    return value

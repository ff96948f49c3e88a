"""Looking: messages by their id, what is on its way, what is past, how a peer stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from spool import presence
from spool.desk import Desk
from spool.errors import AmbiguousId, BadMessage, NotFound
from spool.message import ID, Message, load
from spool.states import State
from spool.store.base import Incoming, Outgoing, PeerRow, Quarantined

SHORTEST_PREFIX: Final = 6
CITATION: Final = "if://conversation/"
Row = TypeVar("Row", bound=Outgoing | Incoming)


class Looking(Desk):
    """The part of Spool that changes nothing."""

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

    def dead(self, *, limit: int = 100) -> list[Outgoing]:
        """Messages that will not be tried again."""
        with self.store.read() as tx:
            return tx.outbox.pending(limit=limit, states=(State.DEAD,))

    def quarantined(self, n: int | None = None) -> list[Quarantined]:
        """What could not be read or trusted, oldest first, or one of it. Raises NotFound."""
        with self.store.read() as tx:
            found = tx.ledger.quarantined(n)
        if n is not None and not found:
            raise NotFound(f"nothing has number {n} in the quarantine", hint="`spool quarantine list`")
        return found

    def archived(self, *, limit: int = 20) -> list[Outgoing | Incoming]:
        """The newest of what is past; `limit` of what was sent and as many of what came."""
        with self.store.read() as tx:
            return tx.sweepings.archived(limit=limit)


def message_of(row: Incoming | Outgoing) -> Message:
    return load(row.raw, filled=row.filled, digest=row.digest)


def _plain_id(given: str) -> str:
    prefix = given.removeprefix(CITATION)
    if not ID.fullmatch(prefix):
        raise BadMessage("id", f"{given[:80]!r} is not an id")
    return prefix


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

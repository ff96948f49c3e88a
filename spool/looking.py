"""Looking: messages by their id, what is on its way, what is past, how a peer stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from spool import presence, starting
from spool.desk import Desk
from spool.errors import AmbiguousId, BadMessage, NotFound
from spool.message import ID, Message, load
from spool.states import State
from spool.store.base import Hold, Incoming, Outgoing, PeerRow, Quarantined

SHORTEST_PART: Final = 6
ERROR_LENGTH: Final = 100
CITATION: Final = "if://conversation/"
Row = TypeVar("Row", bound=Outgoing | Incoming)


class Looking(Desk):
    """The part of Spool that changes nothing."""

    def sent(self, id: str) -> Outgoing:
        """A message that goes out from here, live or archived. Raises NotFound, AmbiguousId."""
        part = plain_id(id)
        with self.store.read() as tx:
            rows = tx.outbox.find(part) or _ending(tx.outbox.ending, part)
        return _only(rows, part, "sent from here")

    def received(self, id: str, *, agent: str | None = None) -> Incoming:
        """A message for this agent, live or archived. Raises NotFound, AmbiguousId, NoAgent."""
        who = self.agent(agent)
        part = plain_id(id)
        with self.store.read() as tx:
            rows = tx.inbox.find(part, agent=who) or _ending(partial(tx.inbox.ending, agent=who), part)
            sent = rows or tx.outbox.find(part) or _ending(tx.outbox.ending, part)
        try:
            return _only(rows, part, f"for {who}")
        except NotFound as exc:
            if any(row.sender == who for row in sent):
                exc.hint = f"you sent it; `spool show {part}`"
            raise

    def find(self, id: str) -> tuple[Outgoing | None, Incoming | None]:
        """Both sides of a message as this host has them. Raises NotFound, AmbiguousId."""
        part = plain_id(id)
        with self.store.read() as tx:
            out, inn = tx.outbox.find(part), tx.inbox.find(part)
            if not out and not inn:
                out, inn = _ending(tx.outbox.ending, part), _ending(tx.inbox.ending, part)
        every: list[Outgoing | Incoming] = [*out, *inn]
        one = _only(every, part, "on this host")
        return (
            next((row for row in out if (row.id, row.sender) == (one.id, one.sender)), None),
            next((row for row in inn if (row.id, row.sender) == (one.id, one.sender)), None),
        )

    def state(self, id: str) -> State:
        """How far a message got that was sent from here."""
        return self.sent(id).state

    def comes_from(self, agent: str) -> str:
        """The peer by which mail from an agent comes, "" for one of this host.

        Raises:
            NoRoute, BadMessage: nobody known here has this name.
        """
        return self._resolve(agent).peer

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
            warnings.append(f"peer {peer} is stopped{_why(row)}: `spool peer resume {peer}`")
        consumer = bool(presence.living(run, "consumer"))
        dials_us = not self.config.peer(peer).url
        if not linked and not consumer and not dials_us:
            warnings.extend(self._no_consumer())
        if not linked and row.state != "stopped":
            how = "; it dials us" if dials_us else "; it is dialled again and again" if consumer else ""
            warnings.append(f"peer {peer} was {_last_reached(row, self._clock.now())}{_why(row)}{how}")
        return ("link" if linked else "consumer" if consumer else "none"), warnings

    def _no_consumer(self) -> list[str]:
        if self.started:
            return ["no consumer ran here; one was started, as autostart says"]
        if starting.starts(self.home):
            return []
        if self.config.host.autostart:
            return [f"no consumer runs here; why one that was started ended is in {self.home / starting.OUT}"]
        return ["no consumer runs here: `spool up --detach` starts one"]

    def dead(self, *, limit: int = 100) -> list[Outgoing]:
        """Messages that will not be tried again."""
        with self.store.read() as tx:
            return tx.outbox.pending(limit=limit, states=(State.DEAD,))

    def held(self) -> list[tuple[Hold, list[Outgoing]]]:
        """Who is held in which thread for having answered too often, and what waits there, in order."""
        with self.store.read() as tx:
            return [(hold, tx.loops.held(hold.agent, hold.thread)) for hold in tx.loops.holds()]

    def quarantined(self, n: int | None = None) -> list[Quarantined]:
        """What could not be read or trusted, oldest first, or one of it. Raises NotFound."""
        with self.store.read() as tx:
            found = tx.ledger.quarantined(n)
        if n is not None and not found:
            raise NotFound(f"nothing has number {n} in the quarantine", hint="`spool quarantine list`")
        return found


def message_of(row: Incoming | Outgoing) -> Message:
    return load(row.raw, filled=row.filled, digest=row.digest)


def plain_id(given: str) -> str:
    """An id as it was given, or out of a citation. Raises BadMessage."""
    part = given.removeprefix(CITATION)
    if not ID.fullmatch(part):
        raise BadMessage("id", f"{given[:80]!r} is not an id")
    return part


def _ending(ending: Callable[[str], list[Row]], part: str) -> list[Row]:
    # Ids of one hour begin alike: where no beginning fits, an ending is meant.
    return ending(part) if len(part) >= SHORTEST_PART else []


def _only(rows: Sequence[Row], part: str, where: str) -> Row:
    exact = [row for row in rows if row.id == part]
    found = exact or ([] if len(part) < SHORTEST_PART else list(rows))
    keys = {(row.id, row.sender) for row in found}
    if not keys:
        raise NotFound(
            f"no message {part} {where}", hint="`spool inbox` and `spool outbox` list them", id=part
        )
    if len(keys) > 1:
        some = ", ".join(sorted(f"{id} (from {sender})" for id, sender in keys)[:4])
        raise AmbiguousId(f"{part} fits several messages: {some}", hint="give more of the id", id=part)
    return found[0]


def _last_reached(row: PeerRow, now: float) -> str:
    return (
        "never reached yet" if row.last_contact is None else f"last reached {ago(now - row.last_contact)} ago"
    )


def _why(row: PeerRow) -> str:
    return f" ({last_error(row)})" if row.error else ""


def last_error(row: PeerRow) -> str:
    """Why a peer could not be reached the last time, on one short line; empty where it could."""
    words = " ".join(filter(None, [f"{row.error_kind}:" if row.error_kind else "", row.error]))
    line = " ".join(words.split()) if row.error else ""
    return line if len(line) <= ERROR_LENGTH else f"{line[: ERROR_LENGTH - 1]}…"


def ago(seconds: float) -> str:
    """A length of time in one word: 40 s, 12 min, 6 h, 3 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit != "min" and seconds >= size):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"

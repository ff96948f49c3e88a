"""What one HTTPS peer may ask of this host: what a link may, and what a script that posts there may."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from spool import foreign, log
from spool.errors import BadInput, StoreError
from spool.foreign import FileAck, Found, NotWhole
from spool.gate import Gate
from spool.inbox import Arrival
from spool.message import Ack, Message, parse_time
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports import frames
from spool.transports.base import Deferred
from spool.transports.frames import Answer, Hello, Item, Key, Result
from spool.transports.http_words import Counts, Outcome
from spool.transports.window import outcome_of, result_of

# Longer than a poll and the answer to it may take.
HOLDS_S: Final = 60.0
HEARD_EVERY_S: Final = 5.0
# Five hundred of them must fit into what is read of a request.
NOTE: Final = 300
NO_FILES: Final = "HTTPS carries no attachments: use an ssh:// peer, or say in the body where the file is"


class WebGate(Gate):
    """What stands between this host and one peer over HTTPS. Any thread may call it."""

    holds_s = HOLDS_S

    @property
    def max_bytes(self) -> int:
        """The limit on one message."""
        return self._settings.config.host.max_message_bytes

    # -- who is there ---------------------------------------------------------------------------

    def greeted(self, hello: Hello) -> None:
        """Take the hello of a peer that this host dials itself: its mail to us needs no link of ours.

        Raises:
            VersionSkew, NotAuthorised: as `arrived`.
        """
        self._refuse_stranger(hello)
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            tx.peers.update(
                self.peer_name,
                last_contact=now,
                far_host=hello.host,
                far_version=hello.spool[:40],
                far_agents=self._free(tx, hello.agents),
                clock_offset=hello.clock - now,
            )

    def heard(self) -> None:
        """Something that the peer signed has come."""
        now = self._clock.now()
        with self._store.read() as tx:
            last = tx.peers.get(self.peer_name).last_contact
        if last is None or not 0 <= now - last < HEARD_EVERY_S:
            with self._store.write(sync=False) as tx:
                tx.peers.update(self.peer_name, last_contact=now)

    # -- mail in --------------------------------------------------------------------------------

    def take(self, items: Sequence[Item]) -> list[Result]:
        """Take messages in one commit; a result for each, after it."""
        if not items:
            return []
        arrivals = [Arrival(frames.raw_of(item), item.x, item.t, item.h, item.q) for item in items]
        return [result_of(outcome) for outcome in self.accept(arrivals)]

    def take_plain(self, found: Sequence[Found]) -> list[Outcome]:
        """Take messages and acks as a script writes them, the messages in one commit; what came of each.

        A name makes the id of a message that has none, together with its bytes; the time is that of a
        message that does not say.
        """
        said: dict[int, Outcome] = {}
        arrivals: dict[int, Message] = {}
        for n, each in enumerate(found):
            try:
                match foreign.read(each, max_bytes=self.max_bytes):
                    case FileAck() as ack:
                        said[n] = _told(ack.re, self._take_plain_ack(ack))
                    case Message() as message:
                        arrivals[n] = message
            except NotWhole as exc:
                said[n] = Outcome("", "refused", why=f"{exc}; a message is one JSON object")
            except BadInput as exc:
                said[n] = Outcome("", "refused", why=str(exc))
        if arrivals:
            results = map(result_of, self.accept([self._arrival(each) for each in arrivals.values()]))
            for (n, message), result in zip(arrivals.items(), results, strict=True):
                said[n] = _told(message.id, result)
        return [said[n] for n in range(len(found))]

    def _arrival(self, message: Message) -> Arrival:
        ttl_s = self._settings.config.host.lifetime_s
        if message.expires is not None:
            ttl_s = parse_time("expires", message.expires) - self._clock.now()
        return Arrival(message.raw, message.filled, max(0.0, ttl_s), ())

    def _take_plain_ack(self, ack: FileAck) -> Result:
        """Who says it and to whom is not believed: it counts for what this peer was handed."""
        now = self._clock.now()
        with self._store.read() as tx:
            rows = [row for row in tx.outbox.find(ack.re) if row.id == ack.re and row.peer == self.peer_name]
        if not rows or ack.status == "dead":
            log.warning("ack.unknown", id=ack.re, peer=self.peer_name, status=ack.status[:40])
            why = "status: only a spool can say so" if rows else "re: you were sent no such message from here"
            return Result("refused", why=why)
        self.take_acks(
            Ack(
                sender="",
                to=row.sender,
                re=row.id,
                status=ack.status,
                at=now,
                outcome=ack.outcome,
                note=ack.note,
            )
            for row in rows
        )
        return Result("accepted", now, True)

    # -- mail out -------------------------------------------------------------------------------

    def told(self, parcels: Sequence[Parcel], results: Sequence[Result]) -> None:
        """Write down what the other side answered; what it left out is offered again."""
        host = self.far_host
        outcomes = [(parcel, outcome_of(each, host)) for parcel, each in zip(parcels, results, strict=False)]
        if outcomes:
            self.settle(outcomes)
        if left := list(parcels[len(outcomes) :]):
            self.release(Load(left, []))

    def defer(self, parcels: Iterable[Parcel], reason: str, *, after_s: float) -> None:
        """The other side takes nothing now."""
        self.settle([(parcel, Deferred(reason, after_s)) for parcel in parcels])

    def give_back(self, parcels: Sequence[Parcel], acks: Sequence[LeasedAck]) -> None:
        """Give back what was not answered. Never raises: where the store fails, the leases run out."""
        try:
            self.release(Load(list(parcels), list(acks)))
        except StoreError as exc:
            log.warning("store.failed", peer=self.peer_name, error=str(exc), kind=exc.kind)

    def refuse_files(self) -> None:
        """End the messages that wait for files to be brought: this road carries none."""
        for shipment in self.freight.due():
            self.freight.refuse(shipment.sha256, NO_FILES)

    # -- how it stands --------------------------------------------------------------------------

    def standing(self) -> Counts:
        """How this host stands, for the other side's `status`."""
        unread, queued, agents = self.counts()
        return Counts(unread, queued, agents)

    def take_standing(self, counts: Counts | None) -> None:
        """Keep what the other side says of itself."""
        if counts is not None:
            self.told_counts(unread=counts.unread, queued=counts.queued, agents=counts.agents)

    def answers(self, keys: Sequence[Key]) -> list[Answer]:
        """Say how far messages got, with the beginning of what was noted: all of it is one request."""
        return [_brief(each) for each in self.answer(keys)] if keys else []


def _brief(answer: Answer) -> Answer:
    if answer.note is None or len(answer.note) <= NOTE:
        return answer
    return msgspec.structs.replace(answer, note=answer.note[:NOTE])


def _told(id: str, result: Result) -> Outcome:
    return Outcome(id, result.r, result.at, result.final, result.again, result.why, result.after)


def name_of(webhook_id: str) -> str:
    """What stands for a file's name where a script posts a message: the same at each try, safe to keep."""
    if len(webhook_id) <= foreign.LONGEST_NAME:
        return webhook_id
    return hashlib.sha256(webhook_id.encode("utf-8", "replace")).hexdigest()

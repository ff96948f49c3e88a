"""What the folders of one files peer may ask of this host: take a file in, believe what became of ours."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from spool import foreign, log, outbox, retry, sweep
from spool.clock import Clock
from spool.errors import SpoolError
from spool.foreign import FileAck, Found, NotWhole
from spool.gate import Gate
from spool.inbox import ANSWER, Arrival
from spool.message import Ack, Attachment, Message, parse_time
from spool.settings import Settings
from spool.store.base import Event, KeptFile, Store, Tx, Unproven
from spool.transports.base import Deferred, Entry

# The same bytes under the same name are the same message if they are written anew within a day of it.
SAME_S: Final = 86_400.0
ANSWERS_AT_ONCE: Final = 16
# So often is a lost file published again at once.
LOST_AT_ONCE: Final = 3
_rng = random.Random()
# What is forgotten is looked at again.
REMEMBERED: Final = 1000


class FilesGate(Gate):
    """What stands between the folders of a files peer and this host. One thread calls it."""

    # A batch over a slow line may take long; a holder that died is noticed at once all the same.
    holds_s = 120.0

    def __init__(
        self, store: Store, settings: Settings, peer: str, *, clock: Clock, token: str, version: str
    ) -> None:
        super().__init__(store, settings, peer, clock=clock, token=token, version=version)
        # What claimed messages wait for, and what is known of files that will not come.
        self._wanted: dict[str, Attachment] = {}
        self._absent: set[str] = set()
        self._refused: dict[str, str] = {}
        # What lies here for messages that were taken, and lay there.
        self._spare: set[str] = set()

    def opened(self) -> None:
        """The folders are reached: from here this process is the only one that carries for the peer."""
        now = self._clock.now()
        with self._store.write(sync=False) as tx:
            self._begin(tx, now, dialled=True)
        log.info("link.up", peer=self.peer_name, generation=self._generation, dialled=True)

    @property
    def max_bytes(self) -> int:
        """The limit on one message."""
        return self._settings.config.host.max_message_bytes

    # -- what they left ------------------------------------------------------------------------

    def take(self, found: Sequence[Found]) -> list[bool]:
        """Take whole files in; True for each that is on disk here, as mail or in the quarantine."""
        arrivals: dict[int, Arrival] = {}
        messages: dict[int, Message] = {}
        acks: list[tuple[FileAck, float]] = []
        bad: list[tuple[int, str]] = []
        waiting: set[int] = set()
        for n, file in enumerate(found):
            try:
                match self._read(file):
                    case FileAck() as ack:
                        acks.append((ack, file.mtime))
                    case Message() as message if (refusal := self._refusal(message)) is not None:
                        bad.append((n, refusal))
                    case Message() as message if self._waits(message):
                        waiting.add(n)
                    case Message() as message:
                        arrivals[n], messages[n] = self._arrival(file, message), message
            except NotWhole as exc:
                bad.append((n, f"never became whole: {exc}"))
            except SpoolError as exc:
                bad.append((n, exc.message))
        kept = [n not in waiting for n in range(len(found))]
        if arrivals:
            outcomes = [outcome for some in _in_turn(arrivals.values()) for outcome in self.accept(some)]
            for n, outcome in zip(arrivals, outcomes, strict=True):
                # What was refused is in the quarantine; what was deferred is nowhere yet.
                kept[n] = not isinstance(outcome, Deferred)
                if kept[n] and arrivals[n].attached:
                    self._note_spare(messages[n])
        if acks:
            self._take_file_acks(acks)
        for (n, _), stored in zip(bad, self._quarantine([(found[n], why) for n, why in bad]), strict=True):
            kept[n] = stored
        return kept

    def refuse(self, found: Found, reason: str) -> bool:
        """Keep what can be kept of a file, and why, in the quarantine; False where that is full."""
        return self._quarantine([(found, reason)])[0]

    def remembered(self, entries: Sequence[Entry]) -> set[str]:
        """The names among these that were taken before and could not be removed."""
        with self._store.read() as tx:
            kept = tx.kept_files.of(self.peer_name)
        there = {entry.name: (entry.size, entry.mtime) for entry in entries}
        same = {file.name for file in kept if there.get(file.name) == (file.size, file.mtime)}
        if changed := [file.name for file in kept if file.name not in same]:
            with self._store.write(sync=False) as tx:
                tx.kept_files.drop(self.peer_name, changed)
        return same

    def remember(self, found: Found) -> None:
        """This one was taken and cannot be removed."""
        digest = hashlib.sha256(found.raw).digest()
        file = KeptFile(found.name, found.size, found.mtime, digest, self._clock.now())
        with self._store.write(sync=True) as tx:
            tx.kept_files.put(self.peer_name, file)

    def _read(self, file: Found) -> Message | FileAck:
        read = foreign.read(file, max_bytes=self.max_bytes)
        copy = 0
        while isinstance(read, Message) and "id" in read.filled and self._is_old(read, file):
            copy += 1
            read = foreign.read(file, max_bytes=self.max_bytes, copy=copy)
        return read

    def _is_old(self, message: Message, file: Found) -> bool:
        """Whether a file of this name and these bytes came long before this one was written."""
        with self._store.read() as tx:
            seen = tx.ledger.seen(message.sender, message.id)
        # Their clock may be a year ahead: nothing was written later than now.
        return seen is not None and min(file.mtime, self._clock.now()) > seen.at + SAME_S

    def _arrival(self, file: Found, message: Message) -> Arrival:
        ttl_s = self._settings.config.host.lifetime_s
        if message.expires is not None:
            ttl_s = parse_time("expires", message.expires) - self._clock.now()
        came = [each for each in message.attachments if each.sha256 not in self._absent]
        attached = bool(came) and len(came) == len(message.attachments)
        return Arrival(message.raw, message.filled, max(0.0, ttl_s), (), file=file, attached=attached)

    # -- what they enclosed --------------------------------------------------------------------

    def wanted(self) -> list[Attachment]:
        """What claimed messages wait for."""
        return list(self._wanted.values())

    def has_come(self, file: Attachment) -> None:
        """A file is here."""
        self._wanted.pop(file.sha256, None)

    def is_absent(self, file: Attachment) -> None:
        """A file is not in the peer's folder: its message only names it."""
        self._wanted.pop(file.sha256, None)
        if len(self._absent) >= REMEMBERED:
            self._absent.clear()
        self._absent.add(file.sha256)

    def is_refused(self, file: Attachment, reason: str) -> None:
        """A file can never be taken, nor the message that came with it."""
        self._wanted.pop(file.sha256, None)
        if len(self._refused) >= REMEMBERED:
            self._refused.clear()
        self._refused[file.sha256] = reason

    def spare(self) -> list[str]:
        """The SHA-256 of each file that is here with what was just taken, so not needed there; told once."""
        spare, self._spare = sorted(self._spare), set()
        return spare

    def _note_spare(self, message: Message) -> None:
        # One that another message waits for is fetched from there.
        here = (each for each in message.attachments if self.freight.folder.has(each))
        self._spare.update(each.sha256 for each in here if each.sha256 not in self._wanted)

    def _refusal(self, message: Message) -> str | None:
        return next((why for each in message.attachments if (why := self._refused.get(each.sha256))), None)

    def _waits(self, message: Message) -> bool:
        """Whether a message waits for its files: from here on they are wanted."""
        missing = [
            each
            for each in message.attachments
            if each.sha256 not in self._absent and not self.freight.folder.has(each)
        ]
        if not missing or self._is_known(message):
            return False
        self._wanted.update((each.sha256, each) for each in missing)
        return True

    def _is_known(self, message: Message) -> bool:
        with self._store.read() as tx:
            return tx.ledger.seen(message.sender, message.id) is not None

    def _take_file_acks(self, told: Iterable[tuple[FileAck, float]]) -> None:
        acks = []
        with self._store.read() as tx:
            for ack, mtime in told:
                # That a message died on its way only another spool can know; here it stands in the folder.
                known = ack.status != "dead" or self.peer.acks
                senders = self._senders(tx, ack.re) if known else []
                if not senders:
                    log.warning("ack.unknown", id=ack.re, peer=self.peer_name, status=ack.status[:40])
                acks += [
                    Ack(
                        sender="",
                        to=to,
                        re=ack.re,
                        status=ack.status,
                        at=mtime,
                        outcome=ack.outcome,
                        note=ack.note,
                    )
                    for to in senders
                ]
        if acks:
            self.take_acks(acks)

    def _senders(self, tx: Tx, id: str) -> list[str]:
        """Who sent this peer a message of this id; an ack there does not say which is meant."""
        rows = tx.outbox.find(id)
        return [row.sender for row in rows if row.id == id and row.peer == self.peer_name]

    def _quarantine(self, bad: Sequence[tuple[Found, str]]) -> list[bool]:
        if not bad:
            return []
        now = self._clock.now()
        with self._store.write(sync=True) as tx:
            kept = [
                tx.ledger.quarantine(
                    at=now,
                    peer=self.peer_name,
                    name=foreign.plain_name(file.name),
                    reason=why,
                    raw=file.raw[: self.max_bytes],
                )
                for file, why in bad
            ]
        for (file, why), stored in zip(bad, kept, strict=True):
            if stored:
                name = foreign.plain_name(file.name)[:200]
                log.warning("message.quarantined", peer=self.peer_name, file=name, error=why)
        if more := kept.count(False):
            # One line: they are met again and again.
            error = "the quarantine is full; they stay where they are"
            log.warning("message.quarantined", peer=self.peer_name, count=more, error=error)
        return kept

    # -- what became of ours -------------------------------------------------------------------

    def unproven(self, *, after: int, limit: int) -> list[Unproven]:
        """Published messages of which nothing is known since, by their sequence."""
        with self._store.read() as tx:
            return tx.outbox.unproven(self.peer_name, after=after, limit=limit)

    def received(self, seen: Sequence[tuple[Unproven, str]]) -> None:
        """Take these for received; the text says what shows it."""
        now = self._clock.now()
        outbox.infer_received(self._store, self.peer_name, self.host, seen, now=now)

    def lost(self, rows: Sequence[Unproven], why: str) -> None:
        """The folder that these stood in is gone: publish them again."""
        now = self._clock.now()
        with self._store.write(sync=True) as tx:
            for row in rows:
                sent = tx.outbox.exact(row.id, row.sender)
                # What is removed each time must not be published, and noted, each time at once.
                waits_s = _lost_delay(sent.attempts) if sent else 0.0
                tx.outbox.offer_again([row.seq], now=now + waits_s)
                tx.ledger.event(
                    Event(row.id, row.sender, now, self.host, self.peer_name, "sent", "lost", None, why)
                )
        for row in rows:
            log.warning(
                "message.lost_there", id=row.id, **{"from": row.sender}, peer=self.peer_name, error=why
            )

    def expired(self, rows: Sequence[Unproven]) -> list[Unproven]:
        """Those whose lifetime is over, where the clock may be believed."""
        now = self._clock.now()
        late = [row for row in rows if row.expires_at <= now]
        return late if late and sweep.is_steady(self._store, now) else []

    def withdrawn(self, rows: Sequence[Unproven]) -> None:
        """These were taken back, unread: they are dead."""
        now = self._clock.now()
        ended = []
        with self._store.write(sync=True) as tx:
            for one in rows:
                row = tx.outbox.exact(one.id, one.sender)
                why = "expired: nobody took it from the inbox"
                if row and outbox.bury(tx, row, self.host, now=now, reason=why, what="expired"):
                    ended.append(row)
        for row in ended:
            log.warning("message.expired", **outbox.out_keys(row, state="dead", peer=row.peer))

    def same_since(self, identity: str) -> float:
        """Since when the folder we publish into has been this one, as far as it was looked at."""
        name = f"folder:{self.peer_name}"
        now = self._clock.now()
        with self._store.read() as tx:
            known, _, since = (tx.ledger.fact(name) or "").rpartition(" ")
        # Kept by a clock that was ahead, it would make all that goes look lost, until that time comes.
        if known == identity and float(since) <= now:
            return float(since)
        with self._store.write(sync=True) as tx:
            tx.ledger.set_fact(name, f"{identity} {now!r}")
        return now

    def forget_acks(self, seqs: Iterable[int]) -> None:
        """This peer wants no acks."""
        with self._store.write(sync=False) as tx:
            tx.acks.drop(seqs)


def _in_turn(arrivals: Iterable[Arrival]) -> Iterator[list[Arrival]]:
    """Batches with a few answers each: what one answers is looked for among thousands, all else waiting."""
    batch: list[Arrival] = []
    answers = 0
    for arrival in arrivals:
        batch.append(arrival)
        answers += ANSWER.encode() in arrival.raw
        if answers == ANSWERS_AT_ONCE:
            yield batch
            batch, answers = [], 0
    if batch:
        yield batch


def _lost_delay(attempts: int) -> float:
    return retry.message_delay(attempts - LOST_AT_ONCE, _rng) if attempts > LOST_AT_ONCE else 0.0

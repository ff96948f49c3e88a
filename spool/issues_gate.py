"""What the issues of one github peer may ask of this host: where mail stands there, and whose counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from spool import escalations, log
from spool.errors import BadMessage
from spool.foreign import Found
from spool.gate import Gate
from spool.inbox import Arrival
from spool.issue_blocks import Block
from spool.message import Ack, Message, format_time, parse_time
from spool.notices import Notice
from spool.states import State
from spool.store.base import IssueAcks, IssueSpot
from spool.transports.base import Deferred, Outcome, Refused

# Every commit there moves the time of an issue by GitHub's clock; a list may lag behind by moments.
OVERLAP_S: Final = 120.0
# No id begins so.
NOTICE: Final = "urgent:"
FORGET_S: Final = 90 * 86_400.0
# What is read there, each up to some time.
LISTS: Final = ("issues", "comments")
_ACKS: Final = msgspec.json.Decoder(list[Ack])
_encode = msgspec.json.encode


class Rate(NamedTuple):
    """What `status` shows of a limit: requests left of so many, and when they are counted anew."""

    left: int
    limit: int
    reset_at: float


class Taken(NamedTuple):
    """A message on its way in: who sent it under which id, where it stands there, and the digest of the text
    it was read from."""

    arrival: Arrival
    sender: str
    id: str
    number: int
    comment: int
    digest: bytes


class IssuesGate(Gate):
    """What stands between the issues of one repository and this host. One thread calls it."""

    # A turn may wait a second before each of its writes; a holder that died is noticed at once all the same.
    holds_s = 120.0
    _place = ""
    _own_login = ""
    _ahead: Callable[[], float] | None = None

    def opened(self, place: str, login: str, *, ahead: Callable[[], float] | None = None) -> None:
        """It is reached with the token of `login`: from here this process alone carries for the peer.

        Args:
            ahead: by how many seconds GitHub's clock is ahead: all times there are by that clock.
        """
        now = self._clock.now()
        self._place, self._own_login, self._ahead = place, login.lower(), ahead
        with self._store.write(sync=False) as tx:
            self._begin(tx, now, dialled=True)
            # Of two clocks the one that is behind: what is forgotten might be posted twice.
            tx.issues.forget(place, before=min(now, self._now_there()) - FORGET_S)
            for list_ in LISTS:
                read_to = tx.ledger.fact(self._cursor(list_))
                # From a time that is yet to come on, nothing would be read.
                if read_to is None or float(read_to) > self._now_there() + OVERLAP_S:
                    # What is older than any message lives is no news to anybody.
                    oldest = self._now_there() - self._settings.config.host.lifetime_s
                    tx.ledger.set_fact(self._cursor(list_), repr(oldest))
        log.info("link.up", peer=self.peer_name, generation=self._generation, dialled=True)

    def _now_there(self) -> float:
        return self._clock.now() + (self._ahead() if self._ahead is not None else 0.0)

    # -- whose word counts ---------------------------------------------------------------------

    def trusts(self, login: str) -> bool:
        """Whether what this account writes counts: it is in the config, or it is this host's own."""
        return login.lower() in self._logins() or (bool(login) and login.lower() == self._own_login)

    def agent_of(self, login: str) -> str:
        """The agent that an account writes as by hand."""
        return self._logins().get(login.lower(), "") or login.removesuffix("[bot]")

    def _logins(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.peer.logins)
        return {login.lower(): agent for login, _, agent in pairs}

    def is_local(self, agent: str) -> bool:
        """Whether an agent reads on this host."""
        return self._settings.router().is_local(agent)

    def only_agent(self) -> str | None:
        """The one agent of this host, where there is just one and it is named."""
        agents = self._settings.config.host.agents
        return agents[0] if len(agents) == 1 and "*" not in agents[0] else None

    # -- how far it was read -------------------------------------------------------------------

    def since(self, what: str) -> str:
        """From when on a list is read, as RFC 3339: what was read last, and a little before it."""
        return format_time(self._read_to(what) - OVERLAP_S)[:19] + "Z"

    def read_up_to(self, what: str, at: str) -> None:
        """A list was read up to a time that GitHub named."""
        seconds = self.seconds(at)
        if self._read_to(what) < seconds:
            with self._store.write(sync=False) as tx:
                tx.ledger.set_fact(self._cursor(what), repr(seconds))

    def seconds(self, at: str) -> float:
        """A time that GitHub named; now, where it is none."""
        try:
            return parse_time("at", at)
        except BadMessage:
            return self._now_there()

    def _read_to(self, what: str) -> float:
        with self._store.read() as tx:
            return float(tx.ledger.fact(self._cursor(what)) or 0.0)

    def _cursor(self, what: str) -> str:
        return f"github:{what}:{self._place}"

    def is_news(self, spot: str, digest: bytes) -> bool:
        """Whether a text is another one than was read at its spot last."""
        with self._store.read() as tx:
            return tx.issues.text(self._place, spot) != digest

    def was_read(self, spot: str, digest: bytes) -> None:
        """A text was read, and all that it asks for done."""
        with self._store.write(sync=False) as tx:
            tx.issues.set_text(self._place, spot, digest, now=self._clock.now())

    # -- what stands there ---------------------------------------------------------------------

    def spot(self, sender: str, id: str) -> IssueSpot | None:
        """Where a message stands, or was tried to be put."""
        with self._store.read() as tx:
            return tx.issues.find(self._place, sender, id)

    def is_retried(self, spot: IssueSpot) -> bool:
        """Whether a person has retried a message since it was put there: it died, and is put there anew."""
        with self._store.read() as tx:
            events = tx.ledger.events(spot.id, spot.sender)
        # What was put there at a time that is yet to come was so before the clock was set back.
        tried_at = spot.tried_at if spot.tried_at <= self._clock.now() else 0.0
        return any(event.what == "retried" and event.at > tried_at for event in events)

    def spot_at(self, number: int, comment: int = 0) -> IssueSpot | None:
        """The message that an issue or a comment is."""
        with self._store.read() as tx:
            return tx.issues.at(self._place, number, comment)

    def thread(self, *ids: str | None) -> int | None:
        """The issue on which the first of these messages stands that is known."""
        with self._store.read() as tx:
            spots = [tx.issues.named(self._place, id) for id in ids if id is not None]
        return next((spot.number for spot in spots if spot is not None), None)

    def intend(self, sender: str, id: str) -> None:
        """A message is about to be posted. On disk before it is: killed in between, it is looked for."""
        with self._store.write(sync=True) as tx:
            tx.issues.put(self._place, IssueSpot(sender, id, True, None, 0, self._clock.now()))

    def withdraw(self, sender: str, id: str) -> None:
        """It was not posted, that is sure."""
        with self._store.write(sync=False) as tx:
            tx.issues.drop(self._place, sender, id)

    def posted(self, sender: str, id: str, *, number: int, comment: int) -> None:
        """A message of this host stands there."""
        spot = IssueSpot(sender, id, True, number, comment, self._clock.now())
        with self._store.write(sync=True) as tx:
            tx.issues.put(self._place, spot)

    # -- what came -----------------------------------------------------------------------------

    def take(self, taken: Sequence[Taken]) -> list[bool]:
        """Take messages in; True for each that is on disk here, as mail or in the quarantine."""
        if not taken:
            return []
        outcomes: Sequence[Outcome] = self.accept([each.arrival for each in taken])
        kept = [not isinstance(outcome, Deferred) for outcome in outcomes]
        now = self._clock.now()
        with self._store.write(sync=True) as tx:
            for each, outcome, stays in zip(taken, outcomes, kept, strict=True):
                if not stays:
                    continue
                if isinstance(outcome, Refused) and tx.ledger.seen(each.sender, each.id) is None:
                    # Nobody answers for it here: its sender would wait for a week.
                    tx.acks.put(self.peer_name, self._dead(each, outcome.reason, now))
                    tx.ledger.ring(self.peer_name)
                tx.issues.set_text(self._place, spot_name(each.number, each.comment), each.digest, now=now)
                # The first one counts: another text at the same spot is an edit.
                known = tx.issues.find(self._place, each.sender, each.id)
                if known is None and tx.issues.at(self._place, each.number, each.comment) is None:
                    spot = IssueSpot(each.sender, each.id, False, each.number, each.comment, now)
                    tx.issues.put(self._place, spot)
        return kept

    def _dead(self, taken: Taken, reason: str, now: float) -> Ack:
        return Ack(
            sender=self.host,
            to=taken.sender,
            re=taken.id,
            status="dead",
            at=now,
            host=self.host,
            note=reason,
        )

    def refuse(self, found: Found, reason: str) -> None:
        """Keep what cannot be taken, and why, in the quarantine."""
        with self._store.write(sync=True) as tx:
            tx.ledger.quarantine(
                at=self._clock.now(),
                peer=self.peer_name,
                name=found.name,
                reason=reason,
                raw=found.raw[: self.max_bytes],
            )
        log.warning("message.quarantined", peer=self.peer_name, file=found.name, error=reason)

    def arrival_of(self, block: Block, found: Found) -> Arrival:
        """A message that a spool has posted."""
        waited_s = max(0.0, self._now_there() - found.mtime)
        ttl_s = max(0.0, block.t - waited_s)
        return Arrival(found.raw, block.x, ttl_s, block.h, queued_at=block.q, file=found)

    def arrival_by(self, message: Message, found: Found) -> Arrival:
        """A message that a person wrote by hand."""
        ttl_s = self._settings.config.host.lifetime_s
        return Arrival(message.raw, message.filled, ttl_s, (), file=found)

    @property
    def max_bytes(self) -> int:
        """The limit on one message."""
        return self._settings.config.host.max_message_bytes

    def is_done(self, spot: IssueSpot) -> bool:
        """Whether the message that stands there has come to its end, as far as this host knows."""
        with self._store.read() as tx:
            row = tx.outbox.exact(spot.id, spot.sender)
        return row is None or row.state in (State.DONE, State.DEAD)

    def recipient(self, spot: IssueSpot) -> str:
        """The agent that the message standing there was for."""
        with self._store.read() as tx:
            row = tx.outbox.exact(spot.id, spot.sender) or tx.inbox.exact(spot.id, spot.sender)
        return "" if row is None else row.recipient.partition("@")[0]

    # -- how far theirs got --------------------------------------------------------------------

    def told(self, number: int) -> tuple[IssueAcks | None, list[Ack]]:
        """The comment on an issue that says how far its messages got, and what it says."""
        with self._store.read() as tx:
            row = tx.issues.told(self._place, number)
        return row, [] if row is None else _ACKS.decode(row.told)

    def tell(self, number: int, acks: Sequence[Ack], *, comment: int | None) -> None:
        """Keep what that comment says; without its id it is about to be made."""
        row = IssueAcks(number, comment, _encode(list(acks)).decode(), self._clock.now())
        with self._store.write(sync=True) as tx:
            tx.issues.tell(self._place, row)

    def forget_acks(self, seqs: Iterable[int]) -> None:
        """These can be told nowhere."""
        with self._store.write(sync=False) as tx:
            tx.acks.drop(seqs)

    # -- escalations ---------------------------------------------------------------------------

    def escalations(self, *, beside: int = 0) -> list[Notice]:
        """What shall stand there of messages that a person should know of, and does not yet; so many more at
        once as there are that wait."""
        now = self._clock.now()
        return escalations.notices(self._store, self.host, self.peer_name, now=now, beside=beside)

    def escalation_done(self, notice: Notice, *, number: int | None, url: str | None) -> None:
        """It stands there; without a number there was none to be closed."""
        escalations.posted(
            self._store, self.host, self.peer_name, notice, number=number, url=url, now=self._clock.now()
        )

    def is_open_notice(self, spot: IssueSpot) -> bool:
        """Whether what stands there tells a person of a message, and was left open."""
        with self._store.read() as tx:
            told = tx.escalations.get(spot.id.removeprefix(NOTICE), spot.sender)
        return spot.id.startswith(NOTICE) and told is not None and told.stands == told.state == "open"

    def escalation_closed(self, spot: IssueSpot, *, login: str) -> None:
        """A person has closed it, whose word counts."""
        key, now = (spot.sender, spot.id.removeprefix(NOTICE)), self._clock.now()
        escalations.closed(self._store, self.host, self.peer_name, key, login=login, now=now)

    def escalation_failed(self, notice: Notice, error: str) -> None:
        """It could not be told, and why."""
        escalations.failed(self._store, notice, error)

    # -- limits --------------------------------------------------------------------------------

    def keep_rate(self, rate: Rate) -> None:
        """What `status` shows of the limit."""
        with self._store.write(sync=False) as tx:
            tx.ledger.set_fact(f"rate:{self.peer_name}", _encode(rate).decode())


def spot_name(number: int, comment: int) -> str:
    """What a spot is called in the store."""
    return f"{number}-{comment}" if comment else str(number)


def spot_of(id: str) -> str:
    """What the issue that tells a person of a message is called, beside that of the message itself."""
    return f"{NOTICE}{id}"


def digest_of(*texts: str) -> bytes:
    """The digest of what stands at a spot."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()

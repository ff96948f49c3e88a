"""What a store promises: rows in and out, in transactions whose durability the caller chooses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from spool.message import Ack, Attachment
from spool.states import State
from spool.store.rows import (
    HELD_TYPE,
    Asked,
    Escalation,
    Event,
    Found,
    Heard,
    Hold,
    How,
    Incoming,
    IssueAcks,
    IssueSpot,
    KeptFile,
    LeasedAck,
    Moved,
    NewIncoming,
    NewOutgoing,
    Outgoing,
    Parcel,
    PeerRow,
    Quarantined,
    Quota,
    Reason,
    Seen,
    Session,
    Shipment,
    Side,
    Told,
    Unproven,
    Unread,
    is_held,
    written_at,
)

__all__ = [
    "HELD_TYPE",
    "AckRows",
    "Asked",
    "AttachmentRows",
    "Escalation",
    "EscalationRows",
    "Event",
    "Exists",
    "Found",
    "Heard",
    "History",
    "Hold",
    "How",
    "InboxRows",
    "Incoming",
    "IssueAcks",
    "IssueRows",
    "IssueSpot",
    "KeptFile",
    "KeptFiles",
    "LeasedAck",
    "Ledger",
    "LoopRows",
    "Moved",
    "NewIncoming",
    "NewOutgoing",
    "OutboxRows",
    "Outgoing",
    "Parcel",
    "PeerRow",
    "PeerRows",
    "PresenceRows",
    "Quarantined",
    "Quota",
    "QuotaRows",
    "Reason",
    "Seen",
    "Session",
    "SessionRows",
    "Shipment",
    "Side",
    "Store",
    "Sweepings",
    "Told",
    "Tx",
    "Unproven",
    "Unread",
    "is_held",
    "written_at",
]


class OutboxRows(Protocol):
    """Messages to deliver. Every change is refused, not repaired, where the row has moved on."""

    def put(self, row: NewOutgoing) -> int:
        """Add a queued message and return its sequence.

        Raises:
            Exists: (sender, id) is there, live or archived.
        """

    def put_local(self, row: NewOutgoing, *, at: float, host: str) -> int:
        """Add a message for an agent of this host, `received` from the start. Raises Exists."""

    def lease(self, peer: str, *, generation: int, now: float, until: float, limit: int) -> list[Parcel]:
        """Lease what is due for a peer and not expired, most urgent first.

        Empty where the generation has moved on. A lease that ran out, one of another generation (its
        link is gone or goes), or one further ahead than an hour (a clock that jumped) is free. What
        is due in more than an hour is due: nothing waits so long but for a clock that jumped. A
        message with a file that the peer does not have yet is passed over.
        """

    def release(self, parcels: Iterable[Parcel]) -> None:
        """Give leases back that were not used; a lease taken over since is left alone."""

    def advance(
        self, seq: int, id: str, new: State, *, now: float, there: float | None, host: str | None
    ) -> bool:
        """Move a live row forward on proof; False where it was there already. Ends carrying it.

        `id` is asked for since a late word may name a `seq` that was archived and given anew.
        """

    def advance_archived(
        self, id: str, sender: str, new: State, *, now: float, there: float | None, host: str | None
    ) -> bool:
        """The same for a row in the archive."""

    def defer(self, parcel: Parcel, *, due: float, reason: str) -> bool:
        """Offer it again at `due`, behind its class; False where the lease was lost."""

    def hold(self, seq: int, *, due: float, reason: str) -> bool:
        """Offer one that nobody has leased again at `due`, and count an attempt; False where it moved on."""

    def bury(self, seq: int, *, now: float, reason: str, lease: int | None = None) -> bool:
        """Make it dead; False where it has moved on or the lease was lost."""

    def revive(self, seq: int, *, now: float, expires_at: float) -> bool:
        """A dead one is queued again; False where it is not dead."""

    def finish(self, id: str, sender: str, *, outcome: str, note: str | None) -> None:
        """Keep the outcome of a done message, live or archived."""

    def drop(self, seq: int) -> bool:
        """Remove a dead row; False where it is not dead."""

    def offer_again(self, seqs: Iterable[int], *, now: float) -> None:
        """Make rows due although their state says sent: the next hop does not have them."""

    def doubt(self, peer: str) -> None:
        """How far the messages got that this peer took is not sure any more, until it has been asked."""

    def doubted(self, peer: str, *, after: int, limit: int) -> list[Outgoing]:
        """Rows above `after` in doubt, by their sequence."""

    def believe(self, keys: Iterable[tuple[str, str]]) -> None:
        """The peer has been asked about these, by sender and id; once more is nothing new."""

    def unproven(self, peer: str, *, after: int, limit: int) -> list[Unproven]:
        """Rows of a peer that stand at sent, by their sequence, from behind `after`."""

    def asked(self, sender: str, recipient: str, subject: str) -> str | None:
        """The id of the newest of the latest messages from one agent to another with this subject;
        one without an answer before one that has."""

    def exact(self, id: str, sender: str) -> Outgoing | None:
        """The live or archived row of this key."""

    def find(self, prefix: str, *, limit: int = 5) -> list[Outgoing]:
        """Live rows, then archived ones, whose id is or begins with `prefix`."""

    def ending(self, suffix: str, *, limit: int = 5) -> list[Outgoing]:
        """Live rows whose id ends with `suffix`, the newest first. Looks at every live id."""

    def pending(self, *, limit: int, states: Sequence[State], peer: str | None = None) -> list[Outgoing]:
        """Live rows in these states, in the order they would be carried."""

    def counts(self) -> dict[str, int]:
        """Live rows by state."""

    def waiting(self) -> dict[str, int]:
        """Rows to be carried, by peer."""

    def oldest_queued(self) -> float | None:
        """When the oldest row still to be carried was queued."""

    def late(self, *, now: float) -> int:
        """How many rows that are not done or dead have no answer past their deadline."""

    def answered(self, id: str, sender: str, *, by: str, peer: str) -> None:
        """Mail that says it answers this message came from a peer, or was sent here (peer ""): it counts
        if it is from the agent that was asked, or from the peer the question went to."""

    def awaits(self, id: str, sender: str, *, by: str, peer: str) -> bool:
        """Whether such mail would be its first answer."""


class InboxRows(Protocol):
    """Messages for the agents of this host."""

    def put(self, row: NewIncoming) -> int:
        """Add an unread message. Raises Exists."""

    def take(self, agent: str, *, now: float, until: float, lease: int) -> Incoming | None:
        """Lease the most urgent oldest one that is not done and count an attempt."""

    def renew(self, seq: int, lease: int, *, until: float) -> bool:
        """Hold on to a lease; False where it was lost."""

    def give_back(self, seq: int, lease: int) -> bool:
        """Free a lease; False where it was lost."""

    def mark_read(self, seq: int, *, now: float) -> bool:
        """unread -> read; False where it was read before."""

    def finish(
        self, seq: int, *, now: float, outcome: str, note: str | None, lease: int | None = None
    ) -> bool:
        """-> done; False where it is done, or the lease was lost."""

    def answered(self, id: str, agent: str) -> None:
        """This host's agent has answered the message."""

    def exact(self, id: str, sender: str) -> Incoming | None:
        """The live or archived row of this key."""

    def find(self, prefix: str, *, agent: str | None = None, limit: int = 5) -> list[Incoming]:
        """Live rows, then archived ones, whose id is or begins with `prefix`."""

    def ending(self, suffix: str, *, agent: str | None = None, limit: int = 5) -> list[Incoming]:
        """Live rows whose id ends with `suffix`, the newest first. Looks at every live id."""

    def open(
        self,
        agent: str | None,
        *,
        unread_only: bool = False,
        sender: str | None = None,
        re: str | None = None,
        thread: str | None = None,
        since: float | None = None,
        priority: int | None = None,
        limit: int = 1000,
    ) -> list[Incoming]:
        """Rows that are not done: overdue first, then by priority, then by sequence.

        `since` is when they came at the earliest, `priority` the least urgent class.
        """

    def answers(self, id: str, agent: str) -> list[Incoming]:
        """Messages for `agent` whose `re` is `id`, live and archived, oldest first."""

    def counts(self) -> dict[str, int]:
        """Live rows by state."""

    def unread(self, agent: str) -> int:
        """How many rows are unread for an agent."""

    def newest(self) -> int:
        """The highest sequence of a live row, 0 without any."""

    def unread_beyond(self, seq: int, agent: str, *, limit: int) -> list[Incoming]:
        """Unread rows of an agent with a higher sequence, in its order."""

    def oldest_unread(self) -> float | None:
        """When the oldest unread row came."""

    def unread_each(self, agent: str | None = None) -> list[Unread]:
        """The agents that have unread rows, or one of them, by name."""

    def late(self, *, now: float) -> int:
        """How many rows that are not done have no answer past their deadline."""


class AckRows(Protocol):
    """Acks on their way."""

    def put(self, peer: str, ack: Ack) -> None:
        """Add an ack for a peer; the same one again is nothing new."""

    def lease(self, peer: str, *, generation: int, now: float, until: float, limit: int) -> list[LeasedAck]:
        """Lease acks for a peer, oldest first; the rules are those of `OutboxRows.lease`."""

    def release(self, acks: Iterable[LeasedAck]) -> None:
        """Give leases back."""

    def drop(self, seqs: Iterable[int]) -> None:
        """The peer has them on disk. A `seq` is never given to a second ack: the word may come late."""

    def waiting(self) -> dict[str, int]:
        """Acks to be carried, by peer."""


class PeerRows(Protocol):
    """What is known of the peers."""

    def get(self, name: str) -> PeerRow:
        """The row of a peer, made where there is none."""

    def all(self) -> dict[str, PeerRow]:
        """Every row by name."""

    def update(self, name: str, **values: Any) -> None:
        """Set columns of a peer's row, which exists."""

    def raise_generation(self, name: str) -> int:
        """Make every older link to this peer old; returns the new generation."""

    def forget(self, name: str) -> None:
        """Remove a peer's row."""


class PresenceRows(Protocol):
    """When agents were last heard of, and what their hosts told of them. `peer` is the one that the word
    came from, "" for agents of this host."""

    def hear(self, peer: str, agents: Iterable[str], what: str, *, now: float) -> None:
        """These wrote (`message`), `read` or ended (`done`) something; kept to the second."""

    def heard(self, peer: str, agent: str | None = None) -> list[Heard]:
        """Who was heard of from a peer, or one of them, by name."""

    def tell(self, peer: str, told: Sequence[Told]) -> None:
        """All that a peer tells now, in the place of what it told before."""

    def told(self, peer: str, agent: str | None = None) -> list[Told]:
        """What a peer told last of its agents, or of one, by name."""

    def forget(self, peer: str) -> None:
        """Remove all that came from a peer."""

    def trim(self, *, keep: int) -> None:
        """Of the agents of each peer keep those that were heard of last, `keep` of them."""


class QuotaRows(Protocol):
    """What of each peer waits here: mail for agents that is not done, relayed mail still to be carried. Who
    takes some in counts it, in the same transaction; what ends or goes on its way counts itself out."""

    def get(self, peer: str) -> Quota:
        """The row of a peer, empty where there is none."""

    def all(self) -> dict[str, Quota]:
        """Every row by name."""

    def add(self, peer: str, *, messages: int, bytes: int, paid_until: float) -> None:
        """Count what came of a peer, and keep how far it has used up the messages a minute."""

    def tell(self, peer: str, *, now: float) -> None:
        """The log is told now that a peer is over its quota."""


class KeptFiles(Protocol):
    """Files of files peers that were taken and could not be removed."""

    def put(self, peer: str, file: KeptFile) -> None:
        """Remember a file; it stands in the place of another of its name."""

    def of(self, peer: str) -> list[KeptFile]:
        """Those of a peer, by name."""

    def drop(self, peer: str, names: Iterable[str]) -> None:
        """Forget files; those that are not there are none."""


class AttachmentRows(Protocol):
    """Which messages need which files, and what of them lies in the home, by name: a SHA-256 for a
    file that is whole, any other name for one on its way, which counts with its whole size."""

    def attach(self, seq: int, peer: str, files: Sequence[Attachment]) -> None:
        """A row of the outbox may be leased only once its peer has these."""

    def enclose(self, seq: int, files: Sequence[Attachment]) -> None:
        """A row of the inbox brought these."""

    def attached(self, seq: int) -> list[Shipment]:
        """What a row of the outbox needs at its peer."""

    def due(self, peer: str, *, now: float, limit: int) -> list[Shipment]:
        """Files that messages wait for which are due and not expired, for the most urgent one first."""

    def waiting(self, peer: str, sha256: str) -> list[Outgoing]:
        """The rows still to be carried that wait for this file to be at their peer."""

    def arrived(self, peer: str, sha256: str) -> None:
        """The peer has this file whole."""

    def got(self, peer: str, sha256: str, size: int) -> None:
        """The peer has so much of it."""

    def damaged(self, peer: str, sha256: str) -> int:
        """It arrived there and was not what it should be; how often that was so."""

    def lost(self, seqs: Iterable[int]) -> None:
        """The next hop of these rows may not have their files after all."""

    def used(self, peer: str | None = None, *, least: int = 0) -> int:
        """Bytes that all files have or will have, or those that one peer brought, each `least` at least."""

    def reserved(self, name: str) -> int | None:
        """Bytes that a file has or will have; None where there is none of this name."""

    def reserve(self, name: str, *, peer: str, size: int, now: float) -> None:
        """Count a file, or count it anew."""

    def wanted(self, name: str, *, now: float) -> None:
        """A file is in use now; nothing where there is none."""

    def wanted_all(self, *, now: float) -> None:
        """Every whole file is in use now."""

    def free(self, name: str) -> None:
        """Count a file no more; nothing where there is none."""

    def names(self) -> set[str]:
        """The names of all files."""

    def shown_to(self, sha256: str, agent: str) -> bool:
        """Whether a live message that an agent sent or was sent names this file."""

    def unneeded(self, *, whole_before: float, part_before: float, limit: int) -> list[str]:
        """Files that no message on its way and none of the inbox needs, last wanted that long ago."""

    def forget(self) -> None:
        """Drop what stands here of messages that are not live any more."""


class SessionRows(Protocol):
    """Who reads here, and which unread mail each was told of. Nothing here marks a message read."""

    def put(self, session: Session) -> None:
        """Add a session; it stands in the place of another of its id."""

    def update(self, id: str, **values: Any) -> bool:
        """Set columns of a session; False where there is none. Raises ValueError for an unknown column."""

    def get(self, id: str) -> Session | None:
        """A session, ended or not."""

    def open(self, agent: str | None = None) -> list[Session]:
        """Sessions that have not said that they ended, of one agent or all, oldest first. Their process
        may be gone."""

    def of_pid(self, pid: int) -> list[Session]:
        """The same of one process, the newest first."""

    def unseen(self, *, before: float, limit: int) -> list[Session]:
        """Sessions, ended or not, that were last seen by then, the longest unseen first."""

    def news(
        self, session: Session, *, ways: Collection[How], priority: int = 3, limit: int
    ) -> list[Incoming]:
        """Unread mail of its agent that the session was told of in none of these ways, as urgent as
        `priority` or more, the most urgent oldest first."""

    def count_news(self, session: Session, *, ways: Collection[How], priority: int = 3) -> int:
        """How much of that there is."""

    def announce(self, id: str, seqs: Iterable[int], how: How, *, now: float) -> None:
        """A session was told of these rows of the inbox; once more is nothing new."""

    def hear(self, id: str, *, woken_at: float, now: float) -> None:
        """What a session was woken with at that time has come through: it was told of those rows."""

    def announce_up_to(self, session: Session, seq: int, *, now: float) -> None:
        """A session was told of all unread mail of its agent up to this sequence."""

    def forget_told(self, id: str) -> None:
        """A session was told of nothing; what it once went on for stays known."""

    def forget(self, ids: Sequence[str]) -> None:
        """Remove sessions, and what was announced to sessions that are gone or of mail that is archived."""


class LoopRows(Protocol):
    """Turns that agents of this host took in threads, and what is held since one took too many. A turn
    is a message that followed mail which had come for its sender in the thread since its last one."""

    def thread_of(self, id: str) -> str | None:
        """The thread of a message that came or was sent here, live or archived: its own id where it began
        one, None where it is not known."""

    def came(self, agent: str, thread: str, *, re: str | None) -> int | None:
        """The newest mail for an agent in a thread since its last turn, None where there is none.

        The message that the thread is named after counts, and `re`, the one that is answered. The
        word of a host that it holds an agent (type `loop-held`) is no mail by itself; two are.
        """

    def turn(self, agent: str, thread: str, *, came: int, now: float, forget_before: float) -> None:
        """Count a turn, for what `came` told; older ones of the thread are forgotten."""

    def turns(self, agent: str, thread: str, *, since: float, until: float) -> int:
        """How many turns were counted after `since`, up to `until`."""

    def hold(self, hold: Hold) -> None:
        """Hold an agent in a thread; it must not be held there yet."""

    def standing(self, agent: str, thread: str) -> Hold | None:
        """The hold of an agent in a thread."""

    def holds(self) -> list[Hold]:
        """Every hold, the oldest first."""

    def end(self, agent: str, thread: str) -> bool:
        """End a hold and count from zero; False where there was none."""

    def keep(self, seq: int, *, reason: str) -> None:
        """Make a queued row of the outbox due at no time."""

    def carry(self, seq: int, *, now: float) -> None:
        """Make it due; one that has moved on is left alone."""

    def held(self, agent: str, thread: str) -> list[Outgoing]:
        """What is held of an agent in a thread, in the order in which it was sent."""

    def count(self) -> int:
        """How many messages are held."""

    def forget(self, *, before: float) -> int:
        """Remove turns that were counted before then; the number removed."""


class EscalationRows(Protocol):
    """Messages that a person is told of by another road, each once, and what fits the rules for that. Only
    what was sent from this host is looked at, and nothing that goes by `road` itself."""

    def urgent(
        self,
        *,
        after: int,
        before: float,
        now: float,
        priorities: Sequence[int],
        types: Sequence[str],
        road: str,
        limit: int,
    ) -> Found:
        """Undelivered rows behind the sequence `after` of such a priority or type, up to the first one that
        was queued later than `before`. What is held is passed over, and what stays on this host."""

    def deaths(self, *, after: int, road: str, limit: int) -> Found:
        """Dead rows whose death is behind `after` among what happened, in that order. What a person took
        back or dropped is none."""

    def died(self) -> int:
        """Where among what happened the newest is."""

    def late(self, *, limit: int) -> list[Outgoing]:
        """Rows marked as overdue for which `told_late` was not called; also what goes by the road."""

    def told_late(self, seqs: Iterable[int]) -> None:
        """These overdue rows are known; they stay overdue."""

    def waits(self, peer: str, *, before: float) -> Outgoing | None:
        """Of what waits for a peer since `before`, the one that goes first; of a long line, its beginning."""

    def put(self, row: Escalation) -> None:
        """Add one; (sender, id) must be new."""

    def get(self, id: str, sender: str) -> Escalation | None:
        """The one of this message."""

    def save(self, row: Escalation) -> None:
        """Keep it as it is now."""

    def offer(self, id: str, sender: str) -> None:
        """From now on it may stand there, although nobody has said so."""

    def open(self) -> list[Escalation]:
        """Those that are not resolved, the oldest first."""

    def count(self) -> int:
        """How many those are."""

    def due(self, peer: str | None = None, *, limit: int) -> list[Escalation]:
        """Those whose revision does not stand there yet, of one peer or all, the longest due first."""

    def forget(self, *, before: float) -> None:
        """Remove what was resolved before then and stands there so."""


class IssueRows(Protocol):
    """Where messages stand on GitHub. A `place` is a repository, whatever its peer is called here."""

    def find(self, place: str, sender: str, id: str) -> IssueSpot | None:
        """Where a message stands, or was tried to be put."""

    def named(self, place: str, id: str) -> IssueSpot | None:
        """Where the oldest message of this id stands, whoever sent it."""

    def at(self, place: str, number: int, comment: int = 0) -> IssueSpot | None:
        """The message that an issue or a comment is."""

    def put(self, place: str, spot: IssueSpot) -> None:
        """Keep where a message stands; in the place of what was known before."""

    def drop(self, place: str, sender: str, id: str) -> None:
        """It does not stand there."""

    def text(self, place: str, spot: str) -> bytes | None:
        """The digest of what was read last at a spot, as its reader names it."""

    def set_text(self, place: str, spot: str, digest: bytes, *, now: float) -> None:
        """Keep the digest of what was read there."""

    def told(self, place: str, number: int) -> IssueAcks | None:
        """The comment on an issue that says how far its messages got."""

    def tell(self, place: str, acks: IssueAcks) -> None:
        """Keep it; in the place of what was known before."""

    def forget(self, place: str, *, before: float) -> None:
        """Remove what was last touched before then."""


class Sweepings(Protocol):
    """What the sweep and the archive look for."""

    def expired(self, *, now: float, limit: int) -> list[Outgoing]:
        """Rows still to be carried, or held, past their lifetime; and those that stand at sent a day past
        it, although the next hop was asked since."""

    def overdue(self, *, now: float) -> tuple[list[Outgoing], list[Incoming]]:
        """Rows whose deadline has passed without an answer; marks them, each once."""

    def aged(self, *, now: float, after_s: float) -> list[int]:
        """What has waited `after_s` in its class: the `seq` of each. Reads all that waits."""

    def promote(self, seqs: Sequence[int], *, now: float, after_s: float) -> int:
        """Raise those of them that still wait by a class for each `after_s`; how many that were."""

    def due(self, peer: str, *, now: float) -> bool:
        """Whether a message or an ack for this peer may be leased."""

    def due_peers(self, *, now: float) -> list[str]:
        """Linked peers for which something is due."""

    def stuck(self, *, now: float) -> int:
        """How many leases end more than an hour from now: a clock that has leapt since wrote them, and
        they count as none."""

    def free_stuck(self, *, now: float) -> None:
        """End those leases."""

    def archived(self) -> int:
        """How many rows the archive has; counts them."""

    def silent(self, peer: str, *, before: float, now: float, limit: int) -> list[Outgoing]:
        """Rows that stand at sent since `before`; marks them as asked for at `now`."""

    def archive(self, *, before: float, stale_before: float, limit: int) -> Moved:
        """Move what ended by `before` to the archive, about `limit` rows, and make it searchable.

        Received or read with no end by `stale_before` counts as ended there. What asked for an answer
        and has none stays until it comes, unless it is dead or rejected; a host that only relays it
        cannot know, and moves it.
        """

    def tidy(self) -> bool:
        """Put a little of what makes the archive searchable in order; False where there was nothing to do.

        A search works without it, and takes longer the more is left.
        """

    def forget_seen(self, *, before: float, limit: int) -> int:
        """Remove dedup records older than `before`; the number removed."""


class History(Protocol):
    """What was said here, by either side. The order is that in which messages were queued or came;
    where a clock was set back, what is asked for by time may miss those around the jump."""

    def search(self, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
        """The newest rows that fit, live and archived; one from and to agents here has two."""

    def archived(self, asked: Asked, *, limit: int) -> list[Outgoing | Incoming]:
        """The newest archived rows that fit."""

    def thread(self, id: str, *, agent: str, limit: int) -> list[Outgoing | Incoming]:
        """The newest messages of a thread, with the one that began it, live and archived, which an agent
        sent or was sent; one from an agent to itself has two."""

    def page(self, side: Side, asked: Asked, *, after: int, limit: int) -> list[Outgoing | Incoming]:
        """Archived rows of a side whose `seq` is above `after`, the oldest first. Words do not count."""


class Ledger(Protocol):
    """Dedup records, events, quarantine, Huey's push task, and single facts."""

    def seen(self, sender: str, id: str) -> Seen | None:
        """The dedup record of a key."""

    def remember(self, sender: str, id: str, record: Seen) -> None:
        """Add a dedup record."""

    def event(self, event: Event) -> None:
        """Add an event."""

    def events(self, id: str, sender: str) -> list[Event]:
        """A message's events in the order they were added."""

    def quarantine(self, *, at: float, peer: str | None, name: str | None, reason: str, raw: bytes) -> bool:
        """Keep the bytes, the same for the same reason from the same peer once; False where so much of
        this peer is kept already that these are not."""

    def quarantined(self, n: int | None = None) -> list[Quarantined]:
        """All of the quarantine, oldest first, or one of it."""

    def count_quarantined(self) -> int:
        """How much is in the quarantine."""

    def drop_quarantined(self, n: int) -> bool:
        """Remove one; False where there is none."""

    def ring(self, peer: str) -> bool:
        """Add the push task of a peer; False where it stands there already."""

    def has_task(self, peer: str) -> bool:
        """Whether the push task of a peer stands there."""

    def rung(self, peer: str) -> bool:
        """Remove the push task of a peer; False where there is none."""

    def fact(self, name: str) -> str | None:
        """A single fact."""

    def set_fact(self, name: str, value: str) -> None:
        """Keep a single fact."""


class Tx(Protocol):
    """The tables, within one transaction."""

    @property
    def outbox(self) -> OutboxRows: ...
    @property
    def inbox(self) -> InboxRows: ...
    @property
    def acks(self) -> AckRows: ...
    @property
    def peers(self) -> PeerRows: ...
    @property
    def presence(self) -> PresenceRows: ...
    @property
    def quotas(self) -> QuotaRows: ...
    @property
    def kept_files(self) -> KeptFiles: ...
    @property
    def attachments(self) -> AttachmentRows: ...
    @property
    def sessions(self) -> SessionRows: ...
    @property
    def loops(self) -> LoopRows: ...
    @property
    def escalations(self) -> EscalationRows: ...
    @property
    def issues(self) -> IssueRows: ...
    @property
    def sweepings(self) -> Sweepings: ...
    @property
    def history(self) -> History: ...
    @property
    def ledger(self) -> Ledger: ...


class Exists(Exception):
    """The key is taken: outbox or inbox already have this (sender, id)."""


class Store(Protocol):
    """The database of one host. Any thread may use it; writers queue.

    A thread that is within a look opens no second one, nor a transaction within a transaction:
    that is a defect, and a RuntimeError. A look within a transaction is right.
    """

    def write(self, *, sync: bool) -> AbstractContextManager[Tx]:
        """One transaction: committed at the end of the block, undone on an exception.

        Args:
            sync: on stable storage when the block has ended; else a power cut may undo it
                (never a later one before it), a crash of the process may not.

        Raises:
            StoreError: of a known kind; nothing was changed.
        """

    def read(self) -> AbstractContextManager[Tx]:
        """A consistent look; not held while waiting for anything."""

    def free_bytes(self) -> int:
        """Space left where the database lies, for an ordinary user."""

    def check_version(self) -> None:
        """Raise StoreNewer where another version of spool has migrated the file since."""

    def close(self) -> None:
        """Close it, as often as one likes."""

"""Mending: what did not work, what is past, and peers that stopped or go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spool import doorbell, log, loops, outbox, presence
from spool.errors import AmbiguousId, BadInput, NotFound, SecretFound
from spool.looking import SHORTEST_PART, Looking, message_of, plain_id
from spool.states import State
from spool.store.base import Escalation, Event, Hold, Outgoing, Reason, Tx, is_held

if TYPE_CHECKING:
    from spool.escalation_rules import Rules


class Mending(Looking):
    """The part of Spool for people who look after a host."""

    def retry_dead(self, id: str) -> str:
        """Queue a dead message again, with a new lifetime; its id."""
        now = self._clock.now()
        row = self.sent(id)
        with self.store.write(sync=True) as tx:
            self._refuse_without_files(tx, row)
            if row.archived or not tx.outbox.revive(
                row.seq, now=now, expires_at=now + self.config.host.lifetime_s
            ):
                _refuse_archived(row)
                raise BadInput(f"{row.id} is {row.state}, not dead", id=row.id)
            tx.ledger.event(_revived(row, now, self.config.host.name))
            if row.peer:
                tx.ledger.ring(row.peer)
            else:
                # It died while it was held, before its agent here had it.
                loops.deliver(tx, row, self.config.host.name, now=now)
        doorbell.ring(self.home / "run")
        return row.id

    def holds(self, given: str) -> list[tuple[Hold, list[Outgoing]]]:
        """The holds in a thread, or the one that a held message falls under; ids may be shortened.

        Raises:
            NotFound, AmbiguousId: nothing such is held, or what was given fits several threads.
        """
        part = plain_id(given)
        every = self.held()

        def fits(id: str) -> bool:
            short = len(part) >= SHORTEST_PART
            return id == part or (short and (id.startswith(part) or id.endswith(part)))

        found = [
            (hold, rows) for hold, rows in every if fits(hold.thread) or any(fits(row.id) for row in rows)
        ]
        # A thread is named after its first message, whose whole id another may begin with.
        found = [each for each in found if each[0].thread == part] or found
        threads = sorted({hold.thread for hold, _ in found})
        if not found:
            raise NotFound(f"nothing is held in {part}", hint="`spool held` lists what is", id=part)
        if len(threads) > 1:
            raise AmbiguousId(f"{part} fits several threads: {', '.join(threads[:4])}", id=part)
        return found

    def release(self, hold: Hold) -> list[Outgoing]:
        """Let go of what is held of an agent in a thread, in order; it counts from zero then."""
        now = self._clock.now()
        with self.store.write(sync=True) as tx:
            rows = loops.release(tx, hold, self.config.host.name, now=now)
            for peer in {row.peer for row in rows if row.peer}:
                tx.ledger.ring(peer)
        doorbell.ring(self.home / "run")
        for row in rows:
            log.info("message.released", **_released(row))
        return rows

    def drop_held(self, hold: Hold) -> list[Outgoing]:
        """Make what is held of an agent in a thread dead; what it sends from now on goes."""
        with self.store.write(sync=True) as tx:
            rows = loops.drop(tx, hold, self.config.host.name, now=self._clock.now())
        for row in rows:
            log.error("message.dead", **_released(row) | {"state": State.DEAD, "error": loops.DROPPED})
        return rows

    def _refuse_without_files(self, tx: Tx, row: Outgoing) -> None:
        """Its files must be here still; where they were at the next hop, they may not be any more."""
        from spool.folder import Folder

        folder = Folder(self.home)
        if not tx.attachments.attached(row.seq):
            return
        for file in message_of(row).attachments:
            if not folder.has(file):
                raise BadInput(
                    f"{row.id}: its attachment {file.name!r} is not on this host any more",
                    hint="send it again as a new message, with --attach",
                    id=row.id,
                )
        tx.attachments.lost([row.seq])

    def drop_dead(self, id: str) -> str:
        """Remove a dead message for good; its id."""
        row = self.sent(id)
        with self.store.write(sync=True) as tx:
            if row.archived or not tx.outbox.drop(row.seq):
                _refuse_archived(row)
                raise BadInput(f"{row.id} is {row.state}, not dead", id=row.id)
        return row.id

    def drop_quarantined(self, n: int) -> None:
        """Remove one for good. Raises NotFound."""
        with self.store.write(sync=True) as tx:
            if not tx.ledger.drop_quarantined(n):
                raise NotFound(f"nothing has number {n} in the quarantine", hint="`spool quarantine list`")

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
            tx.ledger.set_fact(f"logins:{name}", "")
            tx.ledger.ring(name)
        doorbell.ring(self.home / "run")
        return True

    def forget_peer(self, name: str) -> list[str]:
        """Forget a peer that left the config; what waits for it dies with the reason. The ids of that."""
        now = self._clock.now()
        buried: list[str] = []
        with self.store.write(sync=True) as tx:
            for row in tx.outbox.pending(limit=-1, states=(State.QUEUED, State.SENT), peer=name):
                if (row.due is not None or is_held(row)) and outbox.bury(
                    tx, row, self.config.host.name, now=now, reason=f"peer {name} was removed"
                ):
                    buried.append(row.id)
            tx.ledger.rung(name)
            tx.peers.forget(name)
            tx.presence.forget(name)
        doorbell.ring(self.home / "run")
        return buried

    def escalate(self, id: str, *, reason: str = "") -> Escalation:
        """Tell a person of a message now, as the rules of `[escalation]` do by themselves.

        Once more, the reason takes the place of the old one; there is no second issue.

        Raises:
            NotFound, AmbiguousId: no such message was sent from here.
            BadInput: there is no `[escalation]`, or nothing to tell a person of.
        """
        from spool import escalations

        rules = self._escalation()
        row, now = self.sent(id), self._clock.now()
        if reason := " ".join(reason.split()):
            self._refuse_secrets(reason)
        why = Reason(escalations.BY_HAND, now, reason[: escalations.MAX_TEXT])
        with self.store.write(sync=True) as tx:
            fresh = tx.outbox.exact(row.id, row.sender)
            _refuse_escalation(fresh or row, rules)
            escalations.add(tx, self.config.host.name, row, why, road=rules.peer, now=now)
            told = tx.escalations.get(row.id, row.sender)
            tx.ledger.ring(rules.peer)
        doorbell.ring(self.home / "run")
        log.warning("message.escalated", **escalations.escalated_keys(row, why, rules.peer))
        assert told is not None
        return told

    def _refuse_secrets(self, reason: str) -> None:
        from spool import secret_rules

        if (hit := secret_rules.find(reason)) is not None:
            raise SecretFound(
                f"the reason holds what looks like a credential (rule {hit.rule}); nobody was told",
                hint="take it out: an issue is read by more people than the message",
            )

    def resolve(self, id: str) -> Escalation:
        """Close the issue of a message: somebody has dealt with it. Raises NotFound, BadInput."""
        from spool import escalations

        row, now = self.sent(id), self._clock.now()
        with self.store.write(sync=True) as tx:
            told = tx.escalations.get(row.id, row.sender)
            if told is None or told.state == "resolved":
                raise BadInput(f"{row.id} is not escalated", hint="`spool trace ID` says more", id=row.id)
            ended = escalations.resolve(tx, told, row, self.config.host.name, by="by hand", now=now)
            if told.peer in self.config.peers:
                tx.ledger.ring(told.peer)
        doorbell.ring(self.home / "run")
        log.info("escalation.resolved", **escalations.keys_of(ended))
        return ended

    def escalated(self) -> list[Escalation]:
        """What people are told of now, the oldest first."""
        with self.store.read() as tx:
            return tx.escalations.open()

    def _escalation(self) -> Rules:
        if self.config.escalation is None:
            self._reload()
        if self.config.escalation is None:
            raise BadInput(
                "this host escalates nothing: spool.toml has no [escalation]",
                hint='add it with peer = "NAME" of a github:// peer; docs/escalation.md shows how',
            )
        return self.config.escalation


def _refuse_escalation(row: Outgoing, rules: Rules) -> None:
    if row.origin is not None:
        raise BadInput(f"{row.id} came from {row.origin}: it is escalated where it was sent", id=row.id)
    if row.state is State.DONE:
        raise BadInput(f"{row.id} is done: nobody need be told of it", id=row.id)
    if row.peer == rules.peer:
        raise BadInput(f"{row.id} goes to {rules.peer} itself, where people see it", id=row.id)


def _refuse_archived(row: Outgoing) -> None:
    if row.archived:
        raise BadInput(
            f"{row.id} is {row.state} and in the archive", hint="send it again as a new message", id=row.id
        )


def _released(row: Outgoing) -> dict[str, object]:
    return outbox.out_keys(row, state=row.state, peer=row.peer or None, thread=row.thread)


def _revived(row: Outgoing, now: float, host: str) -> Event:
    return Event(row.id, row.sender, now, host, row.peer, row.state, "retried", row.attempts, "by hand")

"""The mail itself: what is old, what did not work, and the room that files take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spool import attachments
from spool.doctor.finding import Case, Finding, counted, failed, ok, warning
from spool.looking import ago
from spool.states import State
from spool.store.base import Tx
from spool.views import MAX_AGE_S

UNREAD_S: Final = 86_400.0
NEARLY_FULL: Final = 0.9


def look(case: Case) -> Iterator[Finding]:
    """Check the outbox, the inbox and what lies beside them."""
    if case.store is None:
        return
    with case.store.read() as tx:
        found = [*_old(tx, case.now), *_ended(tx, case.now), *_nowhere(tx, case), *_room(tx, case)]
        queued, unread = tx.outbox.counts().get(State.QUEUED, 0), tx.inbox.counts().get("unread", 0)
    yield from found
    if not found:
        yield ok("mail", f"{queued} queued, {unread} unread, nothing dead, held or overdue")


def _old(tx: Tx, now: float) -> Iterator[Finding]:
    queued, unread = tx.outbox.oldest_queued(), tx.inbox.oldest_unread()
    if queued is not None and now - queued > MAX_AGE_S:
        found = f"the oldest message waits here for {ago(now - queued)}"
        yield failed("mail", found, "`spool outbox`, then `spool trace ID`: each attempt has its reason")
    if unread is not None and now - unread > UNREAD_S:
        yield warning("mail", f"unread for {ago(now - unread)}", "`spool inbox`; does its agent still look?")
    if stuck := tx.sweepings.stuck(now=now):
        found = f"{counted(stuck, 'lease')} of a clock that has leapt since; they count as none"
        yield warning("mail", found, "`spool doctor --repair`")
    if late := tx.outbox.late(now=now) + tx.inbox.late(now=now):
        yield warning("mail", f"{late} overdue: an answer was wanted by now", "`spool inbox`, `spool outbox`")


def _ended(tx: Tx, now: float) -> Iterator[Finding]:
    if dead := tx.outbox.counts().get(State.DEAD, 0):
        yield warning("mail", counted(dead, "dead letter"), "`spool dead list`; then `retry` or `drop`")
    if held := tx.ledger.count_quarantined():
        yield warning("mail", f"{held} in the quarantine", "`spool quarantine list`")
    if holds := tx.loops.holds():
        found = f"{counted(len(holds), 'agent')} held, each in a thread with too many answers"
        yield failed("mail", found, "`spool held`, then `spool release THREAD`")


def _nowhere(tx: Tx, case: Case) -> Iterator[Finding]:
    if case.config is None:
        return
    for name, count in sorted(tx.outbox.waiting().items()):
        if name and name not in case.config.peers:
            found = f"{count} wait for {name}, which is no peer any more"
            yield failed("mail", found, f"`spool peer add {name} URL`, or `spool cancel ID` each")


def _room(tx: Tx, case: Case) -> Iterator[Finding]:
    if case.config is None or not (quota := case.config.host.attachments_mb * attachments.MB):
        return
    used = tx.attachments.used(least=attachments.LEAST_BYTES)
    if used > NEARLY_FULL * quota:
        found = f"attachments take {used // attachments.MB:,} of {case.config.host.attachments_mb:,} MB"
        yield warning("disk", found, "read and `spool done` their messages, or raise [host] attachments_mb")

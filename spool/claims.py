"""Who of a home's processes may reach a peer, and when: one at a time, and not too often."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

import msgspec

from spool import log, presence, retry
from spool.clock import Clock
from spool.config import Peer
from spool.errors import LinkError
from spool.files_gate import FilesGate
from spool.gate import Gate
from spool.settings import Settings
from spool.store.base import PeerRow, Store, Tx
from spool.transports.base import Exchange, Ticking

DIAL_S: Final = 90.0
LOOK_S: Final = 1.0
LONGEST_WAIT_S: Final = 7200.0
# Who is reached by a login that a host may count, and ban for.
LOGINS: Final = ("ssh", "exec", "sftp")


class Reached(NamedTuple):
    """A peer that was reached: what exchanges with it, and what stands between that and this host.

    `ticking` is the same exchange again where it waits for the timer's word.
    """

    link: Exchange
    gate: Gate
    ticking: Ticking | None = None


class Claims:
    """The peers' rows, as far as they say who reaches them and what came of it.

    Args:
        token: under which this process announced its presence.
    """

    def __init__(self, store: Store, settings: Settings, clock: Clock, *, token: str) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._token = token
        self._rng = random.Random()

    def claim(self, name: str) -> float | None:
        """Take the right to dial; else seconds until it is worth another look."""
        now = self._clock.now()
        with self._store.read() as tx:
            wait = self._wait_for(tx.peers.get(name), now)
        if wait is not None:
            return wait
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(name)
            if (wait := self._wait_for(row, now)) is not None:
                return wait
            if (delay := self._died(tx, row, now)) > 0.0:
                tx.peers.update(name, state="waiting", holder=None, holder_until=0.0, retry_at=now + delay)
                return LOOK_S
            tx.peers.update(name, state="dialling", holder=self._token, holder_until=now + DIAL_S)
        return None

    def _died(self, tx: Tx, row: PeerRow, now: float) -> float:
        """Count the login of a process that was killed with its link up; seconds to wait for it.

        What it carried nobody knows: it counts as if it had.
        """
        if row.state != "linked" or not row.dialled or row.holder in (None, self._token):
            return 0.0
        peer = self._settings.config.peers.get(row.name)
        if peer is None or peer.scheme not in LOGINS:
            return 0.0
        holds_s = FilesGate.holds_s if peer.is_files else Gate.holds_s
        lived_s = row.holder_until - holds_s - (row.linked_at or row.holder_until)
        weight = retry.CARRIED if lived_s < retry.SHORT_S else 0
        return _count_login(tx, row.name, weight, now).delay(self._rng)

    def _wait_for(self, row: PeerRow, now: float) -> float | None:
        if row.state == "stopped":
            return LOOK_S
        held = row.holder is not None and row.holder != self._token
        # A holder that is dead, or whose time is up or absurd, holds nothing.
        if held and now < row.holder_until <= now + 2 * DIAL_S:
            assert row.holder is not None
            if presence.lives(self._settings.home / "run", row.holder):
                return LOOK_S
        if row.retry_at is not None and now < row.retry_at <= now + LONGEST_WAIT_S:
            return min(LOOK_S, row.retry_at - now)
        return None

    def failed(self, peer: Peer, failure: LinkError, rng: random.Random, *, reached: Reached | None) -> None:
        """Keep why a link could not be had or ended, and when to try again."""
        now, name = self._clock.now(), peer.name
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(name)
            if row.holder not in (None, self._token):
                return
            failures = row.failures + 1
            delay = retry.peer_delay(failure, failures, rng)
            weight = _weight(peer, failure, reached, lived_s=now - (row.linked_at or now))
            if delay is not None and weight is not None:
                delay = max(delay, _count_login(tx, name, weight, now).delay(rng))
            tx.peers.update(
                name,
                state="stopped" if delay is None else "waiting",
                holder=None,
                holder_until=0.0,
                failures=failures,
                retry_at=None if delay is None else now + delay,
                error_kind=failure.kind,
                error=str(failure),
            )
        if delay is None:
            log.error("peer.stopped", peer=name, error=str(failure), kind=failure.kind)
        else:
            log.warning(
                "link.failed",
                peer=name,
                error=str(failure),
                kind=failure.kind,
                failures=failures,
                retry_s=round(delay, 1),
            )

    def gave_way(self, peer: Peer, rng: random.Random) -> None:
        """A newer link took over from this side's own: two that take turns at that must tire, too."""
        now = self._clock.now()
        self.ended(peer.name)
        if peer.scheme not in LOGINS:
            return
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(peer.name)
            delay = _count_login(tx, peer.name, retry.CARRIED, now).delay(rng)
            if delay and row.holder is None:
                tx.peers.update(peer.name, retry_at=now + delay)

    def ended(self, name: str) -> None:
        """This side ended the link, or never had it: nobody dials now."""
        with self._store.write(sync=False) as tx:
            row = tx.peers.get(name)
            if row.holder == self._token:
                state = "stopped" if row.state == "stopped" else "waiting"
                tx.peers.update(name, state=state, holder=None, holder_until=0.0)


def _weight(peer: Peer, failure: LinkError, reached: Reached | None, *, lived_s: float) -> int | None:
    """What a try counts among the logins; 0 where its link lasted, None where nobody logged in."""
    if peer.scheme not in LOGINS or (reached is None and failure.kind not in retry.LOGGED_IN):
        return None
    if reached is None or not reached.link.up.is_set():
        return retry.BARREN
    if lived_s >= retry.SHORT_S:
        return 0
    return retry.CARRIED if reached.gate.carried else retry.BARREN


def _count_login(tx: Tx, peer: str, weight: int, now: float) -> retry.Logins:
    """Count one, across the processes of this home."""
    fact = f"logins:{peer}"
    before = msgspec.json.decode(tx.ledger.fact(fact) or "[0,0.0]", type=retry.Logins)
    after = before.more(weight, now)
    tx.ledger.set_fact(fact, msgspec.json.encode(after).decode())
    return after

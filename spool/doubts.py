"""Doubts: after a restore, here or at a peer, it is asked anew how far each message got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spool.folder import Folder
from spool.message import load
from spool.states import PROOFS
from spool.store.afresh import RESTORED
from spool.store.base import Event, Outgoing, Tx

PAGE: Final = 500
MAX_TOKEN: Final = 64
_KNOWN: Final = "restores:"
_OPEN: Final = "doubts:"


def ours(tx: Tx) -> str:
    """The name of the restore that this home came from; "" where it came from none."""
    return tx.ledger.fact(RESTORED) or ""


def begin(tx: Tx, peer: str, theirs: str) -> bool:
    """A link is up: whether there is something to ask a peer about.

    What it took is in doubt where either side was restored since the last link: a restored host has
    forgotten what came to it, and what it was told. `theirs` is the name of the peer's last restore.
    """
    known = f"{ours(tx)}|{theirs[:MAX_TOKEN]}"
    if (tx.ledger.fact(_KNOWN + peer) or "|") != known:
        tx.outbox.doubt(peer)
        tx.ledger.set_fact(_KNOWN + peer, known)
        tx.ledger.set_fact(_OPEN + peer, "1")
    return bool(tx.ledger.fact(_OPEN + peer))


def end(tx: Tx, peer: str) -> None:
    """All has been asked; where an answer has not come, the next link asks again."""
    if not tx.outbox.doubted(peer, after=0, limit=1):
        tx.ledger.set_fact(_OPEN + peer, "")


def offer_again(
    tx: Tx, folder: Folder, host: str, peer: str, rows: Sequence[Outgoing], *, now: float
) -> list[int]:
    """Make due again what a peer does not know; the rows it counts for.

    One that was received or read keeps its state: so it was, before that host was restored. Without
    its files, or past its lifetime, it stays as it is.
    """
    again = []
    for row in rows:
        if row.state in PROOFS:
            if not _may_go(tx, folder, peer, row, now):
                continue
            told = "the peer was restored and has it no more: offered again"
            tx.ledger.event(Event(row.id, row.sender, now, host, peer, row.state, "lost", row.attempts, told))
        again.append(row.seq)
    tx.outbox.offer_again(again, now=now)
    tx.attachments.lost(again)
    return again


def _may_go(tx: Tx, folder: Folder, peer: str, row: Outgoing, now: float) -> bool:
    doubted = tx.outbox.doubted(peer, after=row.seq - 1, limit=1)
    if not doubted or doubted[0].seq != row.seq or row.expires_at <= now:
        return False
    files = load(row.raw, filled=row.filled, digest=row.digest).attachments
    return not tx.attachments.attached(row.seq) or all(folder.has(file) for file in files)

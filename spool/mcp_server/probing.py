"""Trying peers from within a call: side by side, and never longer than a client waits."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from spool.api import Spool
from spool.cli.checking import check
from spool.config import Peer
from spool.errors import SpoolError

WITHIN_S: Final = 25.0
LATE: Final = {
    "step": "all",
    "ok": False,
    "detail": f"no result within {WITHIN_S:.0f} s",
    "hint": "try again",
}


def probed(spool: Spool, *, within_s: float = WITHIN_S) -> dict[str, list[dict[str, Any]]]:
    """What `spool peer check` finds of each peer, by its name; a peer that takes too long is said to."""
    found: dict[str, list[dict[str, Any]]] = {}
    threads = [
        threading.Thread(target=_try, args=(spool, peer, found), daemon=True)
        for peer in spool.config.peers.values()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {name: found.get(name, [LATE]) for name in spool.config.peers}


def _try(spool: Spool, peer: Peer, found: dict[str, list[dict[str, Any]]]) -> None:
    try:
        # Its own: one that is late must not use what its caller has closed.
        with Spool(spool.home) as own:
            found[peer.name] = check(own, peer).as_dicts()
    except SpoolError as exc:
        found[peer.name] = [{"step": "check", "ok": False, "detail": exc.message, "hint": exc.hint}]

"""The peers that may post here: their secrets, and the gates between them and this host."""

from __future__ import annotations

import secrets
import threading
from typing import Final, NamedTuple

from spool import log, web_secret
from spool.config import Peer
from spool.errors import LinkError, UnknownPeer
from spool.running import Running
from spool.transports import http_signed, http_words
from spool.version import VERSION
from spool.web_gate import WebGate

# What a command says is believed for so long.
FRESH_S: Final = 300.0


class _Kept(NamedTuple):
    peer: Peer
    stamp: tuple[int, int, int] | None
    at: float
    secrets: tuple[str, ...]


class Peers:
    """The peers of a home as `spool web` knows them. Any thread may ask."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._lock = threading.Lock()
        # By peer: a command that takes its time keeps nobody else waiting.
        self._reading: dict[str, threading.Lock] = {}
        self._kept: dict[str, _Kept] = {}
        self._gates: dict[str, WebGate] = {}
        # For a name that nobody has as much is computed as for one that somebody has.
        self._nobody = (_random_secret(),)

    @property
    def request_bytes(self) -> int:
        """The longest request that is read."""
        return http_words.request_bytes(self._running.settings.config.host.max_message_bytes)

    def secrets_of(self, name: str) -> tuple[str, ...]:
        """The secrets by which a peer signs; for a name that is no peer's, one that nobody knows."""
        try:
            peer = self._running.settings.config.peer(name)
        except UnknownPeer:
            return self._nobody
        if not web_secret.has_one(peer):
            return self._nobody
        with self._lock:
            reading = self._reading.setdefault(name, threading.Lock())
        before = self._kept.get(name)
        if before is not None and before.peer == peer and reading.locked():
            # It is read anew just now; until that is over it is as it was.
            return before.secrets
        with reading:
            kept, now = self._kept.get(name), self._running.clock.monotonic()
            stamp = web_secret.stamp(peer, self._running.home)
            if kept is None or (kept.peer, kept.stamp) != (peer, stamp) or now - kept.at > FRESH_S:
                kept = _Kept(peer, stamp, now, self._read(peer, kept))
                self._kept[name] = kept
        return kept.secrets

    def gate(self, name: str) -> WebGate:
        """What takes a peer's mail. It leases nothing: that needs a session."""
        with self._lock:
            if name not in self._gates:
                self._gates[name] = self.new_gate(name)
            return self._gates[name]

    def new_gate(self, name: str) -> WebGate:
        """A gate for a session of its own."""
        running = self._running
        return WebGate(
            running.store,
            running.settings,
            name,
            clock=running.clock,
            token=running.presence.token,
            version=VERSION,
        )

    def _read(self, peer: Peer, before: _Kept | None) -> tuple[str, ...]:
        try:
            return web_secret.of(peer, self._running.home)
        except LinkError as exc:
            log.error("web.no_secret", peer=peer.name, error=str(exc), kind=exc.kind)
            # A file that is gone was taken away; a command may fail for once, and who is not believed
            # stops until a person looks.
            failed = bool(peer.secret_command) and before is not None and before.peer == peer
            return before.secrets if before is not None and failed else self._nobody


def _random_secret() -> str:
    import base64

    return http_signed.PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()

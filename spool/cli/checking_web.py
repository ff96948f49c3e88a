"""Whether an HTTPS peer can be reached, step by step: its name, its certificate, our signature, its hello."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from spool.api import Spool
from spool.config import Peer
from spool.desk import SYSTEM
from spool.errors import NoSpoolThere
from spool.running import open_web
from spool.settings import Settings
from spool.transports import http_words as words
from spool.transports.frames import Hello
from spool.version import VERSION
from spool.web_gate import WebGate

STEPS: Final = ("secret", "resolve", "connect", "certificate", "signature", "spool answers", "hello")
STOPS_AT: Final = {
    "no_credential": "secret",
    "peer_misconfigured": "secret",
    "cannot_resolve": "resolve",
    "unreachable": "connect",
    "timed_out": "connect",
    "certificate_refused": "certificate",
    "auth_refused": "signature",
    "no_spool_there": "spool answers",
    "link_lost": "spool answers",
    "not_authorised": "hello",
    "version_skew": "hello",
}


def hello_of(spool: Spool, peer: Peer) -> tuple[Hello, float]:
    """The peer's hello, and how many seconds its clock is ahead; a session that is open there stays.

    Raises:
        LinkError, BadConfig: of a known kind; see STOPS_AT.
    """
    call = open_web(peer, spool.home, as_name=spool.config.host.name)
    try:
        settings = Settings(spool.home, spool.store, SYSTEM)
        gate = WebGate(spool.store, settings, peer.name, clock=SYSTEM, token="", version=VERSION)
        asked = time.time()
        reply = call.post(words.HELLO, words.encode(words.Greet(gate.hello(), probe=True)))
        middle = (asked + time.time()) / 2
    finally:
        call.close()
    if not reply.is_good:
        raise NoSpoolThere(f"{peer.name}: it answers {reply.status}")
    try:
        hello = msgspec.json.decode(reply.body, type=words.Greeting).hello
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise NoSpoolThere(f"{peer.name}: what answers at {peer.url} is no spool") from exc
    return hello, hello.clock - middle

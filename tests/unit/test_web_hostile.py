"""HTTPS against what means ill, or stands still: nobody uses up what others need, or ends a peer for good."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from socket import socket

import httpx2
import pytest

from spool import web_secret
from spool.api import Spool
from spool.clock import Clock
from spool.config import Peer
from spool.errors import AuthRefused, LinkError, LinkLost, NoSpoolThere
from spool.settings import Settings
from spool.transports import http
from spool.transports.http import Webhook
from spool.transports.http_call import HttpCall
from spool.web import limits, server
from spool.web_gate import WebGate
from tests.desk import make_home
from tests.waiting import soon
from tests.web import Authority, Listening, letter
from tests.web_answers import Answers, answer

SECRET = "whsec_" + "A" * 43 + "="
SLOW = '[peers.slow]\nagents = ["slow-*"]\nsecret_command = ["sh", "-c", "cat {0} > /dev/null"]\n'


def test_a_request_behind_another_one_must_become_whole_too(tmp_path: Path) -> None:
    """Else one address could hold all the room there is for requests, for ever."""
    door = Listening(tmp_path, request_s=0.5)
    try:
        with door.raw() as sock:
            sock.sendall(b"GET /other HTTP/1.1\r\nhost: a\r\n\r\n")
            sock.sendall(b"POST /chat HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\nabc")
            sock.settimeout(0.1)
            assert soon(lambda: _is_ended(sock), within_s=10)
        assert [each["status"] for each in door.events("web.refused")] == [408]
    finally:
        door.close()


def _is_ended(sock: socket) -> bool:
    try:
        sock.sendall(b"a")
        return sock.recv(1000) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_one_address_fills_no_more_than_a_part_of_the_room() -> None:
    """Its bodies that are never whole must not turn all others away."""
    room = limits.Room(100)
    assert room.take("one", 25)
    assert not room.take("one", 1)
    assert room.take("other", 25)
    room.give("one", 25)
    assert room.take("one", 60, one=60), "one whole request is always let in"


def test_a_secret_that_takes_its_time_keeps_no_other_peer_waiting(tmp_path: Path) -> None:
    """Whoever claims to be that peer could else stop everybody's mail."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    door = Listening(tmp_path, peers=SLOW.format(pipe))
    asking = threading.Thread(
        target=lambda: door.client.post(f"{door.base}/chat", content=b"{}", headers={"spool-peer": "slow"})
    )
    try:
        asking.start()
        # It opens once somebody reads there: the command runs.
        with pipe.open("wb"):
            assert door.post(letter()).status_code == 200
            assert asking.is_alive()
    finally:
        asking.join(20)
        door.close()


def test_a_command_that_fails_for_once_makes_nobody_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that is not believed stops until a person looks; a file that was taken away counts at once."""
    from spool.web import peers

    monkeypatch.setattr(peers, "FRESH_S", -1.0)
    flag, other = tmp_path / "flag", tmp_path / "other.secret"
    secret = web_secret.make(other)
    command = json.dumps(["sh", "-c", f"cat {other}; test ! -e {flag}"])
    door = Listening(tmp_path, peers=f'[peers.bot]\nagents = ["bot-*"]\nsecret_command = {command}\n')
    try:
        assert door.post(_of_bot("1"), secret=secret, changed={"spool-peer": "bot"}).status_code == 200
        flag.touch()
        assert door.post(_of_bot("2"), secret=secret, changed={"spool-peer": "bot"}).status_code == 200
        assert len(door.events("web.no_secret")) == 1
        (tmp_path / "cloud.secret").unlink()
        assert door.post(letter()).status_code == 401
    finally:
        door.close()


def _of_bot(id: str) -> dict[str, str]:
    return {"id": id, "from": "bot-1", "to": "me", "subject": "s", "body": "b"}


def test_half_a_renewed_certificate_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the renewal of the two files, and where the key never follows."""
    monkeypatch.setattr(server, "LOOK_S", 0.05)
    authority = Authority(tmp_path / "authority")
    cert, key = authority.issue("here")
    door = Listening(tmp_path, tls_cert=cert, tls_key=key)
    try:
        with httpx2.Client(verify=_trusting(authority), trust_env=False) as client:
            assert client.get(f"https://127.0.0.1:{door.server.port}/other").status_code == 404
        cert.write_bytes(authority.issue("other")[0].read_bytes())
        assert soon(lambda: bool(door.events("web.bad_certificate")), within_s=10)
        with httpx2.Client(verify=_trusting(authority), trust_env=False) as client:
            assert client.get(f"https://127.0.0.1:{door.server.port}/other").status_code == 404
    finally:
        door.close()


def _trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca)


@pytest.fixture
def asking() -> Iterator[Callable[[bytes], HttpCall]]:
    """Makes what asks a server that gives one answer; closed at the end."""
    made: list[HttpCall | Answers] = []

    def make(said: bytes) -> HttpCall:
        far = Answers(lambda path, body: said)
        url = f"http://127.0.0.1:{far.port}/chat"
        peer = Peer(name="far", url=url, connect_timeout_s=5.0, secret_file="x")
        call = HttpCall(peer, (SECRET,), as_name="near", version="0", now=time.time, monotonic=time.monotonic)
        made.extend((call, far))
        return call

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(401), AuthRefused),
        (answer(401, date=formatdate(usegmt=True)), AuthRefused),
        (answer(401, date=formatdate(time.time() + 31_536_000, usegmt=True)), LinkLost),
        (answer(401, date="soon"), AuthRefused),
        (answer(204, b""), NoSpoolThere),
        (answer(418), NoSpoolThere),
        (answer(404, b'{"x":' + b"[" * 100_000), NoSpoolThere),
    ],
)
def test_an_answer_says_no_more_than_it_can(
    asking: Callable[[bytes], HttpCall], said: bytes, kind: type[LinkError]
) -> None:
    """A clock that is wrong is set some day, and a status that no spool gives is no word on a message."""
    with pytest.raises(kind):
        asking(said).post("/batch", b"{}")


def test_a_peer_that_does_not_let_us_wait_is_not_asked_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends, or means ill, answers each poll at once, with nothing."""
    monkeypatch.setattr(http, "TIRED_S", 0.4)
    hello = {
        "hello": {"f": "hello", "host": "cloud", "spool": "1", "clock": 1.0},
        "session": "s",
        "poll_s": -5,
    }
    polled: list[float] = []

    def tell(path: str, body: bytes) -> bytes:
        if path == "/chat/poll":
            polled.append(time.monotonic())
            return answer(200)
        return answer(200, json.dumps(hello).encode() if path == "/chat/hello" else b'{"host":"cloud"}')

    far, secret = Answers(tell), tmp_path / "cloud.secret"
    web_secret.make(secret)
    table = f'[peers.cloud]\nurl = "http://127.0.0.1:{far.port}/chat"\nsecret_file = "{secret}"\n'
    clock = Clock(time.time, time.monotonic)
    with Spool(make_home(tmp_path, "me", peers=table), agent="me") as spool:
        settings = Settings(spool.home, spool.store, clock)
        peer = settings.config.peer("cloud")
        shared = web_secret.of(peer, spool.home)
        call = HttpCall(peer, shared, as_name="here", version="0", now=time.time, monotonic=time.monotonic)
        gate = WebGate(spool.store, settings, "cloud", clock=clock, token="t", version="0")
        exchange = Webhook(call, gate)
        thread = threading.Thread(target=exchange.run, daemon=True)
        thread.start()
        assert soon(lambda: len(polled) >= 4, within_s=10)
        exchange.end()
        thread.join(10)
        assert not thread.is_alive()
    far.close()
    # The first one asks whether anything waits at all.
    assert all(later - before >= 0.35 for before, later in pairwise(polled[1:]))

"""The door of `spool web`: who is let in, and what of everybody else is refused, logged and not kept."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import web_secret
from spool.errors import SpoolError
from spool.transports import http_words
from spool.web import limits, patience, server
from tests.waiting import soon
from tests.web import PATH, Authority, Listening, hello, item, letter


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Listening]:
    """A home that listens."""
    made = Listening(tmp_path)
    yield made
    made.close()


def refusals(door: Listening) -> list[Any]:
    """The status of each request that the log calls refused."""
    return [each["status"] for each in door.events("web.refused")]


def test_a_signed_message_is_on_disk_when_it_is_answered(door: Listening) -> None:
    """The answer is the commit's result."""
    answer = door.post(letter())

    assert (answer.status_code, answer.json()["r"], answer.json()["final"]) == (200, "accepted", True)
    assert door.kept() == (1, 0)


@pytest.mark.parametrize(
    ("signed", "changed"),
    [
        ({"secret": "whsec_" + "A" * 43 + "="}, {}),
        ({"later_s": -400}, {}),
        ({"later_s": 400}, {}),
        ({}, {"spool-peer": "nobody"}),
        ({}, {"spool-peer": ""}),
        ({}, {"webhook-signature": "v1"}),
        ({}, {"webhook-signature": "v1,a,b"}),
        ({}, {"webhook-signature": "v1,%%%"}),
        ({}, {"webhook-signature": ""}),
        ({}, {"webhook-timestamp": "soon"}),
        ({}, {"webhook-timestamp": "nan"}),
        ({}, {"webhook-id": ""}),
        ({}, {"webhook-id": "another"}),
    ],
)
def test_what_is_not_believed_is_answered_with_the_same_words(
    door: Listening, signed: dict[str, Any], changed: dict[str, str]
) -> None:
    """A stranger learns neither which peers there are nor what was wrong."""
    if "later_s" in signed:
        signed = {"at": time.time() + signed["later_s"]}
    answer = door.post(letter(), changed=changed, **signed)

    assert (answer.status_code, answer.content) == (401, b'{"error":"not believed"}')
    assert not {"server", "x-powered-by", "www-authenticate"} & set(answer.headers)
    assert door.kept() == (0, 0)
    assert refusals(door) == [401]


def test_a_body_that_is_no_text_is_not_believed(door: Listening) -> None:
    """The signature is over text; bytes that are none end in no traceback."""
    headers = door.signed(b"{}")

    assert door.post(b"\xff\xfe", headers=headers).status_code == 401


def test_another_body_under_the_same_signature_is_not_believed(door: Listening) -> None:
    """Who stands in between changes nothing."""
    headers = door.signed(json.dumps(letter()).encode())

    assert door.post(letter(body="other"), headers=headers).status_code == 401


def test_a_batch_that_is_posted_again_is_refused(door: Listening) -> None:
    """What was recorded on its way is of no use to who recorded it."""
    headers = door.signed(body := json.dumps({"messages": [item()]}).encode())

    first, second = (door.post(body, "/batch", headers=headers) for _ in range(2))

    assert first.json()["results"][0]["r"] == "accepted"
    assert second.status_code == 401
    assert door.kept() == (1, 0)
    assert [each["error"] for each in door.events("web.refused")] == ["this request came before"]


def test_a_script_that_asks_again_has_the_same_answer_and_one_message(door: Listening) -> None:
    """It does not know whether the first try arrived: the same webhook-id makes the same message."""
    said = {"from": "cloud-1", "to": "me", "subject": "No id"}

    first, second = (door.post(said, id="try-1").json() for _ in range(2))

    assert first["id"] == second["id"]
    assert (first.get("again", False), second["again"]) == (False, True)
    assert door.kept() == (1, 0)


def test_what_is_too_long_is_refused_by_its_length(door: Listening) -> None:
    """Before any of it is read."""
    door.client.timeout = 5
    with door.raw() as sock:
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")
    assert refusals(door) == [413]


def test_what_is_too_long_without_a_length_is_cut_off(door: Listening) -> None:
    """A chunked body says nothing of its length: what is read of it is bounded all the same."""
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with door.raw() as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        answer = b""
        try:
            for _ in range(2 * http_words.LEAST_BYTES // 0x10000):
                sock.sendall(piece)
            answer = sock.recv(100)
        except OSError:
            # It is closed while more is on its way: the answer may be lost with that.
            pass
    assert answer[:13] in (b"", b"HTTP/1.1 413 ")
    assert soon(lambda: refusals(door) == [413])


def test_what_is_compressed_is_refused(door: Listening) -> None:
    """A small body may be a large one."""
    assert door.post(letter(), changed={"content-encoding": "gzip"}).status_code == 415


HEAD = b"POST /chat HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize("begun", [b"", HEAD, HEAD + b"content-length: 9\r\n\r\nx"])
def test_a_request_that_does_not_become_whole_is_ended(tmp_path: Path, begun: bytes) -> None:
    """However it dawdles, byte by byte: connections are few."""
    door = Listening(tmp_path, request_s=0.5)
    try:
        with door.raw() as sock:
            began = time.monotonic()
            sock.sendall(begun)
            assert _end_of(sock, trickle=b"a" if begun else b"") < 10
            assert time.monotonic() - began >= 0.4
        assert soon(lambda: refusals(door) == [408])
        assert door.post(letter()).status_code == 200
    finally:
        door.close()


def test_a_handshake_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it there is no request to count the time of."""
    monkeypatch.setattr(patience, "HANDSHAKE_S", 0.4)
    cert, key = Authority(tmp_path / "authority").issue("here")
    door = Listening(tmp_path, tls_cert=cert, tls_key=key)
    try:
        with door.raw() as sock:
            assert _end_of(sock, trickle=b"") < 10
    finally:
        door.close()


def _end_of(sock: socket.socket, *, trickle: bytes) -> float:
    """Seconds until the other side ends it, with a byte sent now and then."""
    began = time.monotonic()
    sock.settimeout(0.1)
    while time.monotonic() - began < 15:
        try:
            if trickle:
                sock.sendall(trickle)
            if not sock.recv(100):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


GARBAGE = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"A" * 40_000)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_request_is_answered_and_ended(door: Listening, garbage: bytes) -> None:
    """The next one is served as ever."""
    with door.raw() as sock:
        sock.sendall(garbage)
        sock.settimeout(10)
        try:
            while sock.recv(1000):
                pass
        except ConnectionError:
            pass
    assert soon(lambda: refusals(door) == [400])
    assert door.kept() == (0, 0)
    assert door.post(letter()).status_code == 200


def test_one_address_has_only_so_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More are closed at once; where one ends, there is room again."""
    monkeypatch.setattr(patience, "MOST_EACH", 3)
    door = Listening(tmp_path)
    try:
        stand = [door.raw() for _ in range(3)]
        with door.raw() as one_more:
            assert one_more.recv(10) == b""
        stand.pop().close()
        assert soon(lambda: _is_open(door))
        for sock in stand:
            sock.close()
        assert len(door.events("web.full")) >= 1
    finally:
        door.close()


def _is_open(door: Listening) -> bool:
    with door.raw() as sock:
        sock.settimeout(0.2)
        try:
            return sock.recv(10) != b""
        except TimeoutError:
            return True
        except ConnectionError:
            return False


def test_who_fails_again_and_again_is_told_to_wait(door: Listening) -> None:
    """And fills no log; an honest peer at the same address is served all the while."""
    answers = [door.post(letter(), secret="whsec_" + "A" * 43 + "=") for _ in range(15)]

    assert [each.status_code for each in answers] == [401] * 10 + [429] * 5
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert len(refusals(door)) == 10
    assert door.post(letter()).status_code == 200


def test_a_peer_that_asks_too_often_is_told_when_to_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is taken meanwhile."""
    monkeypatch.setattr(limits, "PEER", limits.Rate(0.5, 2.0))
    door = Listening(tmp_path)
    try:
        answers = [door.post(letter(f"msg-{n}")) for n in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] in ("2", "3")
        assert door.kept() == (2, 0)
    finally:
        door.close()


@pytest.mark.parametrize("path", ["/", "/chat/", "/chat/x", "/.env", "/chat/../etc"])
def test_elsewhere_there_is_nothing(door: Listening, path: str) -> None:
    """Nor a word of what there is."""
    answer = door.client.post(door.base + path, content=b"{}")

    assert answer.status_code == 404
    assert b"spool" not in answer.content.lower()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"no json", "/batch"),
        (b"[" * 5000, "/batch"),
        (b'{"messages":[{"m":1}]}', "/batch"),
        (b'{"messages":"x"}', "/batch"),
        (b'{"hello":{"f":"hello"}}', "/hello"),
        (b"null", "/poll"),
    ],
)
def test_a_peer_that_posts_nonsense_is_told_so(door: Listening, body: bytes, path: str) -> None:
    """And nothing of it is kept."""
    answer = door.post(body, path)

    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert door.kept() == (0, 0)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"no json", "not JSON"),
        (b"[]", "no object"),
        (b"[" * 5000, "JSON"),
        ({"from": "cloud-1", "subject": "x"}, "to"),
        (letter(subject="AKIA" + "Z7QX" * 4), "subject"),
        (letter(body="x" * 200_000), "bytes"),
    ],
)
def test_a_message_that_cannot_be_taken_is_refused_with_the_reason(
    door: Listening, said: Any, why: str
) -> None:
    """The script that posted it is told, so nothing of it need be kept here."""
    answer = door.post(said)

    assert (answer.status_code, answer.json()["r"]) == (422, "refused")
    assert why in answer.json()["why"]
    assert door.kept() == (0, 0)


def test_nobody_speaks_for_agents_of_others(door: Listening) -> None:
    """A secret is of one peer: what it says for another is put aside, as over a link."""
    answer = door.post(letter(**{"from": "desk-1"}))

    assert (answer.status_code, answer.json()["r"]) == (422, "refused")
    assert door.kept() == (0, 1)


def test_a_secret_is_changed_without_a_pause(door: Listening) -> None:
    """Both are believed while the file names both."""
    path = door.home.parent / "cloud.secret"
    old, new = door.secret, web_secret.make(door.home.parent / "new.secret")
    path.write_text(f"{new},{old}\n")

    answers = [door.post(letter(id), secret=each) for id, each in (("msg-1", old), ("msg-2", new))]
    assert [each.status_code for each in answers] == [200, 200]

    path.write_text(f"{new}\n")
    assert soon(lambda: door.post(letter("msg-3"), secret=old).status_code == 401)
    assert door.post(letter("msg-4"), secret=new).status_code == 200


def test_a_peer_without_a_secret_may_not_post(tmp_path: Path) -> None:
    """One that dials over ssh has no key here; a stranger that takes its name has none either."""
    door = Listening(tmp_path, peers='[peers.desk]\nagents = ["desk-*"]\n')
    try:
        assert door.post(letter(), changed={"spool-peer": "desk"}).status_code == 401
    finally:
        door.close()


def test_requests_of_many_at_once_hold_only_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers must not fill the memory with bodies that are never whole; what is given up is room again."""
    monkeypatch.setattr(limits, "ROOM_BYTES", 100_000)
    door = Listening(tmp_path)
    try:
        half = b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"x" * 90_000
        with door.raw() as sock:
            sock.sendall(half)
            assert soon(lambda: door.post(letter(body="y" * 50_000)).status_code == 503, within_s=10)
        assert soon(lambda: door.post(letter(body="y" * 50_000)).status_code == 200, within_s=10)
    finally:
        door.close()


def test_it_ends_at_once_with_polls_that_wait(door: Listening) -> None:
    """A signal must not wait for the longest poll."""
    session = hello(door)
    answers: list[int] = []
    thread = threading.Thread(
        target=lambda: answers.append(door.post({"session": session, "wait_s": 25}, "/poll").status_code)
    )
    thread.start()
    assert soon(lambda: door.server.polls() == 1)
    began = time.monotonic()
    door.server.stop()
    thread.join(10)

    assert time.monotonic() - began < 5
    assert answers == [200]


def test_a_certificate_is_renewed_while_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections from then on are shown the new one; one that cannot be used changes nothing."""
    monkeypatch.setattr(server, "LOOK_S", 0.05)
    old, new = (Authority(tmp_path / name) for name in ("old", "new"))
    cert, key = old.issue("here")
    door = Listening(tmp_path, tls_cert=cert, tls_key=key)
    try:
        assert _is_believed(door, old)
        cert.write_text("nothing")
        assert soon(lambda: door.events("web.bad_certificate") != [])
        assert _is_believed(door, old)

        for made, place in zip(new.issue("here"), (cert, key), strict=True):
            place.write_bytes(made.read_bytes())

        assert soon(lambda: _is_believed(door, new), within_s=10)
        assert not _is_believed(door, old)
    finally:
        door.close()


def _is_believed(door: Listening, authority: Authority) -> bool:
    context = ssl.create_default_context(cafile=authority.ca)
    with door.raw() as sock:
        try:
            with context.wrap_socket(sock, server_hostname="127.0.0.1"):
                return True
        except ssl.SSLCertVerificationError:
            return False


def test_a_place_that_is_taken_is_told(door: Listening, tmp_path: Path) -> None:
    """With what to do; nothing is left behind."""
    (tmp_path / "second").mkdir()
    before = set(threading.enumerate())
    with pytest.raises(SpoolError, match="cannot listen on"):
        Listening(tmp_path / "second", listen=f"127.0.0.1:{door.server.port}")
    assert soon(lambda: not [each for each in set(threading.enumerate()) - before if each.name == "web"])

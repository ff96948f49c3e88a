"""What asks an HTTPS peer: whatever goes wrong is an error of a known kind that says what to do."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool.config import Peer
from spool.errors import (
    AuthRefused,
    CannotResolve,
    CertificateRefused,
    LinkError,
    LinkLost,
    NoSpoolThere,
    NotAuthorised,
    PeerMisconfigured,
    TimedOut,
    Unreachable,
    VersionSkew,
)
from spool.transports import http_call
from spool.transports.http_call import HttpCall
from tests.waiting import Background, soon
from tests.web import Authority
from tests.web_answers import CLOSE, SILENCE, Answers, answer

SECRET = "whsec_" + "A" * 43 + "="
Told = Callable[[str, bytes], bytes]


@pytest.fixture
def asking() -> Iterator[Callable[..., HttpCall]]:
    """Makes what asks a url; closed at the end."""
    made: list[HttpCall] = []

    def make(url: str, **values: str) -> HttpCall:
        peer = Peer(name="far", url=url, connect_timeout_s=5.0, secret_file="x", **values)
        call = HttpCall(peer, (SECRET,), as_name="near", version="0", now=time.time, monotonic=time.monotonic)
        made.append(call)
        return call

    yield make
    for call in made:
        call.close()


@pytest.fixture
def answers() -> Iterator[Callable[..., Answers]]:
    """Makes servers; closed at the end."""
    made: list[Answers] = []

    def make(tell: Told, context: ssl.SSLContext | None = None) -> Answers:
        made.append(Answers(tell, context=context))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthRefused),
        (403, NotAuthorised),
        (404, NoSpoolThere),
        (405, NoSpoolThere),
        (301, NoSpoolThere),
        (409, LinkLost),
        (426, VersionSkew),
    ],
)
def test_a_status_that_ends_the_exchange_is_an_error(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers], status: int, kind: type[LinkError]
) -> None:
    """Of the kind that has the right rule for what comes next."""
    server = answers(lambda path, body: answer(status, location="http://127.0.0.1:1/"))
    with pytest.raises(kind):
        asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}")
    assert len(server.asked) == 1


def test_refused_logins_stop_the_peer() -> None:
    """A host that bans for failed logins must not ban us: a person looks first."""
    assert AuthRefused.stops
    assert NotAuthorised.stops


@pytest.mark.parametrize(
    ("status", "said", "after_s"),
    [
        (503, "7", 7.0),
        (429, "100000", http_call.LONGEST_WAIT_S),
        (500, "", 0.0),
        (502, "soon", 0.0),
        (408, "-5", 0.0),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (503, "Thu, 31 Dec 2099 00:00:00 GMT", http_call.LONGEST_WAIT_S),
    ],
)
def test_a_status_that_passes_says_when_to_ask_again(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers], status: int, said: str, after_s: float
) -> None:
    """Retry-After is seconds or a date, and is believed within reason."""
    server = answers(lambda path, body: answer(status, retry_after=said))
    reply = asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}")

    assert (reply.is_later, reply.is_good, reply.retry_after_s) == (True, False, after_s)


def test_one_connection_serves_many_requests(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """A handshake for each message would cost more than the message."""
    server = answers(lambda path, body: answer(200))
    call = asking(f"http://127.0.0.1:{server.port}/chat/")
    for _ in range(5):
        call.post("/batch", b"{}")

    assert [path for path, _ in server.asked] == ["/chat/batch"] * 5
    assert server.connections == 1


def test_a_connection_that_was_closed_while_silent_is_made_anew(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """The far side may close it in the very moment it is used again: that is no failure of the peer."""
    said = iter([answer(200), CLOSE, answer(200)])
    server = answers(lambda path, body: next(said))
    call = asking(f"http://127.0.0.1:{server.port}/chat")

    assert [call.post("/batch", b"{}").status for _ in range(2)] == [200, 200]
    assert len(server.asked) == 3


def test_one_that_always_closes_is_lost(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """Not asked for ever: twice."""
    server = answers(lambda path, body: CLOSE)
    with pytest.raises(LinkLost):
        asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}")
    assert len(server.asked) == 2


def test_silence_has_an_end(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A far side that hangs is noticed."""
    monkeypatch.setattr(http_call, "ANSWER_S", 0.3)
    server = answers(lambda path, body: SILENCE)
    with pytest.raises(TimedOut):
        asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}")


def test_an_answer_without_end_has_one(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a peer says must not fill the memory here."""
    monkeypatch.setattr(http_call, "MOST_ANSWER", 1000)
    server = answers(lambda path, body: answer(200, b"x" * 5000))
    with pytest.raises(LinkLost, match="without end"):
        asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}")


def test_closing_wakes_who_waits(asking: Callable[..., HttpCall], answers: Callable[..., Answers]) -> None:
    """A consumer that ends must not wait for a long poll."""
    server = answers(lambda path, body: SILENCE)
    call = asking(f"http://127.0.0.1:{server.port}/chat")
    waiting = Background(lambda: call.post("/poll", b"{}", wait_s=60))
    assert soon(lambda: bool(server.asked))
    began = time.monotonic()
    call.close()

    assert isinstance(waiting.raised(), LinkError)
    assert time.monotonic() - began < 2


def test_a_connection_that_is_made_while_it_closes_is_not_left_open(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """The client does not know of it yet when it is closed; unclosed, it would be told as a warning."""
    server = answers(lambda path, body: answer(200))
    call = asking(f"http://127.0.0.1:{server.port}/chat")
    trace = call._trace
    made: list[Any] = []

    def late(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            made.append(info["return_value"])
            call.close()
        trace(event, info)

    call._trace = late  # type: ignore[method-assign]
    with pytest.raises(LinkLost, match="ended here"):
        call.post("/batch", b"{}")

    assert made[0].get_extra_info("socket").fileno() == -1


def test_nobody_there_is_unreachable(asking: Callable[..., HttpCall]) -> None:
    """And no such name is told apart from it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(Unreachable, match="peer check far"):
        asking(f"http://127.0.0.1:{port}/chat").post("/batch", b"{}")
    with pytest.raises(CannotResolve):
        asking("https://no-such-host.invalid/chat").post("/batch", b"{}")


@pytest.mark.parametrize(
    ("host", "days", "says"), [("127.0.0.1", -1, "expired"), ("127.0.0.2", 1, "IP address mismatch")]
)
def test_a_certificate_that_is_not_to_be_believed_is_told(
    tmp_path: Path,
    asking: Callable[..., HttpCall],
    answers: Callable[..., Answers],
    host: str,
    days: int,
    says: str,
) -> None:
    """Nothing is said to such a host, and it is no reason to stop: certificates are renewed."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("far", host=host, days=days))
    server = answers(lambda path, body: answer(200), context=context)
    with pytest.raises(CertificateRefused, match=says) as raised:
        asking(f"https://127.0.0.1:{server.port}/chat", ca_file=str(authority.ca)).post("/batch", b"{}")
    assert (server.asked, raised.value.stops) == ([], False)


def test_an_authority_that_nobody_knows_is_told(
    tmp_path: Path, asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """The remedy is named: its certificate as ca_file."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("far"))
    server = answers(lambda path, body: answer(200), context=context)
    url = f"https://127.0.0.1:{server.port}/chat"
    with pytest.raises(CertificateRefused, match="ca_file"):
        asking(url).post("/batch", b"{}")
    assert asking(url, ca_file=str(authority.ca)).post("/batch", b"{}").status == 200


def test_what_speaks_no_tls_is_no_spool(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers]
) -> None:
    """https:// to a port that speaks plain HTTP."""
    server = answers(lambda path, body: answer(400))
    with pytest.raises(NoSpoolThere, match="TLS"):
        asking(f"https://127.0.0.1:{server.port}/chat").post("/batch", b"{}")


def test_a_ca_file_that_is_none_is_told(tmp_path: Path, asking: Callable[..., HttpCall]) -> None:
    """Before anything is asked."""
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(PeerMisconfigured, match="ca_file"):
        asking("https://127.0.0.1:1/chat", ca_file=str(tmp_path / "ca.pem"))


def test_a_proxy_of_the_environment_is_not_asked(
    asking: Callable[..., HttpCall], answers: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read all of it, and who set it had a browser in mind."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = answers(lambda path, body: answer(200))

    assert asking(f"http://127.0.0.1:{server.port}/chat").post("/batch", b"{}").is_good

"""Signed requests to one HTTPS peer over connections that stay open; errors of a known kind."""

from __future__ import annotations

import contextlib
import secrets as random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

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
from spool.transports import http_signed
from spool.transports.frames import MAX_FRAME
from spool.transports.http_words import PEER, Trouble

ANSWER_S: Final = 15.0
# The far side keeps a silent connection for longer.
KEEP_S: Final = 60.0
MOST_ANSWER: Final = 4 * MAX_FRAME
LONGEST_WAIT_S: Final = 900.0
TOLD: Final = 300
# What was asked cannot be had, whoever asks again.
TURNED_AWAY: Final = (400, 413, 422)
_OPTIONS: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
# What breaks a connection that stood silent, and may do so just as it is used again.
_STALE: Final = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


class Reply(NamedTuple):
    """What came back: a status, its body, after how many seconds to ask again, where it says so, and by how
    many seconds the clock there is ahead."""

    status: int
    body: bytes
    retry_after_s: float
    ahead_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether it was taken."""
        return self.status == 200

    @property
    def is_later(self) -> bool:
        """Whether the same is worth another try, later."""
        return self.status in (408, 425, 429) or self.status >= 500


class HttpCall:
    """Asks one peer, in any thread.

    Args:
        secrets: shared with it, the one in use first.
        as_name: the name under which the far side knows this host.

    Raises:
        PeerMisconfigured: its `ca_file` cannot be used.
    """

    def __init__(
        self,
        peer: Peer,
        secrets: tuple[str, ...],
        *,
        as_name: str,
        version: str,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.peer = peer
        self._secrets = secrets
        self._as_name = as_name
        self._now = now
        self._monotonic = monotonic
        self._open: list[Any] = []
        self._lock = threading.Lock()
        self._closed = False
        self._client = httpx2.Client(
            headers={
                "user-agent": f"spool/{version}",
                "accept-encoding": "identity",
                "content-type": "application/json",
            },
            # A proxy of the environment would read all of it where the url is http://.
            trust_env=False,
            timeout=httpx2.Timeout(ANSWER_S, connect=peer.connect_timeout_s),
            transport=httpx2.HTTPTransport(
                verify=_trusted(peer),
                trust_env=False,
                socket_options=_OPTIONS,
                limits=httpx2.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=KEEP_S),
            ),
        )

    def post(self, path: str, body: bytes, *, wait_s: float = 0.0) -> Reply:
        """Ask, and wait for the answer; what a connection lost that had been silent is asked again.

        Args:
            path: below that of the peer's url.
            wait_s: for how long the far side may take its time, beside what an answer takes.

        Raises:
            LinkError: there is no answer, or one that says that none is to be had.
        """
        try:
            return self._said(self._asked(path, body, wait_s))
        except _STALE:
            with self._translated():
                return self._said(self._asked(path, body, wait_s))

    def close(self) -> None:
        """End it, from any thread, as often as one likes; whoever waits is woken. Never raises."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for stream in self._open:
                # A close alone wakes nobody who reads; and behind a close, this no longer would.
                with contextlib.suppress(OSError, AttributeError):
                    stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError):
            self._client.close()

    def _asked(self, path: str, body: bytes, wait_s: float) -> Reply:
        if self._closed:
            raise LinkLost(f"{self.peer.name}: ended here")
        headers = http_signed.sign(self._secrets, body, id=f"req_{random.token_hex(16)}", now=self._now())
        timeout = httpx2.Timeout(ANSWER_S + wait_s, connect=self.peer.connect_timeout_s)
        with (
            self._translated(but=_STALE),
            self._client.stream(
                "POST",
                self.peer.url.rstrip("/") + path,
                content=body,
                headers={**headers, PEER: self._as_name},
                timeout=timeout,
                extensions={"trace": self._trace},
            ) as answer,
        ):
            body = self._read(answer, wait_s)
            return Reply(
                answer.status_code, body, self._retry_after(answer.headers), self._ahead(answer.headers)
            )

    def _read(self, answer: httpx2.Response, wait_s: float) -> bytes:
        # Each piece has its own time limit; the whole needs one too.
        until = self._monotonic() + 4 * ANSWER_S + wait_s
        parts, size = [], 0
        for part in answer.iter_raw():
            parts.append(part)
            size += len(part)
            if size > MOST_ANSWER or self._monotonic() > until:
                raise LinkLost(f"{self.peer.name}: an answer without end")
        return b"".join(parts)

    def _retry_after(self, headers: httpx2.Headers) -> float:
        """Seconds: RFC 9110 has them, or a date."""
        said = headers.get("retry-after", "0")
        try:
            wait_s = float(said) if said.isdigit() else parsedate_to_datetime(said).timestamp() - self._now()
        except (ValueError, OverflowError):
            return 0.0
        return min(max(0.0, wait_s), LONGEST_WAIT_S)

    def _ahead(self, headers: httpx2.Headers) -> float:
        try:
            return parsedate_to_datetime(headers.get("date", "")).timestamp() - self._now()
        except (ValueError, OverflowError):
            return 0.0

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                # Few: those that are over went with their successors.
                self._open = [*self._open[-8:], info["return_value"]]
                if self._closed:
                    # The client does not know of it yet, and would leave it open.
                    info["return_value"].close()
                    raise LinkLost(f"{self.peer.name}: ended here")

    def _said(self, reply: Reply) -> Reply:
        name, text = self.peer.name, _trouble(reply.body)
        match reply.status:
            case 401 if abs(reply.ahead_s) > http_signed.TOLERANCE_S:
                # The secret may be right, and a clock is set by itself: this passes.
                raise LinkLost(
                    f"{name}: its clock and this host's are {abs(reply.ahead_s):.0f} s apart, so it does not"
                    " believe our signature",
                    hint="set the clock that is wrong",
                )
            case 401:
                raise AuthRefused(
                    f"{name}: it does not believe our signature",
                    hint="compare the secret, the name of the peer there and both clocks,"
                    f" then `spool peer resume {name}`",
                )
            case 403:
                raise NotAuthorised(f"{name}: {text or 'it may not be asked'}")
            case 426:
                raise VersionSkew(f"{name}: {text or 'another version'}")
            case 404 | 405:
                raise NoSpoolThere(f"{name}: no spool at {self.peer.url}", hint="compare its [web] path")
            case 409:
                raise LinkLost(f"{name}: {text or 'the session is over'}")
            case status if 300 <= status < 400:
                raise NoSpoolThere(
                    f"{name}: {self.peer.url} leads elsewhere", hint="give the url it leads to"
                )
            case status if not (reply.is_good or reply.is_later or status in TURNED_AWAY):
                # Something in between: no word on a message.
                raise NoSpoolThere(f"{name}: {self.peer.url} answers {status}, as no spool does")
        return reply

    @contextlib.contextmanager
    def _translated(self, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as exc:
            if isinstance(exc, but) and not self._closed:
                raise
            raise _known(exc, self.peer) from exc
        except (RuntimeError, httpx2.InvalidURL) as exc:
            # The client was closed by another thread, or the url is none.
            raise LinkLost(f"{self.peer.name}: {exc}") from exc


def _known(exc: httpx2.TransportError, peer: Peer) -> LinkError:
    causes = list(_causes(exc))
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return CertificateRefused(
                    f"{peer.name}: {peer.url}: {cause.verify_message}",
                    hint="give the certificate of its authority as ca_file, or renew the one it shows",
                )
            case ssl.SSLError():
                return NoSpoolThere(
                    f"{peer.name}: {peer.url} speaks no TLS that fits: {cause.reason or cause}"
                )
            case socket.gaierror():
                return CannotResolve(f"{peer.name}: {peer.url}: {cause.strerror or cause}")
    said = f"{peer.name}: {peer.url}: {exc or type(exc).__name__}"
    match exc:
        case httpx2.ConnectError():
            return Unreachable(said, hint=f"try `spool peer check {peer.name}`")
        case httpx2.TimeoutException():
            return TimedOut(f"{peer.name}: no answer in time from {peer.url}")
        case httpx2.UnsupportedProtocol():
            return PeerMisconfigured(said)
        case _:
            return LinkLost(said)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _trusted(peer: Peer) -> ssl.SSLContext | bool:
    if not peer.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=Path(peer.ca_file).expanduser())
    except (OSError, ssl.SSLError) as exc:
        raise PeerMisconfigured(f"[peers.{peer.name}] ca_file: {peer.ca_file}: {exc}") from exc


def _trouble(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Trouble).error[:TOLD]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""

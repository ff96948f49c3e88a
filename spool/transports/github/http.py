"""One HTTP exchange with GitHub: paced, bounded, and every way it can fail told as an error of spool."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

from spool.clock import Clock
from spool.errors import (
    AuthRefused,
    LinkLost,
    NoRepository,
    NotAuthorised,
    PeerMisconfigured,
    RateLimited,
    TimedOut,
    Unreachable,
)
from spool.transports.github.answers import Rate, Trouble, ahead_of, rate_of, wait_of
from spool.version import VERSION

API: Final = "2022-11-28"
MOST_BYTES: Final = 64 * 1024 * 1024
# GitHub's advice: a second between writes; after a secondary limit that names no time a minute, then longer.
PACE_S: Final = 1.0
SECONDARY_S: Final = 60.0
LONGEST_S: Final = 3600.0
# Longer than from one look to the next; a connection that GitHub has closed meanwhile is noticed.
KEPT_S: Final = 45.0
_SECONDARY: Final = re.compile(r"secondary rate limit|abuse detection|rate limit exceeded", re.IGNORECASE)


class Answer(NamedTuple):
    """What came back: 200, 201 or 304."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Declined(Exception):
    """GitHub will not do this one thing, and has not done it; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Http:
    """The connection to one API. One thread uses it; `close` is for any.

    Args:
        token: reads the token; asked again where the one in use is refused, since some live for an hour.
        what: names the repository in errors.

    Attributes:
        rate: what the last answer said of the primary limit.
        ahead_s: by how many seconds GitHub's clock is ahead of this host's.
    """

    def __init__(
        self, base: str, token: Callable[[], str], clock: Clock, *, what: str, timeout_s: float
    ) -> None:
        self._token_of = token
        self._token = token()
        self._clock = clock
        self._what = what
        self._timeout_s = timeout_s
        self._closed = threading.Event()
        self._wrote_at = float("-inf")
        self._secondary = 0
        self.rate: Rate | None = None
        self.ahead_s = 0.0
        self._client = httpx2.Client(
            base_url=base,
            timeout=timeout_s,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=2, keepalive_expiry=KEPT_S),
            headers={
                "accept": "application/vnd.github+json",
                "x-github-api-version": API,
                "user-agent": f"agent-spool/{VERSION}",
            },
        )

    @property
    def now(self) -> float:
        """This host's clock."""
        return self._clock.now()

    def close(self) -> None:
        """End it, from any thread, as often as one likes; a wait ends, too. Never raises."""
        self._closed.set()
        self._client.close()

    def get(self, path: str, params: Mapping[str, str] | None = None, *, etag: str | None = None) -> Answer:
        """Read something; 304 only where `etag` is given. Raises LinkError, Declined."""
        return self._ask("GET", path, params=params, etag=etag)

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        """Change something, a second after the last change at the soonest.

        Raises:
            Declined: it was not done.
            RateLimited, AuthRefused, NotAuthorised, Unreachable: it was not done.
            LinkError: of any other kind: nobody knows.
        """
        wait_s = self._wrote_at + PACE_S - self._clock.monotonic()
        if wait_s > 0 and self._closed.wait(wait_s):
            raise LinkLost("ended here")
        try:
            return self._ask(method, path, body=body)
        finally:
            self._wrote_at = self._clock.monotonic()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
    ) -> Answer:
        self._refuse_spent()
        answer = self._send(method, path, params, body, etag)
        if answer.status == 401 and self._has_new_token():
            answer = self._send(method, path, params, body, etag)
        self.rate = rate_of(answer.headers, now=self.now) or self.rate
        self.ahead_s = ahead_of(answer.headers, now=self.now)
        if answer.status in (200, 201) or (answer.status == 304 and etag is not None):
            self._secondary = 0
            return answer
        raise self._failure(answer, is_write=body is not None)

    def _refuse_spent(self) -> None:
        """GitHub may ban who goes on asking with nothing left."""
        if self.rate is not None and self.rate.left == 0 and (wait := self.rate.reset_at - self.now) > 0:
            raise self._limited("no requests left", wait + 1)

    def _has_new_token(self) -> bool:
        before, self._token = self._token, self._token_of()
        return self._token != before

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        etag: str | None,
    ) -> Answer:
        headers = {"authorization": f"Bearer {self._token}"}
        if etag is not None:
            headers["if-none-match"] = etag
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            headers["content-type"] = "application/json"
        try:
            with self._client.stream(method, path, params=params, content=content, headers=headers) as answer:
                return Answer(answer.status_code, answer.headers, self._body(answer))
        except httpx2.ConnectError as exc:
            raise Unreachable(f"{self._what}: {_plain(exc)}", hint="check the network, and base_url") from exc
        except httpx2.TimeoutException as exc:
            raise TimedOut(f"{self._what}: no answer within {self._timeout_s:.0f} s") from exc
        except (httpx2.HTTPError, httpx2.StreamError, RuntimeError, OSError, ValueError) as exc:
            # The last three: another thread has closed the client.
            raise LinkLost(f"{self._what}: {_plain(exc)}") from exc

    def _body(self, answer: httpx2.Response) -> bytes:
        """The whole body; one that is endless, or comes drop by drop, is none."""
        until = self._clock.monotonic() + 4 * self._timeout_s
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise LinkLost(f"{self._what}: an answer of more than {MOST_BYTES:,} bytes")
            if self._clock.monotonic() > until:
                raise TimedOut(f"{self._what}: an answer did not end within {4 * self._timeout_s:.0f} s")
        return b"".join(parts)

    # -- what an answer means that is none ------------------------------------------------------

    def _failure(self, answer: Answer, *, is_write: bool) -> Exception:
        told = _told(answer.body)
        if answer.status in (403, 429) and (limited := self._limit(answer, told)) is not None:
            return limited
        match answer.status:
            case 401:
                hint = "give it another token, then `spool peer resume`"
                return AuthRefused(f"{self._what}: GitHub refuses the token: {told}", hint=hint)
            case 301 | 302 | 307 | 308:
                hint = "name the repository by its new name in the peer's url"
                return PeerMisconfigured(f"{self._what}: it has moved", hint=hint)
            case 403 if is_write and re.search("locked|commenting is disabled", told, re.IGNORECASE):
                return Declined(403, told)
            case 403:
                hint = "it needs to read and write issues (classic: scope repo); then `spool peer resume`"
                return NotAuthorised(f"{self._what}: the token may not do that: {told}", hint=hint)
            case 400 | 404 | 410 | 413 | 422:
                return Declined(answer.status, told)
            case status if status >= 500:
                return LinkLost(f"{self._what}: GitHub answers {status}: {told}")
            case status:
                return LinkLost(f"{self._what}: an answer {status} that makes no sense: {told}")

    def _limit(self, answer: Answer, told: str) -> RateLimited | None:
        """In GitHub's order: Retry-After, then the reset of what is used up, then at least a minute."""
        wait_s = wait_of(answer.headers, now=self.now)
        rate = rate_of(answer.headers, now=self.now)
        if wait_s is None and rate is not None and rate.left == 0:
            wait_s = rate.reset_at - self.now + 1
        if wait_s is None and (answer.status == 429 or _SECONDARY.search(told)):
            wait_s = SECONDARY_S * 2.0 ** min(self._secondary, 4)
            self._secondary += 1
        return None if wait_s is None else self._limited(told, wait_s)

    def _limited(self, why: str, wait_s: float) -> RateLimited:
        wait_s = min(max(wait_s, 1.0), LONGEST_S)
        return RateLimited(f"{self._what}: rate limit: {why}; on again in {wait_s:.0f} s", after_s=wait_s)

    def missing(self) -> NoRepository:
        """What a 404 of the repository itself means."""
        return NoRepository(
            f"{self._what}: no such repository, or the token may not see it",
            hint="check the url; a private repository needs a token that may read it",
        )


def _told(body: bytes) -> str:
    """What an answer says for people, on one line."""
    try:
        trouble = msgspec.json.decode(body[:100_000], type=Trouble)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "it does not say why"
    text = trouble.message
    if isinstance(trouble.errors, list):
        text = "; ".join([text, *(_error(each) for each in trouble.errors[:3])])
    return (
        " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300] or "it does not say why"
    )


def _error(each: object) -> str:
    if not isinstance(each, dict):
        return str(each)
    return " ".join(str(each[key]) for key in ("field", "code", "message") if each.get(key))


def _plain(exc: Exception) -> str:
    return str(exc)[:200] or type(exc).__name__

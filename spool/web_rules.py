"""`[web]` of spool.toml, and the urls and secrets of HTTPS peers: what they may say."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import msgspec

PORT: Final = 8888
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[web]`: where `spool web` takes what HTTPS peers post.

    Without `tls_cert` it speaks plain HTTP, on loopback or, with `behind_proxy`, behind a proxy that speaks
    TLS and says in X-Forwarded-For who asks. `tls_key` is left out where the certificate's file holds it.
    """

    listen: str = f"127.0.0.1:{PORT}"
    path: str = "/chat"
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False


class _Table(msgspec.Struct, frozen=True):
    web: Web


class Listen(NamedTuple):
    """Where to listen."""

    host: str
    port: int


class Posting(Protocol):
    """What of a peer says how it is reached by HTTPS."""

    @property
    def url(self) -> str: ...
    @property
    def is_web(self) -> bool: ...
    @property
    def secret_file(self) -> str: ...
    @property
    def secret_command(self) -> list[str]: ...
    @property
    def secret_env(self) -> str: ...


def read(given: dict[str, Any]) -> Web:
    """The table as toml has it. Raises msgspec.ValidationError, which names the key."""
    return msgspec.convert({"web": given}, _Table).web


def listen(web: Web) -> Listen:
    """Take `host:port` apart, an IPv6 address in brackets. Raises ValueError."""
    host, colon, port = web.listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{web.listen!r} is not host:port")
    if host.startswith("[") and host.endswith("]"):
        return Listen(str(ipaddress.IPv6Address(host[1:-1])), int(port))
    if not _HOST.fullmatch(host):
        raise ValueError(f"{web.listen!r} is not host:port")
    return Listen(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and cannot be reached from another one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def problems(web: Web) -> Iterator[str]:
    """What is wrong with the table, one line each."""
    try:
        host, _ = listen(web)
    except ValueError as exc:
        yield f"[web] listen: {exc}, such as 127.0.0.1:{PORT}"
        return
    if not _PATH.fullmatch(web.path):
        yield f'[web] path: {web.path!r} is not a path such as "/chat"'
    if web.tls_key and not web.tls_cert:
        yield "[web] tls_key: without tls_cert it is of no use"
    if not web.tls_cert and not web.behind_proxy and not is_loopback(host):
        yield (
            f"[web] listen: {web.listen} can be reached from elsewhere, and speaks no TLS;"
            " give tls_cert, or listen on 127.0.0.1, or say behind_proxy = true"
        )


def problems_of(peer: Posting) -> Iterator[str]:
    """What is wrong with how a peer is reached by HTTPS, and with the secret shared with it."""
    named = [bool(peer.secret_file), bool(peer.secret_command), bool(peer.secret_env)]
    if sum(named) > 1:
        yield "secret_file, secret_command, secret_env: one of them says where the secret is"
    if peer.secret_env and not _ENV.fullmatch(peer.secret_env):
        yield f"secret_env: {peer.secret_env!r} is no variable's name"
    if not peer.is_web:
        return
    yield from _bad_url(peer.url)
    if not any(named):
        yield "secret_file: an https:// peer shares a secret with us; `spool web --new-secret FILE` makes one"


def _bad_url(url: str) -> Iterator[str]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        yield f"url: {url}: {exc}"
        return
    if (
        not (_HOST.fullmatch(host) or is_loopback(host) or ":" in host)
        or port == 0
        or parts.username is not None
        or parts.query
        or parts.fragment
        or not _PATH.fullmatch(parts.path.rstrip("/") or "-")
        or re.search(r"\s", url)
    ):
        yield f"url: {url!r} is not of the form https://host:{PORT}/chat"
    elif parts.scheme == "http" and not is_loopback(host):
        yield f"url: {url}: whoever is on the way could read it; use https://"

"""From `send()` to the far disk over HTTPS, beside a link through the same delay in the same run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from bench import delay, mail, spread
from bench.frame import Figure, Found, Limit, Row, Yardstick
from bench.ground import Ground, arrivals
from spool import Spool
from tests.hosts import Host, hosts, until
from tests.web import Authority, dials_by_web, serving

PACE_S: Final = 0.02
SENDS: Final = 300
ONE_WAY_S: Final = 0.01
WITHIN_S: Final = 60.0
LIMITS: Final = (Limit("tail", 100.0),)


def measure(ground: Ground) -> Found:
    """Idle on loopback and at 20 ms round trip: what is posted, and what waits for a poll."""
    figures = [figure for latency_s in (0.0, ONE_WAY_S) for figure in _both(ground, latency_s)]
    return Found(figures=figures)


def _both(ground: Ground, latency_s: float) -> list[Figure]:
    count = ground.scaled(SENDS, least=100)
    over = ", 20 ms round trip" if latency_s else ""
    with ground.linked("link", latency_s=latency_s) as two:
        two.up()
        link = _timed(two.near, "bo", count)
    with _joined(ground, latency_s) as (near, far):
        posted, polled = _timed(near, "bo", count), _timed(far, "al", count)
    yardstick = Yardstick(what="the same over a link", median=link.median, tail=link.tail)
    return [
        Figure(
            what=f"{what}{over}",
            unit="ms",
            median=took.median,
            tail=took.tail,
            count=count,
            yardstick=yardstick,
            limits=LIMITS,
        )
        for what, took in (
            ("`send()` to stored, posted over TLS", posted),
            ("`send()` to stored, fetched by a long poll over TLS", polled),
        )
    ]


@contextlib.contextmanager
def _joined(ground: Ground, latency_s: float) -> Iterator[tuple[Host, Host]]:
    """`near` with its consumer posts to the `spool web` of `far`, a delay between them."""
    folder = ground.place("web")
    authority = Authority(folder / "authority")
    cert, key = authority.issue("far")
    with (
        hosts(folder, near=["al"], far=["bo"]) as (near, far),
        contextlib.ExitStack() as kept,
    ):
        dials_by_web(near, far, "https://127.0.0.1:1/chat", ca=authority.ca)
        web = kept.enter_context(serving(far, tls_cert=cert, tls_key=key))
        port = kept.enter_context(delay.proxy(web.port, latency_s))
        near.peer("far", url=f"https://127.0.0.1:{port}/chat")
        near.start()
        until(lambda: near.peer_state("far") == far.peer_state("near") == "linked", within_s=WITHIN_S)
        yield near, far
        # Before what it is linked to.
        near.close()


def _timed(host: Host, to: str, count: int) -> spread.Spread:
    began: dict[str, float] = {}
    with host.api() as spool:
        mail.send(spool, to)
        spread.paced(count, PACE_S, lambda: _begin(spool, to, began))
        return spread.of(arrivals(spool, began))


def _begin(spool: Spool, to: str, began: dict[str, float]) -> None:
    at = time.time()
    began[mail.send(spool, to)] = at


ROWS: Final = (Row("webhook", "From `send()` to the far disk over HTTPS", measure),)

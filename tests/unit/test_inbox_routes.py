"""Where a message that comes from a peer goes, by the address its sender wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import inbox
from spool.api import Spool
from spool.message import seal
from spool.transports.base import Accepted, Outcome, Refused
from tests.desk import Turned, clocked, make_home


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """The host `here`, with the agent `me`."""
    with clocked(make_home(tmp_path, "me"), Turned()) as made:
        yield made


def brought(spool: Spool, to: str, *, hops: list[str]) -> Outcome:
    """What becomes of a message from the peer `cloud` to this address."""
    message = seal({"from": "cloud-1", "to": to, "body": "x"}, id="m-1", timestamp="2025-11-13T10:30:45Z")
    arrival = inbox.Arrival(message.raw, message.filled, ttl_s=60.0, hops=hops)
    cloud = spool.config.peer("cloud")
    return inbox.accept(spool.store, spool.config, spool._router(), cloud, [arrival], now=1.0).outcomes[0]


@pytest.mark.parametrize("to", ["me", "me@here", "me@what-cloud-calls-us"])
def test_straight_from_its_origin_the_hosts_name_is_the_origins_word_for_us(spool: Spool, to: str) -> None:
    """A peer is named by who dials it; the far [host] name may be another."""
    assert isinstance(brought(spool, to, hops=[]), Accepted)


def test_through_another_host_an_unknown_name_is_nobodys(spool: Spool) -> None:
    """There it was not us that was meant."""
    assert isinstance(brought(spool, "me@elsewhere", hops=["hub"]), Refused)


def test_an_agent_that_does_not_read_here_is_refused_by_any_name(spool: Spool) -> None:
    """The host's name alone is no address."""
    assert isinstance(brought(spool, "you@what-cloud-calls-us", hops=[]), Refused)

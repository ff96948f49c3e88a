"""A far host that lets us in no more, shows another key, or has no room for us: we stop, or wait longer."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts import Host, dials_by_ssh, hosts, until
from tests.mail import assert_once, await_known, linked, peer_row
from tests.proxy import FaultProxy
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(110)

# Long enough for a dozen dials of who would not stop.
WATCHED_S = 1.5
PATIENT_S = 45.0


class Road(NamedTuple):
    """`near` dials `far` through a proxy that counts its connections."""

    near: Host
    far: Host
    sshd: Sshd
    proxy: FaultProxy

    def authorized(self) -> Path:
        return self.sshd.folder / "authorized_keys"

    def stops_as(self, kind: str, *, times: int = 1) -> None:
        """It stops, and dials no more however much is to be carried; the reason is told."""
        until(lambda: self.near.peer_state("far") == "stopped", PATIENT_S, f"it did not stop as {kind}")
        assert peer_row(self.near, "far").error_kind == kind
        dialled = self.proxy.connections
        with self.near.api() as spool:
            spool.send("fay", id="waits", subject="x")
        time.sleep(WATCHED_S)
        assert self.proxy.connections == dialled
        assert [event["kind"] for event in self.near.log("peer.stopped")] == [kind] * times

    def goes_on(self) -> None:
        """A person has mended it and says so: what waited arrives, once."""
        self.near.cli("peer", "resume", "far")
        await_known(self.near, ["first", "waits"], PATIENT_S)
        assert_once(self.far, ["first", "waits"])


@contextlib.contextmanager
def road(folder: Path, config: str = "") -> Iterator[Road]:
    """Nothing runs yet."""
    with (
        Sshd(folder / "sshd", config=config) as sshd,
        FaultProxy(sshd.port) as proxy,
        hosts(folder, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"], port=proxy.port)
        yield Road(near, far, sshd, proxy)


@pytest.fixture
def linked_road(tmp_path: Path) -> Iterator[Road]:
    """Up, and something came over it."""
    with road(tmp_path) as made:
        made.near.start()
        until(lambda: linked(made.near, "far"), PATIENT_S)
        with made.near.api() as spool:
            spool.send("fay", id="first", subject="x")
        await_known(made.near, ["first"], PATIENT_S)
        yield made


def test_a_key_that_is_let_in_no_more_stops_the_peer(linked_road: Road) -> None:
    """It is offered once: a host that bans for failed logins must not ban us. Expired, then removed."""
    let_in = linked_road.authorized().read_text()
    for n, instead in enumerate((f'expiry-time="20200101",{let_in}', "")):
        linked_road.authorized().write_text(instead)
        linked_road.sshd.kill_sessions()

        linked_road.stops_as("auth_refused", times=n + 1)

        assert linked_road.sshd.logged().count("Failed publickey") == n + 1
        linked_road.authorized().write_text(let_in)
        linked_road.goes_on()
        until(lambda: linked(linked_road.near, "far"), PATIENT_S)


def test_another_host_key_stops_the_peer_and_nothing_is_sent(linked_road: Road) -> None:
    """Not even our name: the login is not begun."""
    logins = linked_road.sshd.logged().count("Accepted publickey")
    linked_road.sshd.restart_with_new_host_key()

    linked_road.stops_as("host_key_changed")

    logged = linked_road.sshd.logged()
    assert logged.count("Accepted publickey") == logins and "Failed publickey" not in logged
    linked_road.near.peer("far", host_key=linked_road.sshd.host_key)
    linked_road.goes_on()


def test_a_host_with_no_room_for_us_is_asked_more_and_more_rarely(tmp_path: Path) -> None:
    """`MaxStartups 1`, and somebody else has that one; when they are gone, the mail goes."""
    with road(tmp_path, "MaxStartups 1") as far_off, contextlib.ExitStack() as before_us:
        stranger = before_us.enter_context(socket.create_connection(("127.0.0.1", far_off.sshd.port)))
        assert stranger.recv(4) == b"SSH-"
        with far_off.near.api() as spool:
            id = spool.send("fay", subject="x")
        far_off.near.start()
        until(lambda: len(far_off.near.log("link.failed")) >= 3, PATIENT_S)

        row = peer_row(far_off.near, "far")
        assert (row.error_kind, row.state in ("waiting", "dialling")) == ("unreachable", True)
        assert "MaxStartups" in (row.error or "")
        # One second, two, four: each between half and the whole of it.
        for n, event in enumerate(far_off.near.log("link.failed")):
            assert 2**n / 2 - 0.1 <= event["retry_s"] <= 2**n
        before_us.close()
        await_known(far_off.near, [id], PATIENT_S)
        assert_once(far_off.far, [id])

"""Who of a home's processes may dial a peer, and what is kept of a link that could not be had or ended."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import config_edit, presence, retry
from spool.claims import DIAL_S, LONGEST_WAIT_S, LOOK_S, Claims, Reached
from spool.clock import Clock
from spool.config import Peer
from spool.errors import AuthRefused, LinkError, LinkLost, NoSpoolThere, Unreachable
from spool.files_gate import FilesGate
from spool.gate import Gate
from spool.settings import Settings
from spool.store.base import PeerRow
from spool.store.sqlite import SqliteStore
from tests.desk import Turned, make_home

AT = 1_000_000.0
PEERS = '[peers.far]\nurl = "ssh://u@h"\n[peers.other]\nurl = "ssh://u@h"\n'


class Home:
    """One process that may dial the peer `far`, the announcement of another one, and a clock to turn."""

    def __init__(self, folder: Path) -> None:
        self.path = make_home(folder, "me", peers=PEERS)
        self.now = Turned(AT)
        self.store = SqliteStore(self.path)
        clock = Clock(self.now, self.now)
        self.settings = Settings(self.path, self.store, clock)
        self.rng = random.Random(7)
        self.another = presence.Presence(self.path / "run", "consumer", now=0.0, version="1")
        self.claims = Claims(self.store, self.settings, clock, token="mine-1")

    def close(self) -> None:
        self.another.close()
        self.store.close()

    def set(self, **values: Any) -> None:
        """What stands in the peer's row."""
        with self.store.write(sync=False) as tx:
            tx.peers.update("far", **values)

    def row(self) -> PeerRow:
        """The peer's row."""
        with self.store.read() as tx:
            return tx.peers.get("far")

    def peer(self) -> Peer:
        """The peer as the config has it."""
        return self.settings.config.peer("far")

    def points(self) -> int | None:
        """What its short logins count; None where none was counted."""
        with self.store.read() as tx:
            fact = tx.ledger.fact("logins:far")
        return None if fact is None else msgspec.json.decode(fact, type=retry.Logins).points

    def count(self, points: int) -> None:
        """Let its short logins count so much."""
        with self.store.write(sync=False) as tx:
            tx.ledger.set_fact("logins:far", msgspec.json.encode(retry.Logins(points, self.now.at)).decode())

    def claim(self) -> float | None:
        return self.claims.claim("far")

    def fails(self, failure: LinkError, reached: Reached | None = None) -> None:
        self.claims.failed(self.peer(), failure, self.rng, reached=reached)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a peer that can be dialled."""
    made = Home(tmp_path)
    yield made
    made.close()


def reached(*, up: bool, carried: int) -> Reached:
    """A peer that was logged in to."""
    link, gate = _Ended(), _Ended()
    if up:
        link.up.set()
    gate.carried = carried
    both: Any = (link, gate)
    return Reached(*both)


class _Ended:
    """As much of a link and its gate as counts when it has ended."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.carried = 0


# -- who may dial ----------------------------------------------------------------------------------


def test_a_peer_that_nobody_holds_may_be_dialled(home: Home) -> None:
    """For so long the others leave it alone; a process that hangs in a login does not keep it for ever."""
    assert home.claim() is None
    assert home.row() == PeerRow(name="far", state="dialling", holder="mine-1", holder_until=AT + DIAL_S)


def test_what_another_process_holds_is_left_alone(home: Home) -> None:
    """Two links of one home would take each other's mail away."""
    home.set(holder=home.another.token, holder_until=AT + 0.1)

    assert home.claim() == LOOK_S
    assert home.row().holder == home.another.token


@pytest.mark.parametrize(
    ("holder", "ahead_s", "free"),
    [
        ("another", 0.0, True),
        ("another", 2 * DIAL_S, False),
        ("another", 2 * DIAL_S + 0.1, True),
        ("dead", 50.0, True),
        ("mine", 50.0, True),
    ],
)
def test_who_is_dead_or_out_of_time_holds_nothing(
    home: Home, holder: str, ahead_s: float, free: bool
) -> None:
    """Nor does one whose time was written by a clock that was wrong; nor this process itself."""
    tokens = {"another": home.another.token, "dead": "consumer-1-0", "mine": "mine-1"}
    home.set(holder=tokens[holder], holder_until=AT + ahead_s)

    assert (home.claim() is None) is free


def test_a_peer_that_was_stopped_is_not_dialled(home: Home) -> None:
    """Only a person may decide that; what this process asks is to be asked again in a while."""
    home.set(state="stopped")

    assert home.claim() == LOOK_S
    assert home.row().state == "stopped"


@pytest.mark.parametrize(
    ("ahead_s", "wait_s"),
    [
        (10.0, LOOK_S),
        (0.25, 0.25),
        (0.0, None),
        (-5.0, None),
        (LONGEST_WAIT_S, LOOK_S),
        (LONGEST_WAIT_S + 1, None),
    ],
)
def test_it_is_not_dialled_before_its_time(home: Home, ahead_s: float, wait_s: float | None) -> None:
    """A time further ahead than any wait was written by a clock that was wrong."""
    home.set(retry_at=AT + ahead_s)

    assert home.claim() == wait_s


# -- what a failure leaves -------------------------------------------------------------------------


def test_a_failure_is_kept_with_the_time_of_the_next_try(home: Home) -> None:
    """`status` shows it, and every process of the home waits."""
    home.set(failures=2)
    home.claim()
    home.fails(Unreachable("far: no route"))

    row = home.row()
    assert (row.state, row.holder, row.holder_until, row.failures) == ("waiting", None, 0.0, 3)
    assert (row.error_kind, row.error) == ("unreachable", "far: no route")
    assert row.retry_at is not None and AT < row.retry_at < AT + LONGEST_WAIT_S


def test_each_failure_in_a_row_waits_longer(home: Home) -> None:
    """By how many there were, and not by the first alone."""
    waits = []
    for failures in (0, 8):
        home.set(failures=failures)
        home.fails(Unreachable("far: no route"))
        waits.append((home.row().retry_at or 0.0) - AT)

    assert waits[0] * 4 < waits[1]


def test_what_only_a_person_can_mend_stops_the_peer(home: Home) -> None:
    """Trying on with a wrong key gets this host banned there."""
    home.fails(AuthRefused("far: no key fits"))

    assert (home.row().state, home.row().retry_at) == ("stopped", None)


def test_a_failure_is_nothing_to_who_lost_the_peer(home: Home) -> None:
    """Another process has a link to it by now."""
    home.set(holder=home.another.token, state="linked", holder_until=AT + 9)
    home.fails(NoSpoolThere("far: nobody"))

    assert (home.row().state, home.row().failures, home.points()) == ("linked", 0, None)


@pytest.mark.parametrize(
    ("failure", "how", "lived_s", "points"),
    [
        (Unreachable("x"), None, 0.0, None),
        (NoSpoolThere("x"), None, 0.0, retry.BARREN),
        (LinkLost("x"), reached(up=False, carried=0), 0.0, retry.BARREN),
        (LinkLost("x"), reached(up=True, carried=0), 5.0, retry.BARREN),
        (LinkLost("x"), reached(up=True, carried=1), 5.0, retry.CARRIED),
        (Unreachable("x"), reached(up=True, carried=1), retry.SHORT_S - 0.1, retry.CARRIED),
        (LinkLost("x"), reached(up=True, carried=0), retry.SHORT_S, 0),
        (LinkLost("x"), reached(up=False, carried=1), retry.SHORT_S, retry.BARREN),
    ],
)
def test_a_login_counts_by_what_came_of_it(
    home: Home, failure: LinkError, how: Reached | None, lived_s: float, points: int | None
) -> None:
    """Hosts ban who logs in again and again; one whose link lasted, or that never got in, does not count."""
    home.set(linked_at=AT)
    home.now.at += lived_s
    home.fails(failure, how)

    assert home.points() == points


def test_a_link_of_which_no_beginning_is_known_did_not_last(home: Home) -> None:
    """It counts as a short one, since nothing says otherwise."""
    home.fails(LinkLost("x"), reached(up=True, carried=1))

    assert home.points() == retry.CARRIED


def test_too_many_short_logins_wait_however_soon_the_failure_would(home: Home) -> None:
    """Four an hour are the most then."""
    home.count(retry.PATIENCE)
    home.fails(LinkLost("x"), reached(up=True, carried=1))

    assert (home.row().retry_at or 0.0) >= AT + retry.CAREFUL_S


def test_a_folder_of_this_host_is_logged_in_to_by_nobody(tmp_path: Path) -> None:
    """However often it fails, nobody is asked for a password there."""
    home = Home(tmp_path)
    config_edit.set_peer(home.path, "far", {"url": "dir:", "inbox": "/nonexistent/in"})
    home.settings.refresh()
    try:
        home.fails(NoSpoolThere("x"), reached(up=False, carried=0))
        home.claims.gave_way(home.peer(), home.rng)
        left = {"state": "linked", "dialled": True, "linked_at": AT - 2, "retry_at": None}
        home.set(**left, holder="consumer-1-0", holder_until=AT - 1)
        assert home.claim() is None
        assert home.points() is None
    finally:
        home.close()


# -- what a killed process leaves ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "points"),
    [
        ({}, retry.CARRIED),
        ({"linked_at": AT - 100.0}, 0),
        ({"linked_at": AT - 1.0 - Gate.holds_s - retry.SHORT_S}, 0),
        ({"linked_at": AT - 0.9 - Gate.holds_s - retry.SHORT_S}, retry.CARRIED),
        ({"linked_at": None}, retry.CARRIED),
        ({"dialled": False}, None),
        ({"state": "dialling"}, None),
        ({"holder": None}, None),
        ({"holder": "mine-1"}, None),
    ],
)
def test_the_login_of_a_killed_process_counts(home: Home, values: dict[str, Any], points: int | None) -> None:
    """It could say nothing of it; one that is killed and started in turns logs in each time."""
    until = AT - 1.0
    left = {"state": "linked", "dialled": True, "holder": "consumer-1-0", "linked_at": AT - 5.0}
    home.set(**{**left, "holder_until": until, **values})

    assert home.claim() is None
    assert home.points() == points


def test_a_files_peer_holds_for_longer_and_its_time_is_reckoned_by_that(home: Home) -> None:
    """Its last word stands further behind the end of its hold than that of a link."""
    config_edit.set_peer(home.path, "far", {"url": "sftp://u@h", "inbox": "/in"})
    home.settings.refresh()
    began = AT - FilesGate.holds_s - retry.SHORT_S
    home.set(state="linked", dialled=True, holder="consumer-1-0", holder_until=AT, linked_at=began + 0.1)
    home.claim()
    short = home.points()
    home.set(state="linked", dialled=True, holder="consumer-1-0", holder_until=AT, linked_at=began)
    home.claim()

    assert (short, home.points()) == (retry.CARRIED, 0)


def test_who_is_killed_again_and_again_waits_like_the_others(home: Home) -> None:
    """The peer's row says until when, to every process."""
    home.count(retry.PATIENCE)
    home.set(
        state="linked", dialled=True, holder="consumer-1-0", holder_until=AT - 1, linked_at=AT - 2, failures=4
    )

    assert home.claim() == LOOK_S
    row = home.row()
    assert (row.state, row.holder, row.holder_until, row.failures) == ("waiting", None, 0.0, 4)
    assert (row.retry_at or 0.0) >= AT + retry.CAREFUL_S


# -- an end without a failure ----------------------------------------------------------------------


@pytest.mark.parametrize(("state", "then"), [("linked", "waiting"), ("stopped", "stopped")])
def test_an_end_on_purpose_frees_the_peer(home: Home, state: str, then: str) -> None:
    """At once, and what a person stopped meanwhile stays stopped."""
    home.claim()
    home.set(state=state)
    home.claims.ended("far")

    row = home.row()
    assert (row.state, row.holder, row.holder_until) == (then, None, 0.0)


def test_an_end_takes_nothing_from_who_holds_the_peer_now(home: Home) -> None:
    """The newer link goes on."""
    home.set(state="linked", holder=home.another.token, holder_until=AT + 9)
    home.claims.ended("far")

    assert (home.row().state, home.row().holder) == ("linked", home.another.token)


def test_giving_way_counts_and_does_not_wait_at_first(home: Home) -> None:
    """Once is what happens when a far host is started anew."""
    home.claim()
    home.claims.gave_way(home.peer(), home.rng)

    assert (home.row().state, home.row().retry_at, home.points()) == ("waiting", None, retry.CARRIED)


@pytest.mark.parametrize("held", [False, True])
def test_two_that_take_turns_at_giving_way_tire(home: Home, held: bool) -> None:
    """Where nobody holds the peer now: one that has a link needs no time for the next."""
    if held:
        home.set(holder=home.another.token, holder_until=AT + 9)
    home.count(retry.PATIENCE)
    home.claims.gave_way(home.peer(), home.rng)

    assert ((home.row().retry_at or 0.0) >= AT + retry.CAREFUL_S) is not held


def test_one_peer_s_logins_are_not_another_s(home: Home) -> None:
    """Each is another host, with its own patience."""
    home.count(retry.PATIENCE)
    home.claims.failed(
        home.settings.config.peer("other"), LinkLost("x"), home.rng, reached=reached(up=True, carried=1)
    )

    with home.store.read() as tx:
        assert (tx.peers.get("other").retry_at or 0.0) < AT + 600.0

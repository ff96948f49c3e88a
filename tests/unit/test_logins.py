"""How often a peer is logged in to whose links do not last, by a clock that the test turns."""

from __future__ import annotations

import itertools
import random
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import config_edit, errors, presence, retry
from spool.carrier import Carrier
from spool.claims import Reached
from spool.clock import Clock
from spool.errors import LinkError, LinkLost
from spool.files_gate import FilesGate
from spool.gate import Gate
from spool.running import Running
from spool.settings import Settings
from spool.store.sqlite import SqliteStore
from spool.transports import frames
from tests.desk import Turned, make_home
from tests.hosts import until

HOUR_S = 3600.0
FILES = ("sftp://u@h", "/in")


class Up:
    """As much of a link as the carrier asks when one ended: whether it was up."""

    def __init__(self) -> None:
        self.up = threading.Event()


class Dialler:
    """A carrier whose peer answers as a test says; nothing is dialled, time is turned by hand."""

    def __init__(self, home: Path, url: str, inbox: str = "") -> None:
        config_edit.set_peer(home, "far", {"url": url, **({"inbox": inbox} if inbox else {})})
        self.now = Turned()
        self.store = SqliteStore(home)
        self.clock = Clock(self.now, self.now)
        self.settings = Settings(home, self.store, self.clock)
        self.presence = presence.Presence(home / "run", "consumer", now=0.0, version="1")
        self.rng = random.Random(7)
        self.logins: list[float] = []
        self.carrier = self.anew()

    def anew(self) -> Carrier:
        """A carrier that remembers nothing but what stands in the store."""
        never: Any = None
        self.carrier = Carrier(
            self.store,
            self.settings,
            self.clock,
            token=self.presence.token,
            version="1",
            dial=never,
            open_files=never,
        )
        return self.carrier

    def close(self) -> None:
        self.presence.close()
        self.store.close()

    def wait_for_turn(self) -> None:
        while (wait_s := self.carrier.claims.claim("far")) is not None:
            self.now.at += max(wait_s, 0.05)

    def link(self) -> Gate:
        """Have a link up."""
        if not self.settings.config.peer("far").is_files:
            gate = self.carrier._gate(Gate, "far")
            gate.arrived(frames.Hello("far"), dialled=True)
            return gate
        folders = self.carrier._gate(FilesGate, "far")
        folders.opened()
        return folders

    def login(self, lives_s: float, *, carries: bool = False, fails: LinkError | None = None) -> None:
        """Wait until the peer may be dialled, log in, and end after a while."""
        self.wait_for_turn()
        self.logins.append(self.now.at)
        peer = self.settings.config.peer("far")
        if fails is not None:
            self.carrier.claims.failed(peer, fails, self.rng, reached=None)
            return
        gate = self.link()
        link: Any = Up()
        link.up.set()
        gate.carried = int(carries)
        self.now.at += lives_s
        gate.left("cut")
        self.carrier.claims.failed(peer, LinkLost("cut"), self.rng, reached=Reached(link, gate))


@pytest.fixture
def dialler(tmp_path: Path) -> Iterator[Callable[..., Dialler]]:
    """Make the host that dials."""
    made: list[Dialler] = []

    def make(url: str = "ssh://u@h", inbox: str = "") -> Dialler:
        home = make_home(tmp_path / str(len(made)), "nia", peers="")
        made.append(Dialler(home, url, inbox))
        return made[-1]

    yield make
    for each in made:
        each.close()


def most_in_an_hour(times: list[float]) -> int:
    """The most logins in any hour."""
    return max(sum(start <= at <= start + HOUR_S for at in times) for start in times)


@pytest.mark.parametrize("where", [("ssh://u@h", ""), FILES], ids=["link", "files"])
@pytest.mark.parametrize("lives_s", [0.0, 1.0, 30.0, 59.0])
def test_after_the_tenth_short_link_there_are_four_logins_an_hour(
    dialler: Callable[..., Dialler], where: tuple[str, str], lives_s: float
) -> None:
    """Whatever tears a link down within a minute, a host's log must not show us as an attacker."""
    host = dialler(*where)
    for _ in range(10 + 4 * 6):
        host.login(lives_s)

    after = host.logins[10:]
    assert most_in_an_hour(after) <= 4
    assert most_in_an_hour([host.logins[9], *after]) <= 4
    assert after[-1] - after[0] < 4 * 6 * 1.3 * retry.CAREFUL_S


def test_the_first_ten_are_quick(dialler: Callable[..., Dialler]) -> None:
    """A line that broke a few times is not a host that does not want us."""
    host = dialler()
    for _ in range(10):
        host.login(1.0)

    assert host.logins[-1] - host.logins[0] < 150


def test_another_process_counts_on(dialler: Callable[..., Dialler]) -> None:
    """A consumer that was started anew must not begin with ten quick ones."""
    host = dialler()
    for _ in range(10):
        host.login(1.0)
    host.anew()
    host.login(1.0)
    host.login(1.0)

    assert host.logins[10] - host.logins[9] > retry.CAREFUL_S
    assert host.logins[11] - host.logins[10] > retry.CAREFUL_S


def test_links_that_carried_mail_count_a_sixth(dialler: Callable[..., Dialler]) -> None:
    """A host that kills what we start, and takes our mail all the same: it gets sixty, then four an hour."""
    host = dialler()
    for _ in range(90):
        host.login(2.0, carries=True)

    waits = [after - before for before, after in itertools.pairwise(host.logins)]
    assert max(waits[:59]) < 10 < retry.CAREFUL_S <= min(waits[59:])


def test_a_link_that_lasts_makes_up_for_the_others(dialler: Callable[..., Dialler]) -> None:
    """The trouble is over."""
    host = dialler()
    for _ in range(12):
        host.login(1.0)
    host.login(61.0)
    before = host.now.at
    host.login(1.0)
    host.login(1.0)

    assert host.now.at - before < 10


def test_an_hour_without_one_makes_up_for_them_too(dialler: Callable[..., Dialler]) -> None:
    """A laptop that slept; hosts look at an hour or less."""
    host = dialler()
    for _ in range(9):
        host.login(1.0)
    host.now.at += HOUR_S + 1
    began = host.now.at
    for _ in range(3):
        host.login(1.0)

    assert host.now.at - began < 2 * HOUR_S / 4


def test_a_host_that_is_off_is_dialled_as_before(dialler: Callable[..., Dialler]) -> None:
    """Nobody logs in to a host that does not answer: five minutes at most, not fifteen."""
    host = dialler()
    for _ in range(40):
        host.login(0.0, fails=errors.Unreachable("off"))

    assert max(after - before for before, after in itertools.pairwise(host.logins)) < 310


@pytest.mark.parametrize("kind", sorted(retry.LOGGED_IN))
def test_a_login_that_finds_no_spool_counts_too(dialler: Callable[..., Dialler], kind: str) -> None:
    """To the far host it is a login like any other."""
    host = dialler()
    for _ in range(30):
        host.login(0.0, fails=errors.kinds()[kind]("no"))  # type: ignore[arg-type]  # all are LinkErrors

    assert most_in_an_hour(host.logins[10:]) <= 4


@pytest.mark.parametrize("where", [("ssh://u@h", ""), FILES], ids=["link", "files"])
def test_a_consumer_that_is_killed_again_and_again_tires_too(
    dialler: Callable[..., Dialler], where: tuple[str, str]
) -> None:
    """Nothing of it is left to count its logins; the next one finds that it died with its link up."""
    host = dialler(*where)
    for n in range(70):
        host.wait_for_turn()
        host.logins.append(host.now.at)
        host.link()
        host.now.at += 20.0
        host.presence.close()
        host.presence = presence.Presence(host.settings.home / "run", "consumer", now=float(n), version="1")
        host.anew()

    assert host.logins[59] - host.logins[0] < 60 * 25
    assert most_in_an_hour(host.logins[61:]) <= 4


def test_two_copies_of_one_home_tire_of_taking_turns(dialler: Callable[..., Dialler]) -> None:
    """Each takes the link from the other; without an end to it that is a login a second."""
    host = dialler()
    for _ in range(70):
        host.wait_for_turn()
        host.logins.append(host.now.at)
        host.carrier.claims.gave_way(host.settings.config.peer("far"), host.rng)
        host.now.at += 1.0

    assert most_in_an_hour(host.logins[60:]) <= 4


def test_a_person_who_resumes_the_peer_is_heard(dialler: Callable[..., Dialler]) -> None:
    """They have mended it."""
    from spool.api import Spool

    host = dialler()
    for _ in range(11):
        host.login(1.0)
    with Spool(host.settings.home) as spool:
        spool.resume_peer("far")
    before = host.now.at
    host.login(1.0)
    host.login(1.0)

    assert host.now.at - before < 10


def test_a_real_link_that_dies_at_once_is_dialled_ten_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of the real carrier; only the short waits before it are made shorter here."""
    monkeypatch.setitem(retry.RULES, "link_lost", retry.Rule(0.01, 0.02))
    home = make_home(tmp_path, "nia", peers="")
    calls = tmp_path / "calls"
    hello = frames.encode(frames.Hello("far")).decode()
    script = f"import sys; open({str(calls)!r}, 'a').write('x'); sys.stdout.write({hello!r})"
    config_edit.set_peer(home, "far", {"url": "exec:" + shlex.join([sys.executable, "-c", script])})
    running = Running(home, "consumer")
    try:
        running.begin(lambda: None)
        until(lambda: calls.exists() and len(calls.read_text()) >= 10, 30)
        time.sleep(2.0)
        with running.store.read() as tx:
            row = tx.peers.get("far")
        assert len(calls.read_text()) == 10
        assert row.retry_at is not None and row.retry_at - time.time() > 850
    finally:
        running.stop()

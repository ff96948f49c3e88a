"""GitHub issues against strangers, against a wrong clock, and against what cannot be taken now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from spool import issue_blocks, issue_people
from spool.api import Spool
from spool.clock import Clock
from spool.errors import LinkLost
from spool.foreign import Found
from spool.inbox import Arrival
from spool.issue_blocks import Block, Marker
from spool.issues_gate import IssuesGate
from spool.message import format_time, seal
from spool.settings import Settings
from spool.states import State
from spool.store.base import Incoming
from spool.transports.base import Deferred, Outcome
from spool.transports.github.answers import Comment, Issue, User
from spool.transports.github.client import Page
from spool.transports.github.posting import Poster
from spool.transports.github.reading import BEHIND, Reader
from tests.desk import Turned, make_home

PEERS: Final = """
[peers.hub]
url = "github://octocat/hello"
direction = "here-to-there"
agents = ["cloud-*"]
logins = ["mona"]
"""
NOW: Final = 1_763_000_000.0
YEAR: Final = 31_536_000.0
PLACE: Final = "api.github.com/octocat/hello"


@pytest.fixture
def now() -> Turned:
    """This host's clock, to be turned."""
    return Turned(NOW)


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """The host `here` with the agent `me`."""
    with Spool(make_home(tmp_path, "me", peers=PEERS), agent="me", clock=Clock(now, time.monotonic)) as made:
        yield made


@pytest.fixture
def gate(spool: Spool, now: Turned) -> IssuesGate:
    """The gate of the peer `hub`, not yet opened."""
    clock = Clock(now, time.monotonic)
    settings = Settings(spool.home, spool.store, clock)
    return IssuesGate(spool.store, settings, "hub", clock=clock, token="t", version="0")


def test_what_a_stranger_writes_costs_little_to_look_at() -> None:
    """One comment must not stop all mail for half a minute."""
    began = time.monotonic()
    written = issue_people.comment("[CHAT:X]\nTo: a" + " " * 60_000 + "b")
    assert time.monotonic() - began < 5.0
    assert written is not None
    assert written.lines["to"].split() == ["a", "b"]


def test_a_clock_that_is_a_year_ahead_ends_no_lifetime(gate: IssuesGate, now: Turned) -> None:
    """How long a message has stood there is told by GitHub's clock, which also says since when."""
    now.at += YEAR
    gate.opened(PLACE, "octocat", ahead=lambda: -YEAR)
    arrival = gate.arrival_of(Block(host="there", t=3600.0), Found("x", b"", NOW - 60.0))
    assert arrival.ttl_s == pytest.approx(3540.0)
    assert gate.since("issues") < format_time(NOW)


def test_a_time_that_is_yet_to_come_is_not_read_from(gate: IssuesGate, now: Turned) -> None:
    """Kept once by a clock that was ahead, it would hide all mail until then."""
    now.at += YEAR
    gate.opened(PLACE, "octocat")
    assert gate.since("comments") > format_time(NOW)
    now.at -= YEAR
    gate.opened(PLACE, "octocat")
    assert gate.since("comments") < format_time(NOW)


class Pages:
    """A repository whose list has one issue on a page, each a message; nothing is posted twice there."""

    name: Final = "octocat/hello"

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self.made: list[str] = []
        self.is_broken = False
        self.all = [_issue(n, id) for n, id in enumerate(ids, start=1)]

    def issues(self, page: int, *, label: str, since: str) -> Page[Issue]:
        """As GitHub: from then on, the longest untouched first."""
        new = [issue for issue in self.all if issue.updated_at >= since][page - 1 : page]
        return Page("issues", new, bool(new), "")

    def comments(self, page: int, *, since: str) -> Page[Comment]:
        """None."""
        return Page("comments", [], False, "")

    def made_issues(self, *, label: str, since: str) -> list[Issue]:
        """None yet."""
        return []

    def create(self, *, title: str, body: str, labels: Sequence[str]) -> Issue:
        """Make one."""
        self.made.append(title)
        return Issue(99, labels=list(labels))

    def issue(self, number: int) -> Issue:
        """One of them, unless the line breaks."""
        if self.is_broken:
            raise LinkLost("the line broke")
        return structs.replace(self.all[number - 1], closed_by=User("mona"))

    def remember(self, page: Page[Issue]) -> None:
        """Nothing."""


def _issue(number: int, id: str) -> Issue:
    fields = {"from": "cloud-1", "to": "me", "subject": "s", "body": "b"}
    raw = seal(fields, id=id, timestamp="2025-11-13T10:30:45Z").raw
    line = issue_blocks.of_message(raw, host="there", way="there-to-here", ttl_s=3600.0)
    at = format_time(NOW + number)[:19] + "Z"
    body = issue_blocks.fenced(line, Marker("message", "there", "cloud-1", id))
    return Issue(number, body=body, user=User("mona"), created_at=at, updated_at=at)


def test_what_cannot_be_taken_now_hides_nothing_behind_it(
    gate: IssuesGate, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One agent's full inbox must not end all others' mail; and it is read again once there is room."""
    gate.opened(PLACE, "octocat")
    accept, full = gate.accept, True

    def some(arrivals: Sequence[Arrival]) -> list[Outcome]:
        kept = [each for each in arrivals if not (full and b'"waits"' in each.raw)]
        taken = dict(zip(map(id, kept), accept(kept), strict=True))
        return [taken.get(id(each), Deferred("no room")) for each in arrivals]

    monkeypatch.setattr(gate, "accept", some)
    reader = Reader(Pages(["waits", "other"]), gate)  # type: ignore[arg-type]
    before = gate.since("issues")
    assert reader.look() == 1
    assert [row.id for row in _mail(spool)] == ["other"]
    assert gate.since("issues") == before
    full = False
    assert reader.look() == 1
    assert {row.id for row in _mail(spool)} == {"waits", "other"}
    assert gate.since("issues") > before


def test_so_much_is_read_behind_it_and_no_more(gate: IssuesGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is listed again at each look, and requests are counted."""
    gate.opened(PLACE, "octocat")
    monkeypatch.setattr(gate, "accept", lambda arrivals: [Deferred("no room")] * len(arrivals))
    pages = Pages([f"m{n}" for n in range(50)])
    asked: list[str] = []
    issues = pages.issues
    monkeypatch.setattr(pages, "issues", lambda page, **how: asked.append("") or issues(page, **how))
    assert Reader(pages, gate).look() == 0  # type: ignore[arg-type]
    assert len(asked) == BEHIND + 1


def _mail(spool: Spool) -> list[Incoming]:
    with spool.store.read() as tx:
        return tx.inbox.open("me")


def test_a_closed_issue_is_met_again_until_it_is_known_who_closed_it(
    gate: IssuesGate, spool: Spool, now: Turned
) -> None:
    """That is asked for after all is read: what a broken line hid would never be listed again."""
    gate.opened(PLACE, "octocat")
    id = spool.send("cloud-1", subject="x")
    gate.posted("me", id, number=1, comment=0)
    pages = Pages(["closed", "later"])
    pages.all[0] = structs.replace(pages.all[0], state="closed", state_reason="completed")
    pages.all[1] = structs.replace(pages.all[1], updated_at=format_time(NOW + 3600.0)[:19] + "Z")
    pages.is_broken = True
    reader = Reader(pages, gate)  # type: ignore[arg-type]
    with pytest.raises(LinkLost):
        reader.look()
    assert spool.sent(id).state is State.QUEUED
    pages.is_broken = False
    reader.look()
    assert spool.sent(id).state is State.DONE
    assert gate.since("issues") > format_time(NOW + 60.0)


def test_a_post_noted_by_a_clock_that_was_ahead_is_made_once_more(
    gate: IssuesGate, spool: Spool, now: Turned
) -> None:
    """Else it would be looked for until that time comes, and never be made."""
    gate.opened(PLACE, "octocat")
    id = spool.send("cloud-1", subject="x")
    (parcel,) = gate.load(1).parcels
    now.at += YEAR
    gate.intend("me", id)
    now.at -= YEAR
    pages = Pages()
    Poster(pages, gate).post(parcel)  # type: ignore[arg-type]
    assert len(pages.made) == 1

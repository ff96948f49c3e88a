"""What GitHub may do instead of an answer: limits, failures, a lost answer, a token that counts no more.

The faults come from a gateway of these tests in front of the same emulator and the same checking proxy, so
that each test shows the fault and then the plain exchange that follows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.errors import (
    AuthRefused,
    LinkError,
    LinkLost,
    NoRepository,
    NotAuthorised,
    PeerMisconfigured,
    RateLimited,
)
from spool.states import State
from spool.transports.github import http, posting
from spool.transports.github.answers import Issue
from tests.github import sides
from tests.github.faulty import Fault, Faulty
from tests.github.sides import Side
from tests.github.tower import TOKENS, Person, Tower


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator needs no second of rest between two writes, and its lists do not lag."""
    monkeypatch.setattr(http, "PACE_S", 0.0)
    monkeypatch.setattr(posting, "SETTLE_S", 0.0)


@pytest.fixture
def gateway(github: Tower) -> Iterator[Faulty]:
    """What may fail, in front of it all."""
    made = Faulty(github.url)
    yield made
    made.close()


@pytest.fixture
def near(tmp_path: Path, gateway: Faulty, repo: str) -> Iterator[Side]:
    """The host that meets the faults."""
    side = sides.near(tmp_path, gateway.url, repo)
    yield side
    side.close()


@pytest.fixture
def far(tmp_path: Path, github: Tower, repo: str) -> Iterator[Side]:
    """Another one, which meets none."""
    side = sides.far(tmp_path, github.url, repo)
    yield side
    side.close()


@pytest.fixture
def octocat(github: Tower, repo: str) -> Iterator[Person]:
    """Whoever owns the repository, at a browser."""
    person = Person(github.bare, "octocat", repo)
    yield person
    person.close()


def again(side: Side, id: str) -> LinkError | None:
    """One more try, as if the delay of the message were over."""
    with side.spool.store.write(sync=False) as tx:
        row = tx.outbox.exact(id, side.agent)
        assert row is not None
        if row.state is State.QUEUED:
            tx.outbox.offer_again([row.seq], now=time.time())
    return side.once()


def test_what_has_not_changed_costs_nothing(near: Side, gateway: Faulty) -> None:
    """GitHub does not count an answer 304; a change is seen all the same."""
    with near.running():
        assert sides.becomes(lambda: gateway.count("GET", "/issues", 304) >= 2)
        assert sides.becomes(lambda: gateway.count("GET", "/comments", 304) >= 2)
        near.send("claude-cloud", subject="x")
        assert sides.becomes(lambda: gateway.count("GET", "/issues", 200) == 2)
    assert gateway.count("GET", "/issues", 200) == 2


def test_a_create_whose_answer_was_lost_is_found_again(near: Side, gateway: Faulty, octocat: Person) -> None:
    """One issue, however often the answer is lost."""
    gateway.fail("POST", "/issues", Fault(lost=True))
    id = near.send("claude-cloud", subject="Once")
    assert isinstance(near.once(), LinkLost)
    assert near.sent(id).state is State.QUEUED
    assert again(near, id) is None
    assert near.sent(id).state is State.SENT
    assert len(octocat.issues()) == 1
    assert gateway.count("POST", "/issues") == 1


def test_a_comment_whose_answer_was_lost_is_found_again(
    near: Side, far: Side, gateway: Faulty, octocat: Person
) -> None:
    """The same within a thread."""
    question = far.send("claude-local", subject="Question")
    far.once()
    near.once()
    gateway.fail("POST", "/comments", Fault(lost=True))
    answer = near.spool.reply(question, "Answer")
    assert isinstance(near.once(), LinkLost)
    assert again(near, answer) is None
    far.once()
    assert [row.id for row in far.mail()] == [answer]
    assert sum("Answer" in each["body"] for each in octocat.comments(1)) == 1


def test_an_ack_whose_answer_was_lost_is_found_again(
    near: Side, far: Side, gateway: Faulty, octocat: Person
) -> None:
    """One comment says how far mail got."""
    far.send("claude-local", subject="Question")
    far.once()
    gateway.fail("POST", "/comments", Fault(lost=True))
    assert isinstance(near.once(), LinkLost)
    assert near.once() is None
    assert len(octocat.comments(1)) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_that_fails_is_tried_again(
    near: Side, far: Side, gateway: Faulty, octocat: Person, status: int
) -> None:
    """Also where the failure came after the issue was made, or before: one of it."""
    id = near.send("claude-cloud", subject="x")
    gateway.fail("POST", "/issues", Fault(status, body={"message": "Server Error"}))
    assert isinstance(near.once(), LinkLost)
    assert again(near, id) is None
    far.once()
    assert [row.id for row in far.mail()] == [id]
    assert len(octocat.issues()) == 1


def resets_in(seconds: float) -> dict[str, str]:
    """The headers of a primary limit that is used up."""
    at = int(time.time() + seconds)
    return {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(at),
    }


@pytest.mark.parametrize(
    ("fault", "least_s", "most_s"),
    [
        (lambda: Fault(429, {"retry-after": "7"}, {"message": "slow down"}), 7, 8),
        (lambda: Fault(403, {"retry-after": "90"}, {"message": "secondary rate limit"}), 90, 91),
        (lambda: Fault(403, resets_in(600), {"message": "API rate limit exceeded"}), 595, 602),
        (lambda: Fault(403, {}, {"message": "You have exceeded a secondary rate limit."}), 60, 61),
    ],
    ids=["retry-after", "secondary", "primary", "secondary-unsaid"],
)
def test_a_limit_is_kept_to_and_then_it_goes_on(
    near: Side, gateway: Faulty, octocat: Person, fault: Callable[[], Fault], least_s: float, most_s: float
) -> None:
    """In GitHub's order: Retry-After, the reset, a minute. Nothing was posted, and nothing is lost."""
    id = near.send("claude-cloud", subject="x")
    gateway.fail("POST", "/issues", fault())
    why = near.once()
    assert isinstance(why, RateLimited)
    assert least_s <= why.after_s <= most_s
    assert "rate limit" in why.message
    assert near.sent(id).reason is None, "the message itself has done nothing wrong"
    assert again(near, id) is None
    assert near.sent(id).state is State.SENT
    assert len(octocat.issues()) == 1


def test_a_limit_on_reading_is_kept_to_as_well(near: Side, gateway: Faulty) -> None:
    """Polling is most of what is asked."""
    gateway.fail("GET", "/issues", Fault(429, {"retry-after": "5"}, {"message": "slow down"}))
    assert isinstance(near.once(), RateLimited)
    assert near.once() is None


def test_a_token_that_was_revoked_stops_it(near: Side, gateway: Faulty) -> None:
    """It says so, and asks no more until a person has looked at it; the token is in no word of it."""
    with gateway.all(Fault(401, {}, {"message": "Bad credentials"})):
        why = near.once()
    assert isinstance(why, AuthRefused)
    assert why.stops
    assert "Bad credentials" in str(why)
    assert "spool peer resume" in str(why)
    assert TOKENS["octocat"] not in str(why)
    assert near.once() is None


def test_a_token_that_was_replaced_is_read_anew(near: Side, gateway: Faulty) -> None:
    """Those of an app live for an hour: a command gives the next one."""
    with near.running():
        before, near.token = near.token, TOKENS["mona"]
        gateway.fail("GET", "/issues", Fault(401, {}, {"message": "Bad credentials"}))
        assert sides.becomes(lambda: sum(call.token == near.token for call in gateway.calls) > 2)
    first = [call.token for call in gateway.calls].index(near.token)
    assert before not in {call.token for call in gateway.calls[first:]}


def test_a_token_that_may_not_write_stops_it(near: Side, gateway: Faulty, octocat: Person) -> None:
    """Which rights it needs is said; the message waits."""
    id = near.send("claude-cloud", subject="x")
    message = "Resource not accessible by personal access token"
    gateway.fail("POST", "/issues", Fault(403, {}, {"message": message}))
    why = near.once()
    assert isinstance(why, NotAuthorised)
    assert "read and write issues" in str(why)
    assert near.sent(id).state is State.QUEUED
    assert again(near, id) is None
    assert len(octocat.issues()) == 1


def test_a_repository_that_is_not_there_is_named(tmp_path: Path, github: Tower) -> None:
    """GitHub says the same of one that the token may not see."""
    side = sides.near(tmp_path, github.url, "missing")
    why = side.once()
    side.close()
    assert isinstance(why, NoRepository)
    assert "octocat/missing" in str(why)
    assert not why.stops


def test_a_message_that_github_declines_is_dead_with_its_words(
    near: Side, gateway: Faulty, octocat: Person
) -> None:
    """Nothing would change by trying again."""
    id = near.send("claude-cloud", subject="x")
    errors = [{"field": "body", "code": "invalid", "message": "is spam"}]
    gateway.fail("POST", "/issues", Fault(422, {}, {"message": "Validation Failed", "errors": errors}))
    assert near.once() is None
    row = near.sent(id)
    assert row.state is State.DEAD
    assert "Validation Failed; body invalid is spam" in (row.reason or "")
    other = near.send("claude-cloud", subject="y")
    assert near.once() is None
    assert near.sent(other).state is State.SENT


@pytest.mark.parametrize("status", [404, 410])
def test_a_repository_that_is_gone_for_a_while_ends_no_message(
    near: Side, gateway: Faulty, octocat: Person, status: int
) -> None:
    """GitHub says 404 also where the token may not see it any more: that is no message's fault."""
    id = near.send("claude-cloud", subject="x")
    gateway.fail("POST", "/issues", Fault(status, {}, {"message": "Not Found"}))
    assert isinstance(near.once(), NoRepository)
    assert near.sent(id).state is State.QUEUED
    assert near.once() is None
    assert near.sent(id).state is State.SENT
    assert len(octocat.issues()) == 1


def test_an_issue_that_fails_each_time_stands_in_nobodys_way(
    near: Side, far: Side, gateway: Faulty, octocat: Person
) -> None:
    """Acks for others are told, and mail is read."""
    first, second = (far.send("claude-local", subject=each) for each in ("first", "second"))
    far.once()
    gateway.fail("POST", "/issues/1/comments", Fault(502, {}, {"message": "Bad Gateway"}), times=100)
    assert isinstance(near.once(), LinkLost)
    third = far.send("claude-local", subject="third")
    far.once()
    assert isinstance(near.once(), LinkLost)
    assert [row.id for row in near.mail()] == [first, second, third]
    assert len(octocat.comments(2)) == 1


def test_a_message_too_long_for_github_is_refused(near: Side, gateway: Faulty) -> None:
    """What to do instead is said, and nothing is asked of GitHub."""
    id = near.send("claude-cloud", subject="x", body="y" * 70_000)
    assert near.once() is None
    row = near.sent(id)
    assert row.state is State.DEAD
    assert "65,000 characters" in (row.reason or "")
    assert gateway.count("POST", "/issues") == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(410, {}, {"message": "This issue was deleted"}),
        Fault(301, {"location": "https://api.example/repositories/2/issues/7"}, {"message": "Moved"}),
        Fault(403, {}, {"message": "Unable to create comment because issue is locked."}),
        Fault(403, {}, {"message": "Commenting is disabled on issues with more than 2500 comments"}),
    ],
    ids=["deleted", "transferred", "locked", "full"],
)
def test_an_answer_to_an_issue_that_is_gone_gets_one_of_its_own(
    near: Side, far: Side, gateway: Faulty, octocat: Person, fault: Fault
) -> None:
    """Whatever became of the thread's issue, it stops no mail."""
    question = far.send("claude-local", subject="Question")
    far.once()
    near.once()
    gateway.fail("POST", "/issues/1/comments", fault)
    answer = near.spool.reply(question, "Answer", keep_open=True)
    assert near.once() is None
    far.once()
    assert [row.id for row in far.mail()] == [answer]
    assert len(octocat.issues()) == 2


def test_what_was_perhaps_posted_is_not_posted_again_before_it_can_be_seen(
    near: Side, gateway: Faulty, octocat: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of GitHub may lag behind: only what is not in it after a while is made once more."""
    monkeypatch.setattr(posting, "SETTLE_S", 3600.0)
    id = near.send("claude-cloud", subject="x")
    gateway.fail("POST", "/issues", Fault(502, body={"message": "Bad Gateway"}))
    assert isinstance(near.once(), LinkLost)
    assert again(near, id) is None
    assert near.sent(id).state is State.QUEUED
    assert "looked for once more" in (near.sent(id).reason or "")
    assert octocat.issues() == []
    monkeypatch.setattr(posting, "SETTLE_S", 0.0)
    assert again(near, id) is None
    assert len(octocat.issues()) == 1


def test_a_copied_marker_of_a_stranger_is_not_our_post(
    near: Side, gateway: Faulty, github: Tower, repo: str, octocat: Person
) -> None:
    """Who guesses the id of a message must not be able to keep it from being posted."""
    id = near.send("claude-cloud", subject="x")
    gateway.fail("POST", "/issues", Fault(502, body={"message": "Bad Gateway"}))
    near.once()
    mallory = Person(github.bare, "mallory", repo)
    block = '```json\n{"spool":1,"host":"laptop","way":"local-to-cloud"}\n```'
    marker = f"<!-- spool message laptop claude-local {id} -->"
    mallory.issue("[CHAT:LOCAL-TO-CLOUD] x", f"{block}\n{marker}", "claude-chat", "local-to-cloud")
    mallory.close()
    assert again(near, id) is None
    assert [issue["user"]["login"] for issue in octocat.issues()] == ["mallory", "octocat"]


def test_more_than_a_page_is_read_to_its_end(near: Side, far: Side, gateway: Faulty, octocat: Person) -> None:
    """A host that was off for a week: page by page, each from where the last one ended."""
    far.send("claude-local", subject="the last one")
    for n in range(103):
        octocat.issue(f"[CHAT:OTHER] {n}", "text", "claude-chat")
    far.once()
    assert near.once() is None
    assert len(near.mail()) == 1
    assert gateway.count("GET", "/issues", 200) >= 2
    before = gateway.count("GET", "/issues", 200)
    near.once()
    near.once()
    assert gateway.count("GET", "/issues", 200) <= before + 4


def test_what_there_is_no_room_for_now_comes_later(near: Side, far: Side) -> None:
    """Over its quota: neither lost nor quarantined, and read again at the next look."""
    near.peer(quota_waiting=1)
    ids = [far.send("claude-local", subject=f"{n}") for n in range(3)]
    far.once()
    for n, id in enumerate(ids):
        assert near.once() is None
        assert [row.id for row in near.mail()] == ids[n : n + 1]
        near.spool.done([id])
    assert near.quarantine() == []


def test_an_urgent_issue_is_taken_by_whom_it_is_for(near: Side, far: Side, octocat: Person) -> None:
    """Whatever way mail goes there; the other hosts that read the repository leave it alone."""
    octocat.issue("[CHAT:URGENT] Help", "now\n\n**To:** claude-local", "claude-chat")
    near.peer(agents=["claude-cloud*", "octocat"])
    far.peer(agents=["claude-local*", "octocat"])
    assert near.once() is None
    assert far.once() is None
    assert [row.sender for row in near.mail()] == ["octocat"]
    assert far.mail() == []
    assert far.quarantine() == []


def test_an_issue_whose_labels_were_dropped_stops_it_and_is_not_made_again(
    near: Side, octocat: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub drops the labels of an account that may not set them, without a word: no list finds it."""
    id = near.send("claude-cloud", subject="x")
    with monkeypatch.context() as patch:
        patch.setattr(Issue, "has_label", lambda self, name: False)
        why = near.once()
    assert isinstance(why, PeerMisconfigured)
    assert "may not label issues" in str(why)
    assert again(near, id) is None
    assert near.sent(id).state is State.SENT
    assert len(octocat.issues()) == 1

"""What people see of an escalation on GitHub, and what becomes of it there, against the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import escalating, issue_blocks
from spool.config_edit import set_peer
from spool.issues_gate import spot_of
from spool.message import Ack
from spool.outbox import apply_acks
from spool.states import State
from spool.store.base import Escalation
from spool.transports.github import http
from tests.github.sides import Side
from tests.github.test_walk import HOSTILE
from tests.github.tower import OWNER, Person, Tower


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator needs no second of rest between two writes."""
    monkeypatch.setattr(http, "PACE_S", 0.0)


def side(folder: Path, github: Tower, repo: str, name: str, agent: str, other: str, theirs: str) -> Side:
    """A host whose mail for the other one waits for a link, and whose people are told at `hub`."""
    made = Side(folder, name, agent, url=f"github://{OWNER}/{repo}", base_url=github.url, poll_s=1)
    set_peer(made.home, other, {"agents": [theirs]})
    with (made.home / "spool.toml").open("a") as file:
        file.write('\n[escalation]\npeer = "hub"\nafter_s = 0\n')
    made.spool._reload()
    return made


@pytest.fixture
def near(tmp_path: Path, github: Tower, repo: str) -> Iterator[Side]:
    """The host that sends."""
    made = side(tmp_path, github, repo, "laptop", "claude-local", "stackcp", "claude-cloud")
    yield made
    made.close()


@pytest.fixture
def far(tmp_path: Path, github: Tower, repo: str) -> Iterator[Side]:
    """The host it is for, which cannot be reached."""
    made = side(tmp_path, github, repo, "stackcp", "claude-cloud", "laptop", "claude-local")
    yield made
    made.close()


@pytest.fixture
def octocat(github: Tower, repo: str) -> Iterator[Person]:
    """Whoever owns the repository, at a browser."""
    person = Person(github.bare, OWNER, repo)
    yield person
    person.close()


def look(host: Side) -> None:
    """Look by the rules, and tell people."""
    escalating.run(host.spool.store, host.spool.config, host.home, now=host.clock.now())
    assert host.once() is None


def blocker(near: Side, **more: Any) -> str:
    """Send one, and tell people of it."""
    given = {"subject": "Redis is missing", "body": "We are stuck.", "type": "blocker", "priority": "P0"}
    id = near.send("claude-cloud", **given | more)
    look(near)
    return id


def ack(near: Side, id: str, status: str) -> None:
    """The far host says so, over the link."""
    told = Ack(sender="claude-cloud", to="claude-local", re=id, status=status, at=5.0, host="stackcp")
    apply_acks(near.spool.store, "stackcp", [told], now=near.clock.now())


def told(near: Side, id: str) -> Escalation:
    with near.spool.store.read() as tx:
        found = tx.escalations.get(id, "claude-local")
    assert found is not None
    return found


def forget(near: Side, id: str) -> None:
    """As if the process had been killed between the issue's making and the commit of its number."""
    db = near.spool.store._connection("full")[0]
    db.execute("UPDATE escalations SET number = NULL, posted = 0, stands = NULL WHERE id = ?", (id,))
    db.execute("UPDATE issues SET number = NULL WHERE id = ?", (spot_of(id),))
    db.execute("DELETE FROM issue_texts")


def test_it_is_told_changed_and_closed_and_is_one_issue(near: Side, octocat: Person) -> None:
    """Why, how it stands, what a person needs to know of the message, and the message itself."""
    id = blocker(near, context={"session": "Agent 2"}, body="Please look, @octocat")
    (issue,) = octocat.issues()
    assert issue["title"] == "[CHAT:URGENT] Redis is missing" and issue["state"] == "open"
    assert [label["name"] for label in issue["labels"]] == ["claude-chat"]
    for part in ("**Blocker:** P0", "**Session:** Agent 2", f"if://conversation/{id}", "Why you are told"):
        assert part in issue["body"]
    ack(near, id, "read")
    look(near)
    assert "read, known at" in octocat.issues()[0]["body"] and octocat.issues()[0]["state"] == "open"
    ack(near, id, "done")
    look(near)
    (issue,) = octocat.issues()
    assert issue["state"] == "closed" and told(near, id).number == issue["number"]
    assert told(near, id).url == issue["html_url"] and octocat.comments(issue["number"]) == []


@pytest.mark.parametrize("done", [False, True], ids=["open", "done meanwhile"])
def test_one_whose_number_was_lost_is_found_by_its_marker(near: Side, octocat: Person, done: bool) -> None:
    """No second one is made; where the message is done, the one there is closed."""
    id = blocker(near)
    forget(near, id)
    if done:
        ack(near, id, "done")
    look(near)
    (issue,) = octocat.issues()
    assert issue["state"] == ("closed" if done else "open") and told(near, id).number == issue["number"]


def test_a_copied_marker_of_a_stranger_is_not_ours(
    near: Side, github: Tower, repo: str, octocat: Person
) -> None:
    """Else anybody could keep people from being told."""
    id = near.send("claude-cloud", subject="Redis is missing", priority="P0")
    mallory = Person(github.bare, "mallory", repo)
    mallory.issue(
        "[CHAT:URGENT] x",
        f"```json\n{{}}\n```\n<!-- spool urgent laptop claude-local {id} -->",
        "claude-chat",
    )
    mallory.close()
    look(near)
    assert told(near, id).number == 2 and len(octocat.issues()) == 2


def test_a_person_closes_it_and_it_stays_closed(near: Side, octocat: Person) -> None:
    """They have dealt with it: nothing that the message does opens it again."""
    id = blocker(near)
    octocat.edit(1, state="closed")
    look(near)
    assert told(near, id).state == "resolved"
    ack(near, id, "read")
    look(near)
    assert [issue["state"] for issue in octocat.issues()] == ["closed"]


def test_a_stranger_who_closes_it_resolves_nothing(
    near: Side, github: Tower, repo: str, octocat: Person
) -> None:
    """It is not opened again against them either; here it stays escalated until the message is done."""
    id = blocker(near)
    mallory = Person(github.bare, "mallory", repo)
    mallory.edit(1, state="closed")
    mallory.close()
    look(near)
    ack(near, id, "read")
    look(near)
    assert told(near, id).state == "open" and [each["state"] for each in octocat.issues()] == ["closed"]


def test_a_new_reason_opens_it_again(near: Side, octocat: Person) -> None:
    """The same issue."""
    id = blocker(near)
    near.spool.resolve(id)
    look(near)
    assert octocat.issues()[0]["state"] == "closed"
    near.spool.escalate(id, reason="it is back")
    look(near)
    (issue,) = octocat.issues()
    assert issue["state"] == "open" and "it is back" in issue["body"]


def test_the_other_host_takes_the_message_and_its_acks_count(near: Side, far: Side, octocat: Person) -> None:
    """Though it was never handed to this peer; the issue is closed by them."""
    id = blocker(near)
    far.once()
    (row,) = far.mail()
    assert (row.id, row.raw, row.digest) == (id, near.sent(id).raw, near.sent(id).digest)
    look(near)
    assert near.sent(id).state is State.RECEIVED and near.sent(id).due is None
    far.spool.done([id])
    far.once()
    near.once()
    assert near.sent(id).state is State.DONE
    look(near)
    assert [each["state"] for each in octocat.issues()] == ["closed"]
    far.once()
    assert far.mail() == [] and near.quarantine() == far.quarantine() == []


def test_another_host_with_an_agent_of_that_name_takes_nothing(near: Side, far: Side) -> None:
    """The sender said at which host."""
    near.spool.send("claude-cloud@stackcp", subject="yours", body="b", priority="P0")
    set_peer(near.home, "desk", {"agents": ["nobody"]})
    near.spool.send("claude-cloud@desk", subject="not yours", body="b", priority="P0")
    look(near)
    far.once()
    assert [far.spool.inbox()[0].recipient, len(far.mail())] == ["claude-cloud@stackcp", 1]


def test_an_answer_comes_back_by_the_issue(near: Side, far: Side) -> None:
    """The link is still down; `from` is an agent of another peer, which this road may carry."""
    id = blocker(near)
    far.once()
    answer = far.spool.reply(id, "Use the other one.")
    far.once()
    near.once()
    assert [(row.id, row.re) for row in near.mail()] == [(answer, id)] and near.quarantine() == []


def test_what_should_not_travel_this_way_is_told_of_all_the_same(
    near: Side, far: Side, octocat: Person, tmp_path: Path
) -> None:
    """Its files would be missed, or it is dead, or too long: people read of it, nobody else takes it."""
    file = tmp_path / "core.txt"
    file.write_text("what it left")
    ids = [
        near.spool.send("claude-cloud", subject="with a file", priority="P0", attach=[file]),
        near.send("claude-cloud", subject="too long", body="x" * 90_000, priority="P0"),
        near.send("claude-cloud", subject="dead", body="late", priority="P0"),
    ]
    look(near)
    with near.spool.store.write(sync=False) as tx:
        tx.outbox.bury(near.sent(ids[2]).seq, now=near.clock.now(), reason="expired")
    look(near)
    blocks = [issue_blocks.find(issue["body"]) for issue in octocat.issues()]
    assert len(blocks) == 3
    assert all(found and isinstance(found[1], issue_blocks.Block) and not found[1].raw for found in blocks)
    far.once()
    assert far.mail() == [] and far.quarantine() == []


@pytest.mark.parametrize("text", HOSTILE, ids=["mentions", "html", "block", "rtl", "deep"])
def test_hostile_words_change_nothing(near: Side, far: Side, octocat: Person, text: str) -> None:
    """In the message, and in the reason that a person gives."""
    id = near.send("claude-cloud", subject="x", body=text, priority="P0")
    near.spool.escalate(id, reason=text)
    look(near)
    (issue,) = octocat.issues()
    found = issue_blocks.find(issue["body"])
    assert found is not None and found[0] == issue_blocks.Marker("urgent", "laptop", "claude-local", id)
    far.once()
    assert [row.id for row in far.mail()] == [id]

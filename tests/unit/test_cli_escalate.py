"""`spool escalate` as a person uses it, and what `trace` and `status` say of what was escalated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.api import Spool
from tests.desk import Turned, arrive, told
from tests.escalating import ROAD, escalating_host, escalation, look, notices, tell
from tests.unit.test_cli import KEY, Cli
from tests.unit.test_escalations import send


@pytest.fixture
def now() -> Turned:
    """The time of day."""
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host that escalates."""
    with escalating_host(tmp_path, now) as made:
        yield made


@pytest.fixture
def cli(spool: Spool) -> Cli:
    """Its command line."""
    return Cli(spool.home)


def test_a_person_escalates_what_the_rules_would_not(spool: Spool, cli: Cli, now: Turned) -> None:
    """At once, with the reason; the id is printed, and the object says how far it is."""
    id = send(spool)
    (view,) = cli.json("escalate", id, "--reason", "nobody\n answers")
    assert (view["id"], view["peer"], view["state"], view["posted"]) == (id, ROAD, "open", False)
    assert [(each["rule"], each["text"]) for each in view["reasons"]] == [("by hand", "nobody answers")]
    (notice,) = notices(spool, now)
    assert "nobody answers" in notice.body and notice.title == "[CHAT:URGENT] Redis is missing"
    assert cli.ok("escalate", id[-8:]) == f"{id}\n"


def test_once_more_changes_the_reason_and_makes_no_second_one(spool: Spool, cli: Cli, now: Turned) -> None:
    """Each message has one issue."""
    id = send(spool)
    cli.ok("escalate", id, "--reason", "first")
    tell(spool, now)
    (view,) = cli.json("escalate", id, "--reason", "second")
    assert view["number"] == 7 and [each["text"] for each in view["reasons"]] == ["second"]
    (notice,) = notices(spool, now)
    assert notice.number == 7 and "second" in notice.body and "first" not in notice.body


def test_what_a_rule_said_stays_beside_it(spool: Spool, cli: Cli, now: Turned) -> None:
    """Both are why."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    (view,) = cli.json("escalate", id, "--reason", "it burns")
    assert [each["rule"] for each in view["reasons"]] == ["P0", "by hand"]


def test_a_reason_with_a_credential_is_refused(spool: Spool, cli: Cli) -> None:
    """An issue is read by more people than a message."""
    id = send(spool)
    error = cli.error("escalate", id, "--reason", f"try {KEY}")
    assert error["kind"] == "secret_found" and KEY not in error["message"]
    assert spool.escalated() == []


@pytest.mark.parametrize("fate", ["done", "by the road", "relayed"])
def test_what_nobody_need_be_told_of_is_refused(spool: Spool, cli: Cli, now: Turned, fate: str) -> None:
    """With what it is instead."""
    if fate == "relayed":
        arrive(spool, id="msg-relayed", to="desk-1", now=now.at)
        id = "msg-relayed"
    else:
        id = send(spool, to="human" if fate == "by the road" else "cloud-1")
    if fate == "done":
        told(spool, id, "done")
    error = cli.error("escalate", id)
    assert (error["kind"], error["exit"], error["id"]) == ("bad_input", 1, id)
    assert spool.escalated() == []


def test_without_rules_it_says_what_to_write(spool: Spool, cli: Cli) -> None:
    """Else somebody would rest on an issue that is nowhere."""
    id = send(spool)
    path = spool.home / "spool.toml"
    path.write_text(path.read_text().partition("[escalation]")[0])
    error = cli.error("escalate", id)
    assert "no [escalation]" in error["message"] and "docs/escalation.md" in error["hint"]


def test_what_is_escalated_is_listed(spool: Spool, cli: Cli, now: Turned) -> None:
    """For a person and for a script; nothing is said to be nothing."""
    assert "nothing is escalated" in cli("escalate").stderr
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    assert "not there yet" in cli.ok("escalate") and cli("escalate", "--reason", "x").exit_code == 2
    tell(spool, now)
    assert "https://github.com/owner/repo/issues/7" in cli.ok("escalate")
    (view,) = cli.json("escalate")
    assert (view["id"], view["number"], view["posted"]) == (id, 7, True)


def test_a_person_may_say_that_it_is_dealt_with(spool: Spool, cli: Cli, now: Turned) -> None:
    """The issue is closed, and the rules leave it so."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    tell(spool, now)
    (view,) = cli.json("escalate", id, "--resolve")
    assert view["state"] == "resolved"
    assert look(spool, now, after_s=60.0) == []
    (notice,) = tell(spool, now)
    assert not notice.open and "resolved by hand" in notice.body
    assert cli.error("escalate", id, "--resolve")["kind"] == "bad_input"
    assert cli("escalate", id, "--resolve", "--reason", "x").exit_code == 2


def test_an_unknown_message_is_no_such_thing(cli: Cli) -> None:
    """As for every command that takes an id."""
    assert cli.error("escalate", "msg-nowhere")["exit"] == 4


def test_trace_tells_the_whole_of_it(spool: Spool, cli: Cli, now: Turned) -> None:
    """Why, where, what changed, and its end, between the steps of the message itself."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    tell(spool, now)
    told(spool, id, "read")
    look(spool, now)
    tell(spool, now)
    told(spool, id, "done")
    look(spool, now)
    tell(spool, now)
    (view,) = cli.json("trace", id)
    url = "issue 7: https://github.com/owner/repo/issues/7"
    said = [(each["state"], each["detail"]) for each in view["events"] if each["peer"] == ROAD]
    assert said == [
        ("queued", "escalated: P0: not received within 10 s"),
        ("queued", f"posted: {url}"),
        ("read", f"updated: {url}"),
        ("done", f"resolved: {url}"),
    ]
    assert [each["state"] for each in view["events"]] == [
        *["queued"] * 3,
        *["sent", "received", "read", "read"],
        *["done"] * 2,
    ]


def test_trace_of_what_nobody_was_told_yet(spool: Spool, cli: Cli, now: Turned) -> None:
    """It was dealt with before anybody could."""
    id = send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    told(spool, id, "done")
    look(spool, now)
    (view,) = cli.json("trace", id)
    assert view["events"][-1]["detail"] == "resolved: nobody was told yet"


def test_status_counts_what_is_escalated(spool: Spool, cli: Cli, now: Turned) -> None:
    """And says where nobody could be told of it."""
    send(spool, priority="P0")
    look(spool, now, after_s=11.0)
    (view,) = cli.json("status")
    assert view["escalated"] == 1 and "escalated" in cli.ok("status")
    check = cli("status", "--check")
    assert check.exit_code == 1 and f"1 escalation has not reached {ROAD}" in " ".join(check.stdout.split())
    tell(spool, now)
    assert "not reached" not in cli("status", "--check").stdout


def test_mail_between_agents_here_does_not_travel(spool: Spool, cli: Cli, now: Turned) -> None:
    """Another host that reads there may have an agent of the same name."""
    cli.ok("escalate", spool.send("you", subject="s", body="b"))
    (notice,) = notices(spool, now)
    assert '"m"' not in notice.body and "spool urgent here me" in notice.body


def test_a_secret_that_was_allowed_is_not_shown_to_everybody(spool: Spool, now: Turned) -> None:
    """It was allowed between two agents: the issue is for people, and says where to look."""
    id = spool.send("cloud-1", subject="s", body=f"key {KEY}", priority="P0", allow_secrets=True)
    look(spool, now, after_s=11.0)
    (notice,) = notices(spool, now)
    assert KEY not in notice.body + notice.title and "credential" in notice.body
    assert escalation(spool, id).state == "open"

"""Two hosts as they run, with their consumers and their command line, and a repository between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.faulty import Fault, Faulty
from tests.github.tower import OWNER, TOKENS, Person, Tower
from tests.hosts import Host, hosts, until

TOKEN = TOKENS["octocat"]


@pytest.fixture
def gateway(github: Tower) -> Iterator[Faulty]:
    """What may fail, in front of it all."""
    made = Faulty(github.url)
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, github: Tower, gateway: Faulty, repo: str) -> Iterator[tuple[Host, Host]]:
    """Added as a person would add them; the token is in a file, or in the environment."""
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(TOKEN + "\n")
    url = f"github://{OWNER}/{repo}"
    with hosts(tmp_path, laptop=["claude-local"], stackcp=["claude-cloud"]) as (near, far):
        add = ["peer", "add", "hub", url, "--poll", "1"]
        ways = ["--direction", "local-to-cloud", "--agents", "claude-cloud"]
        near.cli(*add, *ways, "--base-url", gateway.url, "--token-file", str(file))
        ways = ["--direction", "cloud-to-local", "--agents", "claude-local"]
        far.cli(*add, *ways, "--base-url", github.url, env={"GITHUB_TOKEN": TOKEN})
        yield near, far


def test_a_conversation_between_two_consumers(
    pair: tuple[Host, Host], github: Tower, repo: str, tmp_path: Path
) -> None:
    """Sent, received, answered, done: each told to the other, and the issue closed at the end."""
    near, far = pair
    near.start()
    far.start(env={"GITHUB_TOKEN": TOKEN})
    id = near.cli("send", "claude-cloud", "-s", "Ready?", "-b", "Tell me.").stdout.strip()
    until(lambda: [row["id"] for row in far.json("inbox")] == [id], 60)
    far.cli("reply", id, "-b", "Yes, @octocat.")
    until(lambda: [row["re"] for row in near.json("inbox")] == [id], 60)
    until(lambda: near.json("show", id)[0]["state"] == "done", 60)
    octocat = Person(github.bare, "octocat", repo)
    until(lambda: [issue["state"] for issue in octocat.issues()] == ["closed"], 60)
    octocat.close()
    (peer,) = near.json("status")[0]["peers"]
    assert (peer["state"], peer["last_error"]) == ("linked", None)
    assert peer["rate"]["limit"] == 5000
    for host in pair:
        written = [path for path in host.home.rglob("*") if path.is_file()]
        assert not any(TOKEN.encode() in path.read_bytes() for path in written), (
            "the token is written nowhere"
        )


def test_a_revoked_token_stops_the_peer_until_a_person_resumes_it(
    pair: tuple[Host, Host], gateway: Faulty
) -> None:
    """`status` says so and what to do; the message waits, and goes when it is resumed."""
    near, _ = pair
    near.start()
    until(lambda: near.peer_state("hub") == "linked", 60)
    with gateway.all(Fault(401, {}, {"message": "Bad credentials"})):
        until(lambda: near.peer_state("hub") == "stopped", 60)
        asked = len(gateway.calls)
        id = near.cli("send", "claude-cloud", "-s", "x").stdout.strip()
        stuck = near.cli("status", "--check", check=1).stdout
        assert "spool peer resume hub" in stuck
        steps = near.json("peer", "check", "hub", check=1)
        assert [step["step"] for step in steps if not step["ok"]] == ["login"]
        assert len(gateway.calls) <= asked + 2, "only the check has asked since"
    near.cli("peer", "resume", "hub")
    until(lambda: near.json("show", id)[0]["state"] == "sent", 60)


def test_a_limit_is_shown_by_status_with_its_end(pair: tuple[Host, Host], gateway: Faulty) -> None:
    """Who looks sees why nothing moves, and when it will."""
    near, _ = pair
    gateway.fail("GET", "/issues", Fault(429, {"retry-after": "600"}, {"message": "too many"}), times=9)
    near.start()
    until(lambda: near.json("status")[0]["peers"][0]["retry_at"] is not None, 60)
    (peer,) = near.json("status")[0]["peers"]
    assert peer["state"] == "waiting"
    assert "rate limit: too many; on again in 600 s" in peer["last_error"]
    assert "next try in" in near.cli("status").stdout


def test_up_once_posts_and_takes_and_ends(pair: tuple[Host, Host]) -> None:
    """A host that runs from cron."""
    near, far = pair
    id = near.cli("send", "claude-cloud", "-s", "x").stdout.strip()
    near.cli("up", "--once")
    far.cli("up", "--once", env={"GITHUB_TOKEN": TOKEN})
    assert [row["id"] for row in far.json("inbox")] == [id]


def test_a_missing_token_is_named_and_not_asked_for_without_end(pair: tuple[Host, Host]) -> None:
    """The variable is not in the environment of whoever carries; its name is said, and where to set it."""
    _, far = pair
    far.cli("up", "--once", check=None)
    (peer,) = far.json("status")[0]["peers"]
    assert "$GITHUB_TOKEN is not set" in peer["last_error"]
    steps = far.json("peer", "check", "hub", check=1)
    assert [step["step"] for step in steps if not step["ok"]] == ["token"]


def test_check_names_each_step(pair: tuple[Host, Host]) -> None:
    """Nothing is written there to find out."""
    near, _ = pair
    steps = near.json("peer", "check", "hub")
    assert [step["step"] for step in steps] == ["token", "login", "repository", "issues", "limit"]
    assert all(step["ok"] for step in steps)
    assert TOKEN not in json.dumps(steps)


def test_files_are_refused_where_they_cannot_travel(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """Said when it is sent, not after a week of waiting."""
    near, _ = pair
    (tmp_path / "report.txt").write_text("text")
    said = near.cli("send", "claude-cloud", "-s", "x", "--attach", str(tmp_path / "report.txt"), check=1)
    assert "files do not travel to hub (github:)" in said.stderr

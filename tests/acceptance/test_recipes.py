"""Agents that know only the shell keep their recipes: spool stands behind their folders, on both hosts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import protocol_scripts as scripts
from tests.hosts import Host, dials_by_exec, hosts, until

LOCAL = ["claude-local"]
CLOUD = ["claude-cloud*"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """A laptop and a cloud with spool on both; on both the agents only read and write folders."""
    with hosts(tmp_path, laptop=["desk"], cloud=["keeper"]) as (laptop, cloud):
        dials_by_exec(laptop, cloud, near_agents=["desk", *LOCAL], far_agents=["keeper", *CLOUD])
        scripts.make_cloud_folders(tmp_path)
        laptop.peer(
            "scripts",
            url="dir:",
            inbox=str(tmp_path / "from-cloud"),
            outbox=str(tmp_path / "to-cloud"),
            agents=LOCAL,
        )
        cloud.peer(
            "scripts",
            url="dir:",
            inbox=str(tmp_path / "claude-inbox"),
            outbox=str(tmp_path / "claude-outbox"),
            agents=CLOUD,
        )
        for host in (laptop, cloud):
            host.start()
        until(lambda: (tmp_path / "to-cloud").is_dir(), what="spool made no folder")
        yield laptop, cloud


def run(tmp_path: Path, recipe: str) -> str:
    """Run one recipe as written and return what it printed."""
    done = scripts.run_recipe(recipe, env=scripts.environment(), home=tmp_path, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_in(folder: Path) -> list[Path]:
    """What `*.json` finds there."""
    return sorted(folder.glob("[!.]*.json"))


def test_a_question_and_its_answer_go_from_shell_to_shell(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """Written with echo, read with jq, answered by subject alone: both ways over two spools."""
    laptop, _ = pair
    run(tmp_path, scripts.LOCAL_SEND)
    until(lambda: files_in(tmp_path / "claude-inbox"), what="nothing came to the cloud")
    assert not files_in(tmp_path / "to-cloud")
    (question,) = files_in(tmp_path / "claude-inbox")
    printed = run(tmp_path, scripts.CLOUD_REPLY)
    assert "Message from claude-local: Ready to deploy Photo Inventory" in printed
    assert "MVP feature complete" in printed
    until(lambda: files_in(tmp_path / "from-cloud"), what="no answer came back")
    (answer,) = files_in(tmp_path / "from-cloud")
    assert json.loads(answer.read_bytes())["subject"] == "Re: Ready to deploy Photo Inventory"
    assert "All OCR tests passing" in run(tmp_path, scripts.LOCAL_READ)
    assert not files_in(tmp_path / "from-cloud")
    until(lambda: trace_state(laptop, question.stem) == "received", what="no receipt came back")


def trace_state(host: Host, id: str) -> str:
    """How far a message got, as this host knows."""
    state: str = host.json("trace", id)[0]["state"]
    return state


@pytest.mark.parametrize(
    ("recipe", "folder", "fields"),
    [
        (scripts.EXAMPLE_BLOCKER, "claude-inbox", {"priority": "P0", "deadline": "2025-11-13T11:30:00Z"}),
        (scripts.EXAMPLE_BLOCKER_RESOLVED, "from-cloud", {"commit": "a3b9f21", "priority": "P0"}),
        (scripts.EXAMPLE_DEPLOY_READY, "from-cloud", {"test_results": "15/15 passing"}),
    ],
    ids=["blocker", "resolved", "deploy ready"],
)
def test_every_usage_example_arrives_with_its_fields(
    pair: tuple[Host, Host], tmp_path: Path, recipe: str, folder: str, fields: dict[str, str]
) -> None:
    """Those that spool does not know as well."""
    run(tmp_path, recipe)
    until(lambda: files_in(tmp_path / folder), what="it did not arrive")
    (file,) = files_in(tmp_path / folder)
    got = json.loads(file.read_bytes())
    assert {name: got[name] for name in fields} == fields
    assert file.stem == got["id"]


def test_a_file_appears_whole_or_not_at_all(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """A reader that looks all the time never finds half a file."""
    laptop, _ = pair
    body = "x" * 90_000
    with laptop.api("desk") as spool:
        ids = [spool.send("claude-local", subject="large", body=body) for _ in range(30)]
    seen: dict[str, int] = {}
    deadline = time.monotonic() + 20
    while len(seen) < len(ids):
        assert time.monotonic() < deadline, f"{len(seen)} of {len(ids)}"
        for file in files_in(tmp_path / "from-cloud"):
            seen[file.stem] = len(json.loads(file.read_bytes())["body"])
    assert seen == dict.fromkeys(ids, len(body))

"""The server as a client meets it: its schema and cost, its errors, who it acts for, resources, prompts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import BlobResourceContents, TextContent

from spool.api import Spool
from spool.mcp_server import resources, seat
from spool.mcp_server.reads import Reads
from spool.mcp_server.seat import Seat
from spool.mcp_server.server import INSTRUCTIONS, make
from tests.desk import arrive, make_home
from tests.hosts import ENV, ROOT
from tests.mcp_client import PID, Agent, outside, text_of

TOOLS = {
    "send_message": False,
    "reply": False,
    "check_inbox": True,
    "read_message": False,
    "ack_message": False,
    "wait_for_message": True,
    "message_status": True,
    "list_peers": True,
    "search_messages": True,
}


@pytest.fixture
def schema(agent: Agent) -> dict[str, Any]:
    """tools/list, as it is sent."""
    listed = agent.talk(lambda client: client.list_tools())
    return listed.model_dump(by_alias=True, mode="json", exclude_none=True)


# -- what it costs ----------------------------------------------------------------------------


def test_the_schema_is_small(schema: dict[str, Any]) -> None:
    """Every session of every agent pays for it: 2,500 tokens at most, counted by the tokenizer of the
    model's maker; in JSON like this one, a token is four characters nearly."""
    assert len(json.dumps(schema, separators=(",", ":"))) < 7000


def test_the_instructions_are_not_cut() -> None:
    """Clients cut at 2 KB."""
    assert len(INSTRUCTIONS.encode()) < 2048


def test_these_are_the_tools_and_what_they_may_change(schema: dict[str, Any]) -> None:
    """A client that asks before it writes must not ask before each look, nor the other way round."""
    hints = {each["name"]: each["annotations"].get("readOnlyHint", False) for each in schema["tools"]}
    assert hints == TOOLS
    assert all(len(each["description"]) < 300 for each in schema["tools"])


def test_no_schema_has_what_clients_refuse(schema: dict[str, Any]) -> None:
    """An alternative at the root is an error for some; a title, or a null beside a type, only costs."""
    for tool in schema["tools"]:
        root = tool["inputSchema"]
        assert root["type"] == "object" and "outputSchema" not in tool
        assert not {"anyOf", "oneOf", "allOf", "title"} & root.keys()
        for part in root["properties"].values():
            assert part["type"] in ("string", "boolean", "integer", "number", "array")
            assert not {"anyOf", "title"} & part.keys() and part.get("default", "") is not None


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem", "remedy"),
    [
        ({"mesage_ids": ["a"]}, "no parameter mesage_ids", "message_ids, outcome, note"),
        ({}, "message_ids: Field required", "schema"),
        ({"message_ids": ["a"], "outcome": "maybe"}, "outcome", "schema"),
        ({"message_ids": ["msg-none"]}, "msg-none", "check_inbox"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(
    agent: Agent, given: dict[str, Any], problem: str, remedy: str
) -> None:
    """A model mends what it is told; a parameter that is passed over it never learns of."""
    said = agent.refused("ack_message", **given)
    assert problem in said and "What to do: " in said and remedy in said
    assert "Traceback" not in said and "pydantic" not in said


def test_an_unknown_tool_is_told_which_there_are(agent: Agent) -> None:
    """`escalate` is one that other mail tools have."""
    said = agent.refused("escalate", message_id="x")
    assert all(name in said for name in TOOLS)


def test_without_a_home_each_call_says_what_to_do(tmp_path: Path) -> None:
    """A server that did not start would say nothing at all; made later, the home is found."""
    agent = Agent(tmp_path / "home")
    assert "spool init" in agent.refused("check_inbox")

    make_home(tmp_path, "me")
    assert "0 unread" in agent.call("check_inbox")


# -- who it acts for --------------------------------------------------------------------------


def test_several_agents_and_none_chosen_is_an_error_that_names_them(home: Path) -> None:
    """Guessing would put one agent's mail before another's eyes."""
    said = Agent(home, None).refused("check_inbox")
    assert "me" in said and "you" in said and "SPOOL_AGENT" in said


def test_the_environment_chooses(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the client's configuration that says who it is, never a call's arguments."""
    monkeypatch.setenv("SPOOL_AGENT", "you")
    assert Agent(home, None).json("list_peers")["you"] == "you"
    assert "no parameter agent" in Agent(home, None).refused("check_inbox", agent="me")


def test_the_only_agent_needs_no_choice(tmp_path: Path) -> None:
    """Most hosts have one."""
    assert Agent(make_home(tmp_path, "me"), None).json("list_peers")["you"] == "me"


def test_the_session_of_the_same_process_chooses(home: Path, spool: Spool) -> None:
    """The hook may bind it when the server runs already, and bind it anew."""
    agent = Agent(home, None)
    assert "SPOOL_AGENT" in agent.refused("check_inbox")
    for name in ("you", "me"):
        spool.attend("claude-1", agent=name, client="claude-code", pid=PID)
        assert agent.json("list_peers")["you"] == name


def test_the_session_goes_before_what_the_server_was_started_with(
    home: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the hooks: one configuration serves many projects, each perhaps with its own agent."""
    assert Agent(home, "me").json("list_peers")["you"] == "me"
    spool.attend("claude-1", agent="you", client="claude-code", pid=PID)
    assert Agent(home, "me").json("list_peers")["you"] == "you"
    monkeypatch.setenv("SPOOL_AGENT", "me")
    assert Agent(home, "you").json("list_peers")["you"] == "me"


def test_another_session_with_the_same_mailbox_is_announced_once(home: Path, spool: Spool) -> None:
    """Two that answer the same mail without knowing of each other answer twice."""
    spool.attend("claude-1", agent="me", client="claude-code", pid=os.getppid(), cwd="/elsewhere")
    agent = Agent(home)
    first = agent.call("check_inbox")

    assert "another live session reads as me" in outside(first) and "/elsewhere" in first
    assert "another live session" not in agent.call("check_inbox")
    assert "/elsewhere" in agent.json("list_peers")["sessions_beside_yours"][0]


def test_the_hooks_of_the_same_client_are_no_other_session(home: Path, spool: Spool) -> None:
    """One client has an MCP server and hooks, and is one reader."""
    spool.attend("claude-1", agent="me", client="claude-code", pid=PID)
    agent = Agent(home)
    assert "another live session" not in agent.call("check_inbox")
    assert agent.json("list_peers")["sessions_beside_yours"] == []


def test_a_session_is_there_as_long_as_its_server(home: Path, spool: Spool) -> None:
    """A sender is told whether anybody is there to read."""
    place = Seat(home, agent="me", pid=PID)
    assert seat.opened(place) is None
    assert [each.client for each in spool.sessions("me")] == ["mcp"]
    place.leave()
    place.leave()
    assert spool.sessions("me") == []


# -- resources and prompts --------------------------------------------------------------------


def test_every_list_has_an_address(agent: Agent, spool: Spool) -> None:
    """A person puts them into a conversation with an @; looking marks nothing."""
    arrive(spool, id="msg-in", subject="Red lamp", deadline="2000-01-01T00:00:00Z")
    out = spool.send("cloud-1", subject="Green lamp")
    dead = spool.send("cloud-1", subject="Blue lamp")
    spool.cancel(dead)

    assert "msg-in" in outside(agent.resource("spool://inbox"))
    assert out in outside(agent.resource("spool://outbox"))
    assert dead in outside(agent.resource("spool://dead"))
    assert "msg-in" in outside(agent.resource("spool://overdue"))
    assert json.loads(agent.resource("spool://peers"))["you"] == "me"
    assert "Red lamp" in agent.resource("spool://message/msg-in")
    assert "msg-in" in outside(agent.resource("spool://thread/msg-in"))
    assert spool.received("msg-in").state == "unread"


def test_addresses_are_listed(agent: Agent) -> None:
    """What a client can offer without knowing spool."""

    async def script(client: Client) -> tuple[set[str], set[str], set[str]]:
        listed = await client.list_resources()
        patterns = await client.list_resource_templates()
        prompts = await client.list_prompts()
        return (
            {str(each.uri) for each in listed.resources},
            {each.uri_template for each in patterns.resource_templates},
            {each.name for each in prompts.prompts},
        )

    assert agent.talk(script) == (
        {f"spool://{name}" for name in ("inbox", "outbox", "dead", "overdue", "peers")},
        {"spool://message/{id}", "spool://thread/{id}", "spool://attachment/{sha256}"},
        {"inbox", "handoff", "catch_up"},
    )


def test_a_file_is_for_those_whose_message_names_it(home: Path, spool: Spool, tmp_path: Path) -> None:
    """A hash that was seen somewhere opens nothing."""
    log = tmp_path / "log"
    log.write_bytes(b"\x00all is well")
    id = spool.send("cloud-1", body="See", attach=[log])
    sha256 = json.loads(spool.sent(id).raw)["attachments"][0]["sha256"]
    uri = f"spool://attachment/{sha256}"

    (content,) = Agent(home).talk(lambda client: client.read_resource(uri)).contents
    assert isinstance(content, BlobResourceContents) and content.blob == "AGFsbCBpcyB3ZWxs"
    assert "no_such_message" in Agent(home, "you").unreadable(uri)


def test_what_cannot_be_shown_says_why(
    agent: Agent, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown id, what is no hash, and a file that would fill the context."""
    monkeypatch.setattr(resources, "MOST_FILE", 3)
    log = tmp_path / "log"
    log.write_text("long")
    id = spool.send("me", body="See", attach=[log])
    sha256 = json.loads(spool.sent(id).raw)["attachments"][0]["sha256"]

    for uri, said in (
        ("message/msg-none", "msg-none"),
        ("attachment/abc", "SHA-256"),
        (f"attachment/{sha256}", "open /"),
    ):
        assert said in agent.unreadable(f"spool://{uri}")


def test_prompts_carry_what_was_given(agent: Agent) -> None:
    """And none asks for more than their person meant: what others wrote is no instruction."""

    async def script(client: Client) -> list[str]:
        got = [
            await client.get_prompt("inbox"),
            await client.get_prompt("handoff", {"to": "you", "topic": "the red lamp"}),
            await client.get_prompt("catch_up", {"thread_id": "t-1"}),
        ]
        texts = []
        for each in got:
            (message,) = each.messages
            assert isinstance(message.content, TextContent)
            texts.append(message.content.text)
        return texts

    inbox, handoff, catch_up = agent.talk(script)
    assert "not an instruction" in inbox and "not an instruction" in catch_up
    assert "you: the red lamp" in handoff and "t-1" in catch_up


# -- the door ---------------------------------------------------------------------------------


def test_without_the_library_one_line_says_how_to_get_it(home: Path) -> None:
    """It is an extra: most hosts only carry mail."""
    block = "import sys; sys.modules['mcp'] = None; from spool.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", block, "--home", str(home), "mcp"],
        capture_output=True,
        text=True,
        env=ENV,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 1 and done.stdout == ""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = extras["mcp"]
    assert done.stderr.count("\n") == 1 and f"{sys.executable} -m pip install '{wanted}'" in done.stderr


def test_a_client_of_the_newer_protocol_is_served_too(agent: Agent) -> None:
    """What negotiates 2026-07-28 sends no initialize."""

    async def main() -> str:
        async with Client(make(agent.seat, Reads())) as client:
            return text_of(await client.call_tool("check_inbox", {}))

    assert "0 unread" in anyio.run(main)

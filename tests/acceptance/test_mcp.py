"""`spool mcp` as a client starts it: between two hosts over a real sshd, and killed where it hurts."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import BlobResourceContents, TextResourceContents

from spool.states import Held, State
from spool.store.base import Incoming
from tests.hosts import CLI, ENV, Host, dials_by_ssh, hosts, until
from tests.mail import linked
from tests.mcp_client import outside, text_of
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near` dials `far` through an sshd, and they are linked."""
    with Sshd(tmp_path / "sshd") as sshd, hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"])
        near.start()
        until(lambda: linked(far, "near"))
        yield near, far


def client_of(host: Host) -> Client:
    """The SDK's client, with a server of its own for this host."""
    command = [*CLI, "--home", str(host.home), "mcp"]
    return Client(StdioServerParameters(command=command[0], args=command[1:], env=dict(ENV)), mode="legacy")


async def ask(client: Client, tool: str, **arguments: Any) -> str:
    """The text of a tool's answer, which is no error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


def received(host: Host, agent: str, id: str) -> Incoming:
    """A message as its agent's host has it."""
    with host.api(agent) as spool:
        return spool.received(id)


def clients(host: Host, agent: str) -> list[str | None]:
    """What reads as an agent now."""
    with host.api() as spool:
        return [each.client for each in spool.sessions(agent)]


async def look(client: Client, uri: str) -> str:
    """The text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


def test_two_agents_talk_through_their_clients(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """Every tool, resource and prompt once, from the question to its end, with what each side is told."""
    near, far = pair
    log = tmp_path / "build.log"
    log.write_text("all is well")

    async def main() -> None:
        async with client_of(near) as nia, client_of(far) as fay:
            assert "durable mail" in (nia.instructions or "")
            peers = json.loads(await ask(nia, "list_peers", probe=True))
            assert peers["you"] == "nia" and peers["peers"][0]["state"] == "linked"
            assert all(step["ok"] for step in peers["peers"][0]["probe"])

            (sent,) = json.loads(
                await ask(
                    nia,
                    "send_message",
                    to=["fay@far"],
                    subject="Build",
                    body="Is the build red?",
                    needs_reply=True,
                    attachments=[str(log)],
                    idempotency_key="build-1",
                )
            )["sent"]
            id = sent["id"]
            assert (sent["state"], sent["peer"], sent["carrier"]) == ("queued", "far", "link")

            assert id in outside(await ask(fay, "wait_for_message", timeout_s=60))
            assert "Is the build red?" in await ask(fay, "check_inbox")
            assert received(far, "fay", id).state is Held.UNREAD
            assert "Is the build red?" in await ask(fay, "read_message", message_id=id)
            with near.api() as spool:
                spool.wait_for_state(id, State.READ, timeout=60)

            answers: list[str] = []
            async with anyio.create_task_group() as tasks:

                async def wait() -> None:
                    answers.append(await ask(nia, "wait_for_message", message_id=id, timeout_s=90))

                tasks.start_soon(wait)
                told = json.loads(await ask(fay, "reply", message_id=id, body="It is green."))
            assert told["answered"]["state"] == "read"
            answer = told["sent"][0]["id"]
            assert answer in outside(answers[0])

            await ask(fay, "ack_message", message_ids=[id], note="looked twice")
            with near.api() as spool:
                spool.wait_for_state(id, State.DONE, timeout=60)
            status = await ask(nia, "message_status", message_id=id)
            assert "looked twice" in status and "done" in outside(status)
            assert id in outside(await ask(nia, "search_messages", query="build"))
            assert answer in outside(await ask(nia, "search_messages", thread_id=id))

            assert answer in outside(await look(nia, "spool://inbox"))
            assert "Nothing" in await look(nia, "spool://outbox")
            assert "Nothing" in await look(nia, "spool://dead")
            assert "Nothing" in await look(nia, "spool://overdue")
            assert json.loads(await look(nia, "spool://peers"))["host"] == "near"
            assert "It is green." in await look(nia, f"spool://message/{answer}")
            assert id in outside(await look(nia, f"spool://thread/{answer}"))
            sha256 = json.loads(received(far, "fay", id).raw)["attachments"][0]["sha256"]
            (file,) = (await fay.read_resource(f"spool://attachment/{sha256}")).contents
            assert isinstance(file, BlobResourceContents) and file.blob == "YWxsIGlzIHdlbGw="

            prompts = {each.name for each in (await nia.list_prompts()).prompts}
            assert prompts == {"inbox", "handoff", "catch_up"}
            for name, given in (
                ("inbox", {}),
                ("handoff", {"to": "fay", "topic": "x"}),
                ("catch_up", {"thread_id": id}),
            ):
                assert (await nia.get_prompt(name, given)).messages
            assert clients(near, "nia") == ["mcp"]

    anyio.run(main)
    assert clients(near, "nia") == []
    assert {each["role"] for each in far.log("mcp.started")} == {"mcp"}


class Raw:
    """A server whose client reads when it wants to: the lines of the protocol, by hand."""

    def __init__(self, host: Host) -> None:
        self.process = subprocess.Popen(
            [*CLI, "--home", str(host.home), "mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENV,
        )
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        self.ask(1, "initialize", hello)
        assert self.line()["id"] == 1
        self._say({"method": "notifications/initialized"})

    def ask(self, id: int, method: str, params: dict[str, Any]) -> None:
        self._say({"id": id, "method": method, "params": params})

    def _say(self, frame: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **frame}).encode() + b"\n")
        self.process.stdin.flush()

    def answered(self, within_s: float = 30.0) -> bool:
        """Whether an answer lies in the pipe; it stays there."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        return bool(ready)

    def line(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self, number: int) -> int:
        """End it by a signal; its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.desert()

    def desert(self) -> None:
        """Close both pipes, as a client does that died."""
        for pipe in (self.process.stdout, self.process.stdin):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with a message for its agent."""
    with hosts(tmp_path, here=["ann", "bob"]) as (host,):
        yield host


def test_killed_before_its_client_has_the_answer_it_leaves_the_mail_unread(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was written and lies in the pipe: nobody has seen it, and nobody ever will."""
    monkeypatch.setitem(ENV, "SPOOL_AGENT", "ann")
    with host.api("bob") as spool:
        id = spool.send("ann", body="Only once")
        server = Raw(host)
        server.ask(2, "tools/call", {"name": "read_message", "arguments": {"message_id": id}})
        assert server.answered()
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        assert spool.received(id, agent="ann").state is Held.UNREAD

        # The next server shows it again, and once that was taken it is read.
        server = Raw(host)
        server.ask(2, "tools/call", {"name": "read_message", "arguments": {"message_id": id}})
        assert "Only once" in server.line()["result"]["content"][0]["text"]
        until(lambda: spool.received(id, agent="ann").state is Held.READ)
        assert server.end(signal.SIGTERM) == 0
        assert spool.sessions("ann") == []


def test_a_client_that_died_leaves_the_mail_unread(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asked, and was gone before it could take the answer; its server ends without a word."""
    monkeypatch.setitem(ENV, "SPOOL_AGENT", "ann")
    with host.api("bob") as spool:
        id = spool.send("ann", body="Only once")
        server = Raw(host)
        server.ask(2, "tools/call", {"name": "read_message", "arguments": {"message_id": id}})
        server.desert()
        assert server.process.wait(30) == 0
        assert spool.received(id, agent="ann").state is Held.UNREAD
        assert spool.sessions("ann") == []


def test_nothing_but_the_protocol_is_printed(host: Host) -> None:
    """One foreign line and the client gives the server up; so what anything prints goes to stderr."""
    done = subprocess.run(
        [*CLI, "--home", str(host.home), "mcp"], input=b"not json\n", capture_output=True, env=ENV, timeout=60
    )
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in done.stdout.splitlines())
    assert b"SPOOL_AGENT" in done.stderr
    assert done.returncode == 0

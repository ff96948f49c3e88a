"""The SDK's own client against a server of this process, over streams in memory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import CallToolResult, TextContent, TextResourceContents

from spool.mcp_server.reads import Reads
from spool.mcp_server.seat import Seat
from spool.mcp_server.server import Server, make

T = TypeVar("T")
# A process that is surely ours and has no session of its own.
PID = os.getpid()


class Handed:
    """The stream to the client; what it has taken was handed over."""

    def __init__(self, inner: Any, reads: Reads) -> None:
        self._inner = inner
        self._reads = reads

    async def send(self, item: SessionMessage) -> None:
        await self._inner.send(item)
        request = getattr(item.message, "id", None) if not hasattr(item.message, "method") else None
        if request is not None and (mark := self._reads.answered(request)) is not None:
            mark()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


@contextlib.asynccontextmanager
async def _streams(server: Server, reads: Reads) -> AsyncIterator[Any]:
    async with create_client_server_memory_streams() as (client, (read, write)):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, read, Handed(write, reads))
            yield client
            await client[1].aclose()


class Agent:
    """An agent with an MCP client: each call is a connection of its own, to the same server."""

    def __init__(self, home: Path, name: str | None = "me", *, pid: int = PID) -> None:
        self.seat = Seat(home, agent=name, pid=pid)
        self._reads = Reads()
        self._server = make(self.seat, self._reads)

    def talk(self, script: Callable[[Client], Awaitable[T]]) -> T:
        """Run a script of calls over one connection; what it returns."""

        async def main() -> T:
            async with Client(_streams(self._server, self._reads), mode="legacy") as client:
                return await script(client)

        return anyio.run(main)

    def result(self, tool: str, **arguments: Any) -> CallToolResult:
        """The whole answer of a tool."""
        return self.talk(lambda client: client.call_tool(tool, arguments))

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a tool's answer, which is no error."""
        result = self.result(tool, **arguments)
        assert not result.is_error, text_of(result)
        return text_of(result)

    def json(self, tool: str, **arguments: Any) -> Any:
        """The same, as a value."""
        return json.loads(self.call(tool, **arguments))

    def refused(self, tool: str, **arguments: Any) -> str:
        """The text of a tool's error."""
        result = self.result(tool, **arguments)
        assert result.is_error, text_of(result)
        return text_of(result)

    def resource(self, uri: str) -> str:
        """The text of a resource."""
        (content,) = self.talk(lambda client: client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        return content.text

    def unreadable(self, uri: str) -> str:
        """Why a resource cannot be read."""

        async def script(client: Client) -> str:
            try:
                content = await client.read_resource(uri)
            except MCPError as exc:
                return exc.error.message
            raise AssertionError(f"{uri} was read: {content}")

        return self.talk(script)


def text_of(result: CallToolResult) -> str:
    """The text of an answer, which is all there is in it."""
    assert result.structured_content is None
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def outside(text: str) -> str:
    """The lines of an answer that spool vouches for: what stands in no fence."""
    kept, mark = [], None
    for line in text.splitlines():
        words = line.split()
        if mark is None and line.startswith("--- ") and words[2:3] == ["begin:"]:
            mark = words[1]
        elif mark is not None and line.startswith(f"--- {mark} end "):
            mark = None
        elif mark is None:
            kept.append(line)
    assert mark is None, "a fence without an end"
    return "\n".join(kept)

"""`spool mcp`: an MCP server for one client, on standard input and output."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

import click

from spool import config, log
from spool.cli.common import Call, common
from spool.errors import BadInput, SpoolError
from spool.version import VERSION

_SDK = ("mcp", "mcp_types", "anyio", "pydantic")
_WANTED: Final = "mcp>=2.3,<3"


@click.command()
@common
def mcp(call: Call) -> None:
    """Serve an agent's client over the Model Context Protocol (MCP), on stdin and stdout.

    The client starts it; nobody needs to type it. It acts for $SPOOL_AGENT, else the
    agent that `spool hook session-start` bound the client's session to, else --agent,
    else the only agent here.

    \b
    Example:
      claude mcp add --scope user spool -- spool mcp
    """
    try:
        from spool.mcp_server import stdio
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _SDK:
            raise
        raise BadInput("the MCP server needs a library that is not installed", hint=f"`{getting()}`") from exc
    if sys.stdin.isatty():
        call.warn("this talks to an MCP client on stdin and stdout; `spool mcp --help` shows how to add it")
    _log_to(call)
    stdio.serve(call.home, agent=call.agent)


def is_there() -> bool:
    """Whether the library is installed."""
    return find_spec(_SDK[0]) is not None


def getting() -> str:
    """The command that installs it where this spool runs; what `spool peer install` made has no pip."""
    pip = f"{sys.executable} -m pip" if find_spec("pip") else f"python3 -m pip --python {sys.executable}"
    return f"{pip} install '{_WANTED}'"


def _log_to(call: Call) -> None:
    """Where there is a home; where there is none, each call of a tool says so."""
    try:
        host = config.load(call.home).host.name
    except SpoolError:
        return
    log.configure(call.home, role="mcp", host=host, version=VERSION, stderr=False)

"""`spool agent install`, `uninstall` and `snippet`: spool in the settings of the programs agents run in."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from spool import config
from spool.cli.common import Call, common
from spool.cli.text import plain
from spool.config import Config
from spool.errors import BadInput

if TYPE_CHECKING:
    # Imported where they are used: `spool whoami` lives beside these commands, and is to start fast.
    from spool.clients.base import Scope, Setup, Wake
    from spool.clients.installing import Change, Installation

# The module of spool.clients that knows the client's files.
CLIENTS: Final = {"claude-code": "claude", "codex": "codex", "gemini": "gemini"}
SNIPPETS: Final = {"shell": "snippet-shell.md"}
_WAKES: Final = ("none", "rewake", "socket", "monitor")
_SCOPES: Final = ("user", "project")
_DONE: Final = {"write": "written:", "remove": "removed:", "none": "as it was:"}
_MONITOR: Final = (
    "to be woken by a monitor, install the plugin spool-monitor in Claude Code: "
    "`/plugin marketplace add FOLDER` with a checkout of spool, then `/plugin install spool-monitor@spool`"
)

scope_option = click.option(
    "--scope",
    type=click.Choice(_SCOPES),
    default="user",
    help="For every session of this user, or those of the project in this folder.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show the changes, and write nothing.")


@click.command("install")
@common
@click.argument("client", type=click.Choice(list(CLIENTS)))
@scope_option
@click.option("--wake", type=click.Choice(_WAKES), default="none", help="How mail wakes an idle session.")
@yes_option
@dry_run_option
def install(call: Call, client: str, scope: str, wake: str, yes: bool, dry_run: bool) -> None:
    """Write spool's hooks, MCP server and skill into a client's settings.

    The changes are shown first. Nothing else in the files changes, and
    `spool agent uninstall` undoes it exactly. Again it brings what is there
    up to date. --agent says as whom the sessions act that have no
    SPOOL_AGENT. Codex and Gemini CLI get the MCP server alone.

    \b
    Examples:
      spool agent install claude-code
      spool agent install claude-code --scope project --agent builder
      spool agent install codex --dry-run
    """
    if wake != "none" and client != "claude-code":
        raise click.UsageError("--wake is for claude-code")
    here = config.load(call.home)
    _refuse_stranger(here, call.agent)
    from spool.clients.base import Setup

    setup = Setup(
        program=_program(cast("Scope", scope)),
        home="" if call.home == Path.home() / ".spool" else str(call.home),
        agent=call.agent or "",
        wake=cast("Wake", wake),
    )
    job = _job(call, client, scope, setup)
    changes = job.planned()
    if dry_run or not any(change.differs for change in changes):
        _tell(call, job, changes, written=False)
        return
    _agree(call, changes, yes)
    _tell(call, job, job.install(), written=True)
    for note in _notes(here, setup, cast("Scope", scope)):
        call.warn(note)


@click.command("uninstall")
@common
@click.argument("client", type=click.Choice(list(CLIENTS)))
@scope_option
@yes_option
@dry_run_option
def uninstall(call: Call, client: str, scope: str, yes: bool, dry_run: bool) -> None:
    """Undo `install`: the files are as they were.

    What others changed in them since stays; only what is spool's is taken
    out.

    \b
    Example:
      spool agent uninstall claude-code
    """
    from spool.clients.base import Setup

    job = _job(call, client, scope, Setup())
    changes = job.removed()
    if dry_run:
        _tell(call, job, changes, written=False)
        return
    if written := any(change.differs for change in changes):
        _agree(call, changes, yes)
    # Also where nothing changes: what a person undid by hand need not be kept any more.
    _tell(call, job, job.uninstall(), written=written)
    for note in _left(job, changes):
        call.warn(note)


@click.command("snippet")
@common
@click.argument("kind", type=click.Choice(list(SNIPPETS)))
def snippet(call: Call, kind: str) -> None:
    """Print a text for an AGENTS.md or CLAUDE.md: how to use spool.

    For agents that have only a shell.

    \b
    Example:
      spool agent snippet shell >> AGENTS.md
    """
    from spool.clients.skill import text_of

    text = text_of(SNIPPETS[kind])
    call.tell({"kind": kind, "text": text}, text.rstrip("\n"))


def _job(call: Call, client: str, scope: str, setup: Setup) -> Installation:
    from spool.clients.base import Places
    from spool.clients.installing import Installation

    places = Places(
        user=Path.home(),
        project=Path.cwd(),
        claude=_folder("CLAUDE_CONFIG_DIR"),
        codex=_folder("CODEX_HOME"),
    )
    which = cast("Scope", scope)
    module = importlib.import_module(f"spool.clients.{CLIENTS[client]}")
    return Installation(call.home, client, which, module.pieces(setup, which, places))


def _folder(variable: str) -> Path | None:
    named = os.environ.get(variable)
    return Path(named).expanduser().absolute() if named else None


def _program(scope: Scope) -> tuple[str, ...]:
    """This spool, by a path that does not hang on a PATH: hooks have another one than a terminal.

    The files of a project go to other machines, where only the name may be right.
    """
    if scope == "project":
        return ("spool",)
    run = Path(sys.argv[0]).absolute()
    for path in (run, Path(sys.executable).absolute().with_name("spool")):
        if path.name == "spool" and path.is_file() and os.access(path, os.X_OK):
            return (str(path),)
    return (sys.executable, "-P", "-m", "spool")


def _refuse_stranger(here: Config, agent: str | None) -> None:
    patterns = here.host.agents
    if agent is not None and not any(config.matches(pattern, agent) for pattern in patterns):
        raise BadInput(f"no agent {agent!r} here", hint=f"`spool agent add {agent}` first")


def _agree(call: Call, changes: list[Change], yes: bool) -> None:
    """Show the changes and ask once. Raises BadInput: a person does not want it, or nobody is there."""
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if not call.json or asks:
        for change in changes:
            click.echo(plain(change.diff), nl=False, err=call.json)
    if yes:
        return
    if not asks:
        raise BadInput("nothing was written: nobody is there to agree", hint="run it again with --yes")
    if not click.confirm("Write this?", err=True):
        raise BadInput("nothing was written", hint="--dry-run shows the changes")


def _tell(call: Call, job: Installation, changes: list[Change], *, written: bool) -> None:
    """With --json all of it, a line for each file; else where each stands, its change shown before."""
    for change in changes:
        if not written and not call.json:
            click.echo(plain(change.diff), nl=False)
        view = {"client": job.client, "scope": job.scope, "path": str(change.path), "action": change.action}
        text = f"{_DONE[change.action]} {change.path}" if written else None
        call.tell({**view, "written": written and change.differs, "diff": change.diff}, text)
    if not written and not call.json:
        differs = any(change.differs for change in changes)
        call.say("nothing was written" if differs else "nothing to change: it is so already")


def _left(job: Installation, changes: list[Change]) -> list[str]:
    """What a person may wonder about after `uninstall`."""
    notes = [f"spool is in {path} too: run this with the settings it had then" for path in job.elsewhere()]
    for change in changes:
        if change.path.name == "SKILL.md" and change.old is not None and not change.differs:
            notes.append(f"{change.path} is not as spool wrote it, and stays; remove it if it is of no use")
    return notes


def _notes(here: Config, setup: Setup, scope: Scope) -> list[str]:
    from spool.cli import mcp

    notes = ["sessions that run already take it up when they are started again"]
    if not mcp.is_there():
        notes.append(f"its MCP server needs a library that is not here yet: `{mcp.getting()}`")
    several = len(here.host.agents) > 1 or any("*" in name for name in here.host.agents)
    if several and not setup.agent:
        notes.append(
            "several agents read here: give --agent NAME, or set SPOOL_AGENT in `env` of a project's settings"
        )
    if setup.wake == "monitor":
        notes.append(_MONITOR)
    if scope == "project":
        notes += _project_notes(setup)
    return notes


def _project_notes(setup: Setup) -> list[str]:
    notes = []
    if shutil.which("spool") is None:
        notes.append("no `spool` is on the PATH; the project's files name it so, since others use them too")
    if setup.home:
        notes.append(f"the project's files name the home {setup.home}; set $SPOOL_HOME instead to share them")
    return notes

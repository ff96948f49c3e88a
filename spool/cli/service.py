"""`spool service`: the consumer is kept running by what the machine has for that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from spool import config, starting
from spool.cli.common import Call, common
from spool.cli.root import Group
from spool.errors import BadInput, SpoolError
from spool.service.base import Job, Keeper, job
from spool.service.cron import Cron
from spool.service.launchd import Launchd
from spool.service.systemd import Systemd

# The first that this machine has is taken.
KEEPERS: Final[tuple[Keeper, ...]] = (Launchd(), Systemd(), Cron())
NAMES: Final = [keeper.name for keeper in KEEPERS]
_WSL: Final = "with systemd=true under [boot] in /etc/wsl.conf, and `wsl --shutdown`, it has systemd"
_HAND: Final = "whatever starts programs here may run `spool up --detach`, as often as it likes"


@click.group(cls=Group)
def service() -> None:
    """Have the consumer kept running, from one start of the machine to the next.

    \b
    Examples:
      spool service install
      spool service status
    """


@service.command("install")
@common
@click.option("--how", type=click.Choice(NAMES), help="By what; the best this machine has where not given.")
@click.option("--once", is_flag=True, help="By cron, `spool up --once`: where processes do not live long.")
@click.option("--print", "only_print", is_flag=True, help="Print what would be written, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def install(call: Call, how: str | None, once: bool, only_print: bool, yes: bool) -> None:
    """Show what it would write for systemd, launchd or cron, ask, and write it.

    Again it brings what is there up to date, after a move of the home or of Python.

    \b
    Examples:
      spool service install
      spool service install --print --how systemd
      spool service install --once --yes
    """
    if once and how not in (None, "cron"):
        raise click.UsageError("--once runs by cron: leave --how out")
    wanted = _job(call, once=once)
    keeper = _keeper("cron" if once else how, only_print=only_print)
    text = keeper.shown(wanted)
    if only_print:
        call.tell({"how": keeper.name, "text": text}, text)
        return
    if not yes:
        _ask(text)
    before = starting.consumers(call.home)
    notes = keeper.install(wanted)
    if before and keeper.name != "cron":
        notes.append(f"one runs already, pid {before[0].pid}: `spool down`, then this command again")
    what = f"{keeper.name} keeps the consumer of {call.home} running"
    call.tell({"how": keeper.name, "installed": True, "notes": notes}, "\n".join([what, *notes]))


@service.command("uninstall")
@common
def uninstall(call: Call) -> None:
    """Take away what `install` wrote for this home, and nothing else.

    \b
    Example:
      spool service uninstall
    """
    wanted = _job(call)
    gone = [keeper.name for keeper in KEEPERS if _is_there(keeper, wanted) and keeper.uninstall(wanted)]
    call.tell({"removed": gone}, f"removed: {', '.join(gone)}" if gone else "there was nothing to remove")
    if gone and starting.consumers(call.home):
        call.warn("the consumer still runs: `spool down` ends it")


@service.command("status")
@common
def status(call: Call) -> None:
    """Say by what the consumer is kept running, and whether it runs.

    \b
    Example:
      spool service status
    """
    wanted = _job(call)
    found = {keeper.name: state for keeper in KEEPERS if (state := keeper.state(wanted)) is not None}
    running = starting.consumers(call.home)
    pid = running[0].pid if running else None
    lines = [f"{name}: {state}" for name, state in found.items()] or [
        "nothing keeps the consumer running: `spool service install`"
    ]
    lines.append(f"the consumer runs, pid {pid}" if pid else "no consumer runs here")
    call.tell({"installed": found, "running": bool(pid), "pid": pid}, "\n".join(lines))


def kept_by(call: Call) -> Keeper | None:
    """What keeps the consumer of this home running and can start it when it is told to."""
    try:
        wanted = _job(call)
    except BadInput:
        return None
    return next((keeper for keeper in KEEPERS if keeper.starts(wanted)), None)


def start(call: Call, keeper: Keeper) -> None:
    """Have it started. Raises SpoolError."""
    keeper.start(_job(call))


def _job(call: Call, *, once: bool = False) -> Job:
    return job(call.home, config.load(call.home).host.name, once=once)


def _is_there(keeper: Keeper, wanted: Job) -> bool:
    return keeper.state(wanted) is not None


def _keeper(how: str | None, *, only_print: bool) -> Keeper:
    """The one that was asked for, else the first that this machine has.

    Raises:
        SpoolError: it is not to be had here; the hint says what can be done.
    """
    asked = [keeper for keeper in KEEPERS if how in (None, keeper.name)]
    if only_print and how is not None:
        return asked[0]
    reasons = []
    for keeper in asked:
        if not (why := keeper.missing()):
            return keeper
        reasons.append(f"{keeper.name}: {why}")
    raise SpoolError("; ".join(reasons), hint=f"{_WSL}; {_HAND}" if _is_wsl() else _HAND)


def _ask(text: str) -> None:
    """Show a person what would be written. Raises BadInput: they do not want it, or nobody is there."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput("nothing was written: nobody is there to agree", hint="--print shows it, --yes agrees")
    click.echo(text, err=True)
    if not click.confirm("Write this?", err=True):
        raise BadInput("nothing was written", hint="`spool up --detach` runs it without a keeper")


def _is_wsl() -> bool:
    try:
        return "microsoft" in Path("/proc/version").read_text("utf-8", "replace").lower()
    except OSError:
        return False

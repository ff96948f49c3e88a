"""`spool doctor`: what is wrong with this host, and what to type about it."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from spool.cli.common import Call, common
from spool.cli.text import field
from spool.doctor import Finding, examine

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red"}
_LEVELS: Final = ("failed", "warning", "ok")


@click.command()
@common
@click.option(
    "--peers", is_flag=True, help="Reach each peer too, over the network, as `spool peer check` does."
)
@click.option(
    "--quick", is_flag=True, help="Leave out what takes long: the whole database, a shell, the network."
)
@click.option(
    "--authorized-keys", metavar="FILE", help="Where peers' keys stand; your own ~/.ssh/authorized_keys."
)
@click.option("--repair", is_flag=True, help="Put in order what is safe, after showing it; then check.")
@click.option("--yes", is_flag=True, help="Repair without asking.")
def doctor(
    call: Call, peers: bool, quick: bool, authorized_keys: str | None, repair: bool, yes: bool
) -> None:
    """Check this host, and say of each thing that is wrong what to do; exit 1 if something fails.

    Also where there is no home yet, or a broken one. Nothing is changed without
    --repair, which touches neither mail nor keys.

    \b
    Examples:
      spool doctor
      spool doctor --peers
      spool doctor --quick --json
      spool doctor --repair
    """
    if peers and quick:
        raise click.UsageError("--peers and --quick: give one of them")
    if repair:
        from spool.cli import repairing

        repairing.repair(call, quick=quick, yes=yes)
    elif yes:
        raise click.UsageError("--yes goes with --repair")
    keys = Path(authorized_keys).expanduser().absolute() if authorized_keys else None
    counts: Counter[str] = Counter()
    for finding in _findings(call, peers=peers, quick=quick, keys=keys):
        counts[finding.level] += 1
        if call.json:
            call.tell(msgspec.to_builtins(finding))
        else:
            _print(finding)
    if not call.json:
        call.say(", ".join(f"{counts[level]} {level}" for level in _LEVELS if counts[level]))
    if counts["failed"]:
        click.get_current_context().exit(1)


def _findings(call: Call, *, peers: bool, quick: bool, keys: Path | None) -> Iterator[Finding]:
    reachable = True
    for finding in examine(call.home, now=time.time(), quick=quick, keys=keys):
        # Without config or database there is nobody to reach.
        reachable = reachable and (finding.topic, finding.level) not in _BROKEN
        yield finding
    if peers and reachable:
        from spool.cli import reaching

        yield from reaching.each(call.spool())


_BROKEN: Final = {(topic, "failed") for topic in ("home", "config", "database")}


def _print(finding: Finding) -> None:
    """A finding in columns, as wide as the terminal; its remedy on lines of its own."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    head = f"{click.style(finding.level.ljust(7), fg=_COLOURS[finding.level])}  "
    said = f"{field(finding.topic)}: {field(finding.found)}"
    click.echo(head + _wrapped(said, width, " " * 9))
    if finding.remedy:
        click.echo(" " * 9 + _wrapped(f"do: {field(finding.remedy)}", width, " " * 13))


def _wrapped(text: str, width: int, indent: str) -> str:
    # Commands are to be copied: no word of them is broken.
    lines = textwrap.wrap(text, max(20, width - 13), break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines)

"""`spool demo`: two hosts on this machine."""

from __future__ import annotations

import click

from spool.cli.common import Call, common


@click.command()
@common
def demo(call: Call) -> None:
    """Run two hosts on this machine in a temporary folder and let them exchange mail.

    \b
    Example:
      spool demo
    """
    from spool.demo import run

    click.get_current_context().exit(run())
